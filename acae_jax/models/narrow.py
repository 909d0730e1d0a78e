"""A narrow network for training on a few CPU cores: dense layers only, 2.6 million parameters.

Built from what XLA's CPU backend does fast (tests/speed/narrow.py times it):
* Full-resolution maps never meet a convolution: the image is folded into cells of 4 × 4 px, and
  the stem multiplies each cell by a matrix. A 3 × 3 convolution over these cells, with one block
  less after it, learns no more in a step and takes a fifth longer.
* Downsampling folds 2 × 2 cells and multiplies by a matrix. A strided 3 × 3 convolution costs as
  much as several matrix products of its size in the backward pass.
* What needs the whole person, such as telling left from right, is learned by two matrix products
  over all cells at once. They cost a fifth of two 3 × 3 convolutions of 256 channels at stride 32,
  which see no more. Their result is added to the stride-16 map, which keeps the localisation.

The price of the last point: parameters belong to one image side. All windows are symmetric about
their cell, so the grid is centred in the image exactly.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Inexact

from acae_jax.models import layers
from acae_jax.models.layers import ConvNorm
from acae_jax.models.resnet import BottleneckBlock


class Narrow(nn.Module):
    """Features of stride 16 with widths[2] channels.

    Attributes:
        ghost_size: examples per ghost group.
        widths: channels at stride 4, 8 and 16.
        blocks: residual blocks at stride 8 and 16.
        context: channels of each cell that the whole image's products read and write, and their
            width.
        dtype: of the arithmetic.
    """

    ghost_size: int
    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: tuple[int, int] = (2, 2)
    context: tuple[int, int] = (64, 512)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "b s s 3"], train: bool) -> Inexact[Array, "b h w d"]:
        """Features of images in [0, 1] of one side, a multiple of 16 px."""
        common = {"ghost_size": self.ghost_size, "dtype": self.dtype}
        conv = partial(ConvNorm, **common)
        stem_width, width8, width16 = self.widths

        x = layers.normalise_pixels(images, self.dtype)
        x = conv(stem_width, kernel_size=1, name="stem")(layers.space_to_depth(x, 4), train)

        x = conv(width8, kernel_size=1, name="fold8")(layers.space_to_depth(x, 2), train)
        for index in range(self.blocks[0]):
            name = f"stage8_block{index}"
            x = BottleneckBlock(width8 // 2, width8, **common, name=name)(x, train)

        x = conv(width16, kernel_size=1, name="fold16")(layers.space_to_depth(x, 2), train)
        for index in range(self.blocks[1]):
            name = f"stage16_block{index}"
            x = BottleneckBlock(width16 // 2, width16, **common, name=name)(x, train)
        return nn.relu(x + self._context(x, train))

    def _context(self, x: Array, train: bool) -> Array:
        """What all cells together say to each of them."""
        conv = partial(ConvNorm, ghost_size=self.ghost_size, dtype=self.dtype, kernel_size=1)
        cell_width, width = self.context
        b, h, w, c = x.shape
        cells = conv(cell_width, name="squeeze")(x, train).reshape(b, 1, 1, h * w * cell_width)
        image = conv(width, name="gather")(cells, train)
        spread = layers.Conv(h * w * cell_width, kernel_size=1, dtype=self.dtype, name="spread")
        back = spread(image).reshape(b, h, w, cell_width)
        return conv(c, activation=None, name="merge")(back, train)
