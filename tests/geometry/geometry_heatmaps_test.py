"""Soft-argmax and the meaning of its coordinates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.geometry import heatmaps


def peak_at(shape, index, height=50.0):
    logits = np.zeros(shape, np.float32)
    logits[index] = height
    return logits


def soft_argmax(logits, axes):
    return heatmaps.expectation(heatmaps.marginals(logits, axes))


def test_a_sharp_peak_is_found_in_the_order_of_the_axes():
    logits = peak_at((2, 5, 9, 8, 3), (slice(None), 1, 6, 2))
    found = soft_argmax(logits, axes=(2, 1, 3))
    assert found.shape == (2, 3, 3)
    np.testing.assert_allclose(
        found, np.broadcast_to([6 / 8, 1 / 4, 2 / 7], found.shape), atol=1e-6
    )


def test_a_flat_map_gives_the_middle_and_a_constant_changes_nothing():
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(soft_argmax(np.zeros((4, 6)), (1, 0)), [0.5, 0.5])
    logits = rng.normal(size=(7, 4, 6))
    there = soft_argmax(logits + 1000, (-1, -2))
    np.testing.assert_allclose(there, soft_argmax(logits, (2, 1)), atol=1e-9)


def test_it_is_the_expectation_of_the_softmax():
    logits = np.random.default_rng(1).normal(size=(3, 4, 6))
    weights = np.exp(logits) / np.exp(logits).sum((1, 2), keepdims=True)
    x = (weights.sum(1) * np.linspace(0, 1, 6)).sum(-1)
    y = (weights.sum(2) * np.linspace(0, 1, 4)).sum(-1)
    np.testing.assert_allclose(soft_argmax(logits, (2, 1)), np.stack([x, y], -1))


def test_numpy_and_jax_agree_and_half_precision_is_widened():
    logits = np.random.default_rng(2).normal(size=(2, 4, 4, 8, 5)).astype(np.float32) * 5
    host = soft_argmax(logits, (2, 1, 3))
    device = jax.jit(lambda x: soft_argmax(x, (2, 1, 3)))(logits)
    np.testing.assert_allclose(device, host, atol=1e-6)
    half = jnp.asarray(logits, jnp.bfloat16)
    wide = soft_argmax(half, (2, 1, 3))
    assert wide.dtype == jnp.float32
    np.testing.assert_allclose(wide, soft_argmax(half.astype(jnp.float32), (2, 1, 3)), atol=1e-6)


def test_the_gradient_equals_that_of_the_plain_softmax():
    logits = jnp.asarray(np.random.default_rng(3).normal(size=(4, 6)), jnp.float32)

    def plain(x):
        weights = jax.nn.softmax(x.ravel()).reshape(x.shape)
        return jnp.sum(weights.sum(0) * jnp.linspace(0, 1, 6))

    gradient = jax.grad(lambda x: soft_argmax(x, (1, 0))[0])(logits)
    np.testing.assert_allclose(gradient, jax.grad(plain)(logits), atol=1e-6)


@pytest.mark.parametrize("stride", [4, 16, 32])
@pytest.mark.parametrize("side", [32, 96, 256, 384, 250])
def test_cells_are_a_stride_apart(side, stride):
    cells = -(-side // stride)
    coordinates = np.linspace(0, 1, cells) if cells > 1 else np.zeros(1)
    px = heatmaps.heatmap_to_px(coordinates[:, None], side, stride, centred=False)[:, 0]
    np.testing.assert_allclose(px, np.arange(cells) * stride, atol=1e-9)
    centred = heatmaps.heatmap_to_px(coordinates[:, None], side, stride, centred=True)[:, 0]
    np.testing.assert_allclose(centred, px + stride / 2, atol=1e-9)


def test_a_volume_is_metric():
    ends = np.array([[0.0, 0.0, 0.0], [1.0, 0.5, 1.0]])
    low, high = heatmaps.volume_to_mm(ends, 256, 32, 2200.0, centred=True)
    np.testing.assert_allclose(high - low, [224 * 2200 / 256, 112 * 2200 / 256, 2200])


def test_shares_are_the_inverse_of_the_expectation():
    coords = np.linspace(0, 1, 23)
    for cells in (2, 6, 9):
        shares = heatmaps.shares(coords, cells)
        np.testing.assert_allclose(shares.sum(-1), 1)
        np.testing.assert_allclose(shares @ np.linspace(0, 1, cells), coords, atol=1e-12)
        assert (np.count_nonzero(shares > 1e-12, axis=-1) <= 2).all()
    np.testing.assert_array_equal(heatmaps.shares(np.array([-3.0, 4.0]), 3), [[1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("centred", [True, False])
def test_pixels_and_coordinates_are_inverse(centred):
    px = np.random.default_rng(4).uniform(-20, 130, (5, 2))
    coords = heatmaps.px_to_heatmap(px, 96, 16, centred)
    np.testing.assert_allclose(heatmaps.heatmap_to_px(coords, 96, 16, centred), px)


def test_millimetres_and_coordinates_are_inverse():
    mm = np.random.default_rng(5).uniform(0, 2200, (5, 3))
    coords = heatmaps.mm_to_volume(mm, 96, 16)
    np.testing.assert_allclose(heatmaps.volume_to_mm(coords, 96, 16), mm)
