"""NanoDet-g, a small one-stage object detector made of dense convolutions, for inference.

A cross-stage-partial backbone (maps of stride 8, 16 and 32), a path-aggregation neck that only adds
maps, from coarse to fine and back, and at every cell the scores of COCO's 80 classes and one box.
A box is four distances, from the cell's centre to the left, top, right and bottom side, each given
as a distribution over 0, 1, …, 10 cells. Batch norms are folded into the convolutions, as in the
published weights.

Sources: RangiLyu's NanoDet (configuration nanodet-g: 416 px, 3.8 million parameters, COCO mAP
22.9); Li et al. 2020, "Generalized focal loss" (arXiv 2006.04388) for the boxes.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from acae_jax.models.layers import Conv, normalise_pixels

CLASSES = 80
PERSON = 0
BINS = 11
STRIDES = (8, 16, 32)
# Of blue, green and red, the order of the training images, for pixels in [0, 1].
_MEAN = (103.53 / 255, 116.28 / 255, 123.675 / 255)
_STD = (57.375 / 255, 57.12 / 255, 58.395 / 255)


class NanoDet(nn.Module):
    """Every cell's scores and box; cells ordered by stride, finest first, then row by row."""

    @nn.compact
    def __call__(
        self, images: UInt8[Array, "b h w 3"]
    ) -> tuple[Float32[Array, "b n c"], Float32[Array, "b n 4"]]:
        """Class scores in [0, 1] and boxes (x, y, width, height) in px from the top left corner.

        Images are RGB. ValueError if a side is not a multiple of 32 px.
        """
        height, width = images.shape[1:3]
        if height % STRIDES[-1] or width % STRIDES[-1]:
            raise ValueError(f"NanoDet's image of {width}×{height} px needs multiples of 32 px")
        x = normalise_pixels(images[..., ::-1] / jnp.float32(255), jnp.float32, _MEAN, _STD)
        x = Activated(32, stride=2, name="stem")(x)
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))  # pyright: ignore[reportArgumentType]
        x = CrossStage(32, blocks=1, stride=1, name="stage4")(x)
        maps = []
        for stride, features, blocks in zip(STRIDES, (64, 128, 256), (2, 2, 3), strict=True):
            x = CrossStage(features, blocks, stride=2, name=f"stage{stride}")(x)
            maps.append(Conv(128, kernel_size=1, use_bias=True, name=f"lateral{stride}")(x))
        for to, by in ((1, 2), (0, 1), (1, 0), (2, 1)):
            maps[to] += jax.image.resize(maps[by], maps[to].shape, "linear", antialias=False)
        levels = [
            _decode(Head(name=f"head{stride}")(level), stride)
            for stride, level in zip(STRIDES, maps, strict=True)
        ]
        scores, boxes = (jnp.concatenate(parts, axis=1) for parts in zip(*levels, strict=True))
        return scores, boxes


class Activated(nn.Module):
    """Convolution with bias, and leaky relu."""

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Convolves x with 3 × 3 cells."""
        x = Conv(self.features, stride=self.stride, use_bias=True, name="conv")(x)
        return nn.leaky_relu(x, 0.1)


class CrossStage(nn.Module):
    """A stage of which half of the result, 2 · features channels, bypasses its blocks."""

    features: int
    blocks: int
    stride: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Applies the entry, the blocks and the exit; joins the exit with the entry."""
        entry = Activated(self.features, self.stride, name="entry")(x)
        x = entry
        for index in range(self.blocks):
            first = Activated(self.features // 2, name=f"block{index}_first")(x)
            second = Activated(self.features // 2, name=f"block{index}_second")(first)
            x = jnp.concatenate([second, first], axis=-1)
        x = Activated(self.features, name="exit")(x)
        return jnp.concatenate([x, entry], axis=-1)


class Head(nn.Module):
    """Logits of the classes and of the four distances' bins at every cell of one map."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w k"]:
        """Applies two convolutions."""
        x = Activated(x.shape[-1], name="hidden")(x)
        return Conv(CLASSES + 4 * BINS, kernel_size=1, use_bias=True, name="predict")(x)


def _decode(
    logits: Float[Array, "b h w k"], stride: int
) -> tuple[Float[Array, "b n c"], Float[Array, "b n 4"]]:
    """Scores and boxes in px of the cells of one map, row by row."""
    b, h, w, _ = logits.shape
    scores = nn.sigmoid(logits[..., :CLASSES]).reshape(b, h * w, CLASSES)
    share = nn.softmax(logits[..., CLASSES:].reshape(b, h * w, 4, BINS))
    distances = share @ jnp.arange(BINS, dtype=jnp.float32)
    y, x = np.indices((h, w)).reshape(2, 1, h * w) + 0.5
    left, top, right, bottom = jnp.moveaxis(distances, -1, 0)
    boxes = jnp.stack([x - left, y - top, left + right, top + bottom], axis=-1)
    return scores, boxes * stride
