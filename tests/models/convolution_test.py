"""Dense and depthwise convolutions against XLA's own, and where strided layers look."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from acae_jax.models import depthwise, layers, platform

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def random(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_padding_is_fixed_and_moves_with_the_shift():
    assert [layers.fixed_padding(k) for k in (1, 2, 3, 5, 7)] == [
        (0, 0),
        (0, 1),
        (1, 1),
        (2, 2),
        (3, 3),
    ]
    assert layers.fixed_padding(3, shift=1) == (0, 2)
    assert layers.fixed_padding(1, shift=1) == (-1, 1)


@pytest.mark.parametrize(
    "kernel_size, stride, shift, side",
    [
        (1, 1, 0, 6),
        (1, 2, 0, 7),
        (1, 2, 1, 7),
        (1, 2, 1, 6),
        (2, 1, 0, 6),
        (3, 2, 0, 7),
        (3, 2, 1, 7),
    ],
)
@pytest.mark.parametrize("kind", ["cpu", "tpu"])
def test_conv_equals_xla_convolution(kernel_size, stride, shift, side, kind):
    x = random(2, side, side, 3)
    module = layers.Conv(4, kernel_size, stride, shift)
    with platform.compiling_for(kind):
        variables = module.init(jax.random.key(0), x)
        result = module.apply(variables, x)
    padding = layers.fixed_padding(kernel_size, shift)
    expected = lax.conv_general_dilated(
        x,
        variables["params"]["kernel"],
        (stride, stride),
        (padding, padding),
        dimension_numbers=DIMENSIONS,
    )
    assert result.shape == (2, -(-side // stride), -(-side // stride), 4)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("shift", [0, 1])
def test_the_middle_tap_of_a_strided_layer_looks_at_shifted_cells(kernel_size, shift):
    column = jnp.broadcast_to(jnp.arange(8.0).reshape(1, 1, 8, 1), (1, 8, 8, 1))
    middle = kernel_size // 2
    kernel = jnp.zeros((kernel_size, kernel_size, 1, 1)).at[middle, middle].set(1.0)
    variables = {"params": {"kernel": kernel}}
    for module in (
        layers.Conv(1, kernel_size, 2, shift),
        depthwise.DepthwiseConv(kernel_size, 2, shift),
    ):
        seen = module.apply(variables, column)[0, 1, :, 0]
        np.testing.assert_array_equal(seen, np.arange(0, 8, 2) + shift)


@pytest.mark.parametrize(
    "kernel_size, stride, shift, size",
    [(3, 1, 0, (7, 9)), (3, 2, 0, (8, 7)), (3, 2, 1, (8, 8)), (5, 1, 0, (6, 5)), (5, 2, 1, (7, 8))],
)
def test_depthwise_forms_are_equal_with_their_gradients(kernel_size, stride, shift, size):
    x = random(2, *size, 6)
    kernel = random(kernel_size, kernel_size, 1, 6, seed=1)
    padding = layers.fixed_padding(kernel_size, shift)

    def with_gradients(form):
        y, gradients = jax.vjp(lambda x, kernel: form(x, kernel, stride, padding), x, kernel)
        return y, gradients(jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))

    expected = jax.jit(partial(with_gradients, depthwise.grouped))()
    for form in (depthwise.shifted, depthwise.convolve):
        result = jax.jit(partial(with_gradients, form))()
        close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
        jax.tree.map(close, result, expected)


def test_depthwise_lowers_to_one_form_on_each_platform():
    x, kernel = random(1, 8, 8, 4), random(3, 3, 1, 4)
    gradient = jax.grad(
        lambda x, kernel: jnp.sum(jnp.square(depthwise.convolve(x, kernel, 1, (1, 1)))), (0, 1)
    )
    traced = jax.jit(gradient).trace(x, kernel)
    assert "stablehlo.convolution" not in traced.lower(lowering_platforms=("cpu",)).as_text()
    for kind in ("cuda", "tpu"):
        text = traced.lower(lowering_platforms=(kind,)).as_text()
        assert "stablehlo.convolution" in text
        assert "stablehlo.while" not in text


def test_depthwise_in_bfloat16_keeps_its_dtype_and_sums_in_float32():
    module = depthwise.DepthwiseConv(dtype=jnp.bfloat16)
    x = random(2, 8, 8, 6)
    variables = module.init(jax.random.key(0), x)
    kernel = variables["params"]["kernel"]
    assert kernel.dtype == jnp.float32
    result = module.apply(variables, x)
    assert result.dtype == jnp.bfloat16
    rounded = [a.astype(jnp.bfloat16).astype(jnp.float32) for a in (x, kernel)]
    expected = depthwise.grouped(*rounded, 1, (1, 1))
    np.testing.assert_allclose(result.astype(jnp.float32), expected, rtol=1e-2, atol=1e-6)


def test_space_to_depth_keeps_blocks_together():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    folded = layers.space_to_depth(x, 2)
    np.testing.assert_array_equal(folded[0, 0, 1], [2, 3, 6, 7])
    with pytest.raises(ValueError, match="5 × 4 cells do not fold into blocks of 2"):
        layers.space_to_depth(jnp.zeros((1, 5, 4, 1)), 2)
