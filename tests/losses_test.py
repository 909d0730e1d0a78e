"""Losses are masked means: what is not labelled never counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax import losses
from acae_jax.geometry import heatmaps

TRUE = jax.random.normal(jax.random.key(0), (4, 6, 3)) * 300 + jnp.array([[[0.0, 0.0, 3000.0]]])
VALID = jax.random.bernoulli(jax.random.key(1), 0.7, (4, 6)).at[:, 0].set(True)


def test_mean_relative_loss_ignores_translation_and_unlabelled_joints():
    moved = TRUE + jax.random.normal(jax.random.key(2), (4, 1, 1)) * 500
    spoiled = jnp.where(VALID[..., None], moved, 1e6)
    assert losses.mean_relative_loss(spoiled, TRUE, VALID) < 1e-6


def test_losses_are_in_metres():
    offset = jnp.zeros((4, 6, 3)).at[:, ::2, 0].set(300.0)
    everything = jnp.ones((4, 6), bool)
    # Half of the joints are 150 mm too far left and half too far right, in one of three axes.
    loss = losses.mean_relative_loss(TRUE + offset, TRUE, everything)
    np.testing.assert_allclose(loss, 0.150 / 3, rtol=1e-3)
    np.testing.assert_allclose(losses.absolute_loss(TRUE + 100.0, TRUE, everything), 0.1, rtol=1e-3)


def test_absolute_depth_of_distant_people_counts_less():
    far = TRUE + jnp.array([[[0.0, 0.0, 40_000.0]]])
    everything = jnp.ones((4, 6), bool)
    deeper = jnp.array([[[0.0, 0.0, 300.0]]])
    near_loss = losses.absolute_loss(TRUE + deeper, TRUE, everything)
    far_loss = losses.absolute_loss(far + deeper, far, everything)
    assert far_loss < 0.3 * near_loss


def test_a_sum_over_labelled_joints_is_not_a_mean_of_means():
    values = jnp.array([[1.0, 1.0, 1.0], [9.0, 0.0, 0.0]])
    mask = jnp.array([[True, True, True], [True, False, False]])
    np.testing.assert_allclose(losses.masked_mean(values, mask), 3.0)


@pytest.mark.parametrize(
    "loss", [losses.mean_relative_loss, losses.absolute_loss], ids=["relative", "absolute"]
)
def test_nothing_labelled_costs_nothing_and_pushes_nothing(loss):
    nothing = jnp.zeros((4, 6), bool)
    value, gradient = jax.value_and_grad(loss)(TRUE + 1.0, TRUE, nothing)
    assert value == 0
    assert not jnp.any(gradient)


def test_projection_behind_the_camera_stays_finite():
    intrinsics = jnp.broadcast_to(jnp.array([[300.0, 0, 64], [0, 300, 64], [0, 0, 1]]), (1, 3, 3))
    points = jnp.array([[[10.0, 20.0, -500.0], [10.0, 20.0, 0.0], [100.0, -50.0, 1000.0]]])
    gradient = jax.grad(lambda p: jnp.sum(losses.project_px(p, intrinsics)))(points)
    assert jnp.all(jnp.isfinite(gradient))
    np.testing.assert_allclose(losses.project_px(points, intrinsics)[0, 2], [94.0, 49.0])


def test_heatmap_loss_is_least_at_the_place_and_dislikes_the_middle_of_two():
    def loss(logits, at, valid=True):
        found = heatmaps.marginals(jnp.asarray(logits)[None, ..., None], (2, 1))
        return float(losses.heatmap_loss(found, jnp.array([[at]]), jnp.array([[valid]])))

    flat = np.zeros((5, 5), np.float32)
    np.testing.assert_allclose(loss(flat, (0.25, 0.5)), np.log(25), rtol=1e-5)
    sharp, two = flat.copy(), flat.copy()
    sharp[2, 1] = 20.0  # row 2 of 0 … 4: y = 0.5; column 1: x = 0.25
    two[2, [0, 4]] = 20.0  # whose expectation is the middle
    assert loss(sharp, (0.25, 0.5)) < 1e-5 < 10 < loss(sharp, (0.5, 0.25))
    assert loss(two, (0.5, 0.5)) > 10 > 1 > loss(two, (0.0, 0.5))
    assert loss(two, (0.5, 0.5), valid=False) == 0
