"""EfficientNetV2-S, -M and -L as feature extractors of output stride 32.

Sources: Tan and Le 2021 (arXiv 2104.00298); torchvision's efficientnet for the layout. Pixels go
in as 2x − 1 unless told otherwise: torchvision's S and M were trained with ImageNet's mean and
deviation. No classifier; the last 1 × 1 convolution to 1280 channels is included.
"""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Inexact

from acae_jax.models import layers, platform
from acae_jax.models.inverted import InvertedBottleneck, recomputed
from acae_jax.models.layers import ConvNorm


class Stage(NamedTuple):
    """A run of equal blocks, of which the first may stride."""

    fused: bool
    expansion: int
    stride: int
    features: int
    blocks: int


STAGES = {
    "s": (
        Stage(True, 1, 1, 24, 2),
        Stage(True, 4, 2, 48, 4),
        Stage(True, 4, 2, 64, 4),
        Stage(False, 4, 2, 128, 6),
        Stage(False, 6, 1, 160, 9),
        Stage(False, 6, 2, 256, 15),
    ),
    "m": (
        Stage(True, 1, 1, 24, 3),
        Stage(True, 4, 2, 48, 5),
        Stage(True, 4, 2, 80, 5),
        Stage(False, 4, 2, 160, 7),
        Stage(False, 6, 1, 176, 14),
        Stage(False, 6, 2, 304, 18),
        Stage(False, 6, 1, 512, 5),
    ),
    "l": (
        Stage(True, 1, 1, 32, 4),
        Stage(True, 4, 2, 64, 7),
        Stage(True, 4, 2, 96, 7),
        Stage(False, 4, 2, 192, 10),
        Stage(False, 6, 1, 224, 19),
        Stage(False, 6, 2, 384, 25),
        Stage(False, 6, 1, 640, 7),
    ),
}


FOLD = 4
"""Of a TPU's padded 128 channels, 4 · 24 or 4 · 32 are filled."""


class EfficientNetV2(nn.Module):
    """EfficientNetV2 of a size "s", "m" or "l"; 1280 channels.

    `drop_rate` is the stochastic depth of the last block: the chance that an example skips it in
    training (rng "dropout"). It grows linearly from 0 at the first block. `pixels` is one of
    `layers.PIXELS`.

    On a TPU the maps of the stem and the first stage are folded by FOLD where the image's side
    allows, and blocks are `recomputed`: half the memory traffic of a training step. Elsewhere
    convolutions read activations from memory, and computing them again would cost more than that.
    """

    size: str
    ghost_size: int
    centred: bool = True
    drop_rate: float = 0.2
    pixels: str = "symmetric"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"], train: bool) -> Inexact[Array, "b h2 w2 d"]:
        """Features of images in [0, 1]."""
        stages = STAGES[self.size]
        last_strided = max(i for i, stage in enumerate(stages) if stage.stride == 2)
        block_count = sum(stage.blocks for stage in stages)
        conv = partial(
            ConvNorm, ghost_size=self.ghost_size, activation=jax.nn.silu, dtype=self.dtype
        )
        x = layers.normalise_pixels(images, self.dtype, *layers.pixel_statistics(self.pixels))
        early = FOLD if platform.is_tpu() and x.shape[2] % (2 * FOLD) == 0 else 1
        block = recomputed(InvertedBottleneck) if platform.is_tpu() else InvertedBottleneck
        if early > 1:
            x = layers.fold_rows(x, 2 * early)
        x = conv(stages[0].features, stride=2, fold=early, name="stem")(x, train)
        done = 0
        for number, stage in enumerate(stages):
            fold = early if number == 0 else 1
            if number == 1:
                x = layers.unfold_rows(x, early)
            for index in range(stage.blocks):
                first = index == 0
                channels = x.shape[-1] // fold
                x = block(
                    features=stage.features,
                    expanded=channels * stage.expansion,
                    ghost_size=self.ghost_size,
                    fused=stage.fused,
                    stride=stage.stride if first else 1,
                    shift=int(self.centred and first and number == last_strided),
                    squeezed=None if stage.fused else channels // 4,
                    activation=jax.nn.silu,
                    drop_rate=self.drop_rate * done / block_count,
                    fold=fold,
                    dtype=self.dtype,
                    name=f"stage{number + 1}_block{index}",
                )(x, train)
                done += 1
        return conv(1280, kernel_size=1, name="last")(x, train)
