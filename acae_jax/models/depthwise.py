"""Depthwise convolution, a kernel for every channel, in the form that each platform does fastest.

XLA's CPU backend runs grouped convolutions by a generic loop. The same sum, written as k² shifted
multiply-adds over whole maps, is 10 to 30 times faster there (tests/speed/depthwise.py). GPU and
TPU keep the native grouped convolution. Which form runs is settled when the program is compiled
for its platform; parameters are the same and results equal up to rounding. Both forms are linear
in each argument, so the gradients are written out: differentiating the shifted form automatically
would spend most of the step on the gradient of the kernel.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact

from acae_jax.models.layers import PRODUCT, fixed_padding, he_normal


class DepthwiseConv(nn.Module):
    """Depthwise convolution with fixed padding; the parameter `kernel` has shape (k, k, 1, c)."""

    kernel_size: int = 3
    stride: int = 1
    shift: int = 0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Inexact[Array, "b h w c"]) -> Inexact[Array, "b h2 w2 c"]:
        """Convolves x, giving ⌈h / stride⌉ × ⌈w / stride⌉ cells."""
        k = self.kernel_size
        kernel = self.param("kernel", he_normal, (k, k, 1, x.shape[-1]), jnp.float32)
        padding = fixed_padding(k, self.shift)
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, padding)
        return checkpoint_name(y, PRODUCT)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(
    x: Inexact[Array, "b h w c"],
    kernel: Inexact[Array, "k k 1 c"],
    stride: int,
    padding: tuple[int, int],
) -> Inexact[Array, "b h2 w2 c"]:
    """Depthwise convolution of x with `padding` cells before and after both axes.

    Differentiable in reverse mode only.
    """
    return lax.platform_dependent(
        x,
        kernel,
        cpu=partial(shifted, stride=stride, padding=padding),
        default=partial(grouped, stride=stride, padding=padding),
    )


def grouped(
    x: Inexact[Array, "b h w c"],
    kernel: Inexact[Array, "k k 1 c"],
    stride: int,
    padding: tuple[int, int],
) -> Inexact[Array, "b h2 w2 c"]:
    """The convolution as XLA's grouped convolution."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        (padding, padding),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def shifted(
    x: Inexact[Array, "b h w c"],
    kernel: Inexact[Array, "k k 1 c"],
    stride: int,
    padding: tuple[int, int],
) -> Inexact[Array, "b h2 w2 c"]:
    """The convolution as shifted multiply-adds, summed in float32."""
    height, width = (_output_size(n, kernel.shape[0], stride, padding) for n in x.shape[1:3])
    both = (*padding, 0)
    padded = _pad(x, both, both)
    return _sum_of_taps(padded, kernel, stride, (height, width)).astype(x.dtype)


def _forward(x, kernel, stride, padding):
    return convolve(x, kernel, stride, padding), (x, kernel)


def _backward(stride, padding, residuals, cotangent):
    x, kernel = residuals

    def native(x, kernel, cotangent):
        form = partial(grouped, stride=stride, padding=padding)
        return jax.vjp(form, x, kernel)[1](cotangent)

    def by_shifts(x, kernel, cotangent):
        return (
            _gradient_of_input(cotangent, kernel, stride, padding, x.shape[1:3]).astype(x.dtype),
            _gradient_of_kernel(x, cotangent, kernel.shape[0], stride, padding).astype(
                kernel.dtype
            ),
        )

    return lax.platform_dependent(x, kernel, cotangent, cpu=by_shifts, default=native)


convolve.defvjp(_forward, _backward)


def _output_size(size: int, kernel_size: int, stride: int, padding: tuple[int, int]) -> int:
    return (size + sum(padding) - kernel_size) // stride + 1


def _pad(x: Array, rows: tuple[int, int, int], columns: tuple[int, int, int]) -> Array:
    """Pads (or, where negative, cuts) before and after, and between the cells."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), rows, columns, (0, 0, 0)])


def _sum_of_taps(padded: Array, kernel: Array, stride: int, size: tuple[int, int]) -> Array:
    """Σ_ij kernel_ij · (the cells that tap ij sees), float32."""
    height, width = size
    total = jnp.zeros((), jnp.float32)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            rows = slice(i, i + stride * (height - 1) + 1, stride)
            columns = slice(j, j + stride * (width - 1) + 1, stride)
            tap = kernel[i, j].reshape(1, 1, 1, -1).astype(jnp.float32)
            total = total + padded[:, rows, columns].astype(jnp.float32) * tap
    return total


def _gradient_of_input(cotangent, kernel, stride, padding, size) -> Array:
    """The transposed convolution: taps mirrored, stride become zeros between the cells."""
    k = kernel.shape[0]
    rows, columns = (
        (
            k - 1 - padding[0],
            size[axis] + padding[0] - (cotangent.shape[1 + axis] - 1) * stride - 1,
            stride - 1,
        )
        for axis in (0, 1)
    )
    return _sum_of_taps(_pad(cotangent, rows, columns), kernel[::-1, ::-1], 1, size)


def _gradient_of_kernel(x, cotangent, kernel_size, stride, padding) -> Array:
    """Σ over examples and cells of cotangent · x under each tap, float32.

    A loop over rows keeps the k² sums in cache; one reduction over everything is 3 to 5 times
    slower. The loop is not over the batch, which may be sharded.
    """
    k = kernel_size
    both = (*padding, 0)
    padded = _pad(x, both, both)
    height, width = cotangent.shape[1:3]

    def add_row(row, sums):
        cells = lax.dynamic_slice_in_dim(padded, row * stride, k, axis=1).astype(jnp.float32)
        above = lax.dynamic_index_in_dim(cotangent, row, axis=1, keepdims=False)
        above = above.astype(jnp.float32)
        products = [
            jnp.sum(cells[:, i, j : j + stride * (width - 1) + 1 : stride] * above, axis=(0, 1))
            for i in range(k)
            for j in range(k)
        ]
        return sums + jnp.stack(products)

    sums = lax.fori_loop(0, height, add_row, jnp.zeros((k * k, x.shape[-1]), jnp.float32))
    return sums.reshape(k, k, 1, x.shape[-1])
