"""A narrow network for training on a few CPU cores: 1.5 million parameters, dense layers only.

Built from what XLA's CPU backend does fast (tests/speed/narrow.py times it):
* Full-resolution maps never meet a convolution: the image is folded into cells of 4 × 4 px, and
  the stem is a 3 × 3 convolution over those cells, of windows of 12 × 12 px.
* Downsampling folds 2 × 2 cells and multiplies by a matrix. A strided 3 × 3 convolution costs as
  much as several matrix products of its size in the backward pass.
* Most of the weights sit at stride 32, where a cell is cheap: two 3 × 3 convolutions there see
  the whole person. Their result is added to the stride-16 map, which keeps the localisation.

All windows are symmetric about their cell, so the grid is centred in the image exactly.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Inexact

from acae_jax.models import layers
from acae_jax.models.layers import ConvNorm
from acae_jax.models.resnet import BasicBlock, BottleneckBlock


class Narrow(nn.Module):
    """Features of stride 16 with widths[2] channels, or of stride 32 with widths[3].

    Attributes:
        ghost_size: examples per ghost group.
        stride: 16 or 32 px per output cell.
        widths: channels at stride 4, 8, 16 and 32.
        blocks: residual blocks at stride 8, 16 and 32.
        dtype: of the arithmetic.
    """

    ghost_size: int
    stride: int = 16
    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    blocks: tuple[int, int, int] = (1, 2, 1)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"], train: bool) -> Inexact[Array, "b h2 w2 d"]:
        """Features of images in [0, 1] whose sides are multiples of 32 px."""
        common = {"ghost_size": self.ghost_size, "dtype": self.dtype}
        conv = partial(ConvNorm, **common)
        stem_width, width8, width16, width32 = self.widths

        x = layers.normalise_pixels(images, self.dtype)
        x = layers.space_to_depth(x, 4)
        x = conv(stem_width, name="stem")(x, train)

        x = conv(width8, kernel_size=1, name="fold8")(layers.space_to_depth(x, 2), train)
        for index in range(self.blocks[0]):
            name = f"stage8_block{index}"
            x = BottleneckBlock(width8 // 2, width8, **common, name=name)(x, train)

        x = conv(width16, kernel_size=1, name="fold16")(layers.space_to_depth(x, 2), train)
        for index in range(self.blocks[1]):
            name = f"stage16_block{index}"
            x = BottleneckBlock(width16 // 2, width16, **common, name=name)(x, train)

        context = conv(width32, kernel_size=1, name="fold32")(layers.space_to_depth(x, 2), train)
        for index in range(self.blocks[2]):
            context = BasicBlock(width32, **common, name=f"stage32_block{index}")(context, train)
        if self.stride == 32:
            return context
        merge = conv(width16, kernel_size=1, activation=None, name="merge")
        return nn.relu(x + _doubled(merge(context, train)))


def _doubled(x: Array) -> Array:
    """Every cell repeated 2 × 2 times."""
    b, h, w, c = x.shape
    cells = jnp.broadcast_to(x[:, :, None, :, None, :], (b, h, 2, w, 2, c))
    return cells.reshape(b, 2 * h, 2 * w, c)
