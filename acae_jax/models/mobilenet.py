"""MobileNetV3 small and large as feature extractors of output stride 32.

Sources: Howard et al. 2019 (arXiv 1905.02244); torchvision's mobilenetv3 for the layout. Pixels are
normalised with ImageNet's mean and deviation unless told otherwise. No classifier; the last 1 × 1
convolution is included.
"""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Inexact

from acae_jax.models import layers
from acae_jax.models.inverted import InvertedBottleneck
from acae_jax.models.layers import ConvNorm


class Block(NamedTuple):
    """One inverted bottleneck; `hard` chooses hard swish instead of relu."""

    kernel_size: int
    expanded: int
    features: int
    excited: bool
    hard: bool
    stride: int


BLOCKS = {
    "small": (
        Block(3, 16, 16, True, False, 2),
        Block(3, 72, 24, False, False, 2),
        Block(3, 88, 24, False, False, 1),
        Block(5, 96, 40, True, True, 2),
        Block(5, 240, 40, True, True, 1),
        Block(5, 240, 40, True, True, 1),
        Block(5, 120, 48, True, True, 1),
        Block(5, 144, 48, True, True, 1),
        Block(5, 288, 96, True, True, 2),
        Block(5, 576, 96, True, True, 1),
        Block(5, 576, 96, True, True, 1),
    ),
    "large": (
        Block(3, 16, 16, False, False, 1),
        Block(3, 64, 24, False, False, 2),
        Block(3, 72, 24, False, False, 1),
        Block(5, 72, 40, True, False, 2),
        Block(5, 120, 40, True, False, 1),
        Block(5, 120, 40, True, False, 1),
        Block(3, 240, 80, False, True, 2),
        Block(3, 200, 80, False, True, 1),
        Block(3, 184, 80, False, True, 1),
        Block(3, 184, 80, False, True, 1),
        Block(3, 480, 112, True, True, 1),
        Block(3, 672, 112, True, True, 1),
        Block(5, 672, 160, True, True, 2),
        Block(5, 960, 160, True, True, 1),
        Block(5, 960, 160, True, True, 1),
    ),
}


class MobileNetV3(nn.Module):
    """MobileNetV3 of a size "small" (576 channels) or "large" (960 channels)."""

    size: str
    ghost_size: int
    centred: bool = True
    pixels: str = "imagenet"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"], train: bool) -> Inexact[Array, "b h2 w2 d"]:
        """Features of images in [0, 1]."""
        blocks = BLOCKS[self.size]
        last_strided = max(i for i, block in enumerate(blocks) if block.stride == 2)
        conv = partial(
            ConvNorm, ghost_size=self.ghost_size, activation=jax.nn.hard_swish, dtype=self.dtype
        )
        x = layers.normalise_pixels(images, self.dtype, *layers.pixel_statistics(self.pixels))
        x = conv(16, stride=2, name="stem")(x, train)
        for index, block in enumerate(blocks):
            x = InvertedBottleneck(
                features=block.features,
                expanded=block.expanded,
                ghost_size=self.ghost_size,
                kernel_size=block.kernel_size,
                stride=block.stride,
                shift=int(self.centred and index == last_strided),
                squeezed=_rounded_to_8(block.expanded // 4) if block.excited else None,
                activation=jax.nn.hard_swish if block.hard else jax.nn.relu,
                squeeze_activation=jax.nn.relu,
                gate=jax.nn.hard_sigmoid,
                dtype=self.dtype,
                name=f"block{index}",
            )(x, train)
        return conv(6 * x.shape[-1], kernel_size=1, name="last")(x, train)


def _rounded_to_8(channels: int) -> int:
    """The nearest multiple of 8, at least 8 and never below nine tenths of the number."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
