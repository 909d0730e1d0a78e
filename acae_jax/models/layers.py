"""Dense convolutions with fixed padding, alone and with norm and activation; input pixels.

Images are (b, height, width, channels). Padding is explicit: for kernel k, (k − 1) // 2 before
and the rest after, for every stride, so that the sampling grid does not depend on the input's
size. A strided layer may shift its padding towards the bottom right (`shift` less before, `shift`
more after), which moves the centre of every output cell by `shift` input cells. With a shift of
one in the last strided block the grid of a stride-32 network lies at 16, 48, … px instead of 0,
32, …: symmetrically in the image ("centred stride").

Parameters are float32; arithmetic is in `dtype`.

A map of few channels may be held folded: `fold` neighbouring cells of a row stand side by side in
the channels, (b, h, w / fold, fold · c), as a reshape gives. A TPU pads channels to 128, so a map
of 24 channels folded by 4 takes a quarter of the memory and of the time to read it. A convolution
from and to folded maps is a wider one whose kernel holds the same numbers several times, and zeros.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Inexact

from acae_jax.models import platform
from acae_jax.models.ghost_norm import GhostNorm

Colour = tuple[float, float, float]

PIXELS: dict[str, tuple[Colour, Colour]] = {
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and deviation of each colour that a network's pixels are normalised with, by name."""

PRODUCT = "product"
"""Name of every convolution's result for `jax.checkpoint`."""

he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "truncated_normal")


def fixed_padding(kernel_size: int, shift: int = 0) -> tuple[int, int]:
    """Cells of padding before and after an axis for a kernel of k cells, moved by `shift`."""
    before = (kernel_size - 1) // 2
    return before - shift, kernel_size - 1 - before + shift


class Conv(nn.Module):
    """Dense convolution with fixed padding; the parameter `kernel` has shape (k, k, c_in, c_out).

    A kernel of one cell is computed as a matrix product: the same numbers, and on CPU the gradient
    of the kernel is several times faster so than through XLA's convolution. Not so on TPUs, which
    keep maps in an order of axes that suits convolutions and would copy them for the product.

    With `fold` the result is folded, and x must be, by fold · stride.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    shift: int = 0
    use_bias: bool = False
    fold: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Inexact[Array, "b h w c"]) -> Inexact[Array, "b h2 w2 d"]:
        """Convolves x, giving ⌈h / stride⌉ × ⌈w / stride⌉ cells."""
        k = self.kernel_size
        into = self.fold * self.stride if self.fold > 1 else 1
        shape = (k, k, x.shape[-1] // into, self.features)
        kernel = self.param("kernel", he_normal, shape, jnp.float32).astype(self.dtype)
        padding = fixed_padding(k, self.shift)
        x = x.astype(self.dtype)
        if self.fold > 1:
            kernel, across = folded_kernel(kernel, self.stride, padding[0], self.fold)
            y = lax.conv_general_dilated(
                x,
                kernel,
                (self.stride, 1),
                (padding, across),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        elif k == 1 and not platform.is_tpu():
            y = _matrix_product(_every(x, self.stride, padding), kernel[0, 0])
        else:
            strides = (self.stride, self.stride)
            y = lax.conv_general_dilated(
                x, kernel, strides, (padding, padding), dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
            y = y + jnp.tile(bias.astype(self.dtype), self.fold).reshape(1, 1, 1, -1)
        return checkpoint_name(y, PRODUCT)


def fold_rows(x: Inexact[Array, "b h w c"], factor: int) -> Inexact[Array, "b h w2 c2"]:
    """Places `factor` neighbouring cells of each row side by side in the channels."""
    b, h, w, c = x.shape
    return x.reshape(b, h, w // factor, factor * c)


def unfold_rows(x: Inexact[Array, "b h w c"], factor: int) -> Inexact[Array, "b h w2 c2"]:
    """The inverse of `fold_rows`."""
    b, h, w, c = x.shape
    return x.reshape(b, h, w * factor, c // factor)


def folded_kernel(
    kernel: Inexact[Array, "k k c d"], stride: int, before: int, fold: int
) -> tuple[Inexact[Array, "k n fc fd"], tuple[int, int]]:
    """The kernel from rows folded by fold · stride to rows folded by fold, and its padding.

    `before` is the padding of the plain kernel. Cell r of a folded output sees with tap t the cell
    r · stride − before + t of the input, counted from the first one of the same folded cell.
    """
    k, _, channels, features = kernel.shape
    into = fold * stride
    source = np.arange(fold)[None] * stride - before + np.arange(k)[:, None]  # (tap, cell)
    block, place = source // into, source % into
    first, last = int(block.min()), int(block.max())
    taps, cells = np.indices(source.shape)
    places = np.zeros((k, last - first + 1, into, fold), np.float32)
    places[taps, block - first, place, cells] = 1
    wide = jnp.einsum("htcd,tnsr->hnscrd", kernel, jnp.asarray(places, kernel.dtype))
    return wide.reshape(k, -1, into * channels, fold * features), (-first, last)


def _matrix_product(x: Array, kernel: Array) -> Array:
    """Each cell's channels times the (c, d) kernel.

    Flattened first: left four-dimensional, XLA's CPU backend takes 6 times longer for the
    gradient of the kernel.
    """
    return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], kernel.shape[-1])


def _every(x: Array, stride: int, padding: tuple[int, int]) -> Array:
    """The cells that a kernel of one cell with this stride and padding looks at."""
    if padding != (0, 0):
        both = (*padding, 0)
        x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), both, both, (0, 0, 0)])
    return x[:, ::stride, ::stride]


class ConvNorm(nn.Module):
    """Convolution, ghost norm and an activation (none: pass None)."""

    features: int
    ghost_size: int
    kernel_size: int = 3
    stride: int = 1
    shift: int = 0
    activation: Callable[[Array], Array] | None = nn.relu
    scale_init: nn.initializers.Initializer = nn.initializers.ones_init()
    epsilon: float = 1e-3
    fold: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Inexact[Array, "b h w c"], train: bool) -> Inexact[Array, "b h2 w2 d"]:
        """Applies the three in turn; with `fold` from and to folded maps, as `Conv` does."""
        y = Conv(
            self.features,
            self.kernel_size,
            self.stride,
            self.shift,
            fold=self.fold,
            dtype=self.dtype,
            name="conv",
        )(x)
        norm = GhostNorm(
            self.ghost_size,
            epsilon=self.epsilon,
            fold=self.fold,
            scale_init=self.scale_init,
            name="norm",
        )
        y = norm(y, train)
        return y if self.activation is None else self.activation(y)


def space_to_depth(x: Inexact[Array, "b h w c"], factor: int) -> Inexact[Array, "b h2 w2 c2"]:
    """Folds blocks of factor × factor cells into channels, ordered row, column, channel."""
    b, h, w, c = x.shape
    if h % factor or w % factor:
        raise ValueError(
            f"{h} × {w} cells do not fold into blocks of {factor}: "
            f"use an image side that the network's stride divides"
        )
    blocks = x.reshape(b, h // factor, factor, w // factor, factor, c)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // factor, w // factor, -1)


def normalise_pixels(
    images: Float[Array, "b h w 3"],
    dtype: DTypeLike,
    mean: Colour = (0.5, 0.5, 0.5),
    std: Colour = (0.5, 0.5, 0.5),
) -> Inexact[Array, "b h w 3"]:
    """(x − mean) / std per colour for pixels in [0, 1]; by default 2x − 1."""
    factor = 1 / jnp.asarray(std, jnp.float32).reshape(1, 1, 1, 3)
    offset = jnp.asarray(mean, jnp.float32).reshape(1, 1, 1, 3) * factor
    return (images * factor - offset).astype(dtype)


def pixel_statistics(name: str) -> tuple[Colour, Colour]:
    """The mean and deviation of PIXELS for `normalise_pixels`; a ValueError for another name."""
    if name not in PIXELS:
        raise ValueError(f"pixels is {name!r}; it must be one of {', '.join(PIXELS)}")
    return PIXELS[name]
