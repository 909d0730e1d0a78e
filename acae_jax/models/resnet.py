"""ResNet-18 to -152 in the form whose weights are published (V1.5: the 3 × 3 convolution strides).

Sources: He et al. 2015 (arXiv 1512.03385); torchvision's resnet for the layout. Feature extractors
without classifier, of output stride 32. Pixels are normalised with ImageNet's mean and
deviation unless told otherwise.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Inexact

from acae_jax.models import layers
from acae_jax.models.layers import ConvNorm

BLOCKS_PER_STAGE = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}

_zeros = nn.initializers.zeros_init()


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut; the last norm's scale starts at zero."""

    features: int
    ghost_size: int
    stride: int = 1
    shift: int = 0
    epsilon: float = 1e-5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Inexact[Array, "b h w c"], train: bool) -> Inexact[Array, "b h2 w2 d"]:
        """Returns relu(residual(x) + shortcut(x))."""
        conv = partial(ConvNorm, ghost_size=self.ghost_size, epsilon=self.epsilon, dtype=self.dtype)
        strided = partial(conv, stride=self.stride, shift=self.shift)
        y = strided(self.features, name="conv1")(x, train)
        y = conv(self.features, activation=None, scale_init=_zeros, name="conv2")(y, train)
        if self.stride > 1 or x.shape[-1] != self.features:
            shortcut = strided(self.features, kernel_size=1, activation=None, name="shortcut")
            x = shortcut(x, train)
        return nn.relu(x + y)


class BottleneckBlock(nn.Module):
    """1 × 1, 3 × 3, 1 × 1 convolution beside a shortcut; the last norm's scale starts at zero."""

    inner: int
    features: int
    ghost_size: int
    stride: int = 1
    shift: int = 0
    epsilon: float = 1e-5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Inexact[Array, "b h w c"], train: bool) -> Inexact[Array, "b h2 w2 d"]:
        """Returns relu(residual(x) + shortcut(x))."""
        conv = partial(ConvNorm, ghost_size=self.ghost_size, epsilon=self.epsilon, dtype=self.dtype)
        strided = partial(conv, stride=self.stride, shift=self.shift)
        y = conv(self.inner, kernel_size=1, name="conv1")(x, train)
        y = strided(self.inner, name="conv2")(y, train)
        last = conv(self.features, kernel_size=1, activation=None, scale_init=_zeros, name="conv3")
        y = last(y, train)
        if self.stride > 1 or x.shape[-1] != self.features:
            shortcut = strided(self.features, kernel_size=1, activation=None, name="shortcut")
            x = shortcut(x, train)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """ResNet of `depth` layers (a key of BLOCKS_PER_STAGE), stride 32, 512 or 2048 channels."""

    depth: int
    ghost_size: int
    centred: bool = True
    pixels: str = "imagenet"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"], train: bool) -> Inexact[Array, "b h2 w2 d"]:
        """Features of images in [0, 1]."""
        common = {"ghost_size": self.ghost_size, "dtype": self.dtype}
        x = layers.normalise_pixels(images, self.dtype, *layers.pixel_statistics(self.pixels))
        x = ConvNorm(64, kernel_size=7, stride=2, epsilon=1e-5, **common, name="stem")(x, train)
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))  # pyright: ignore[reportArgumentType]
        for stage, blocks in enumerate(BLOCKS_PER_STAGE[self.depth]):
            width = 64 * 2**stage
            for index in range(blocks):
                strided = index == 0 and stage > 0
                settings = {
                    "stride": 2 if strided else 1,
                    "shift": 1 if strided and stage == 3 and self.centred else 0,
                    "name": f"stage{stage + 1}_block{index}",
                    **common,
                }
                if self.depth < 50:
                    x = BasicBlock(width, **settings)(x, train)
                else:
                    x = BottleneckBlock(width, 4 * width, **settings)(x, train)
        return x
