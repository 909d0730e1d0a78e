"""The affine-combining autoencoder keeps its identities, and learns what was planted."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from acae_jax.estimation.model import autoencoder

NAMES = ("neck", "lhip", "rhip", "pelv", "rkne", "lkne", "lank_b", "rank_b")
LATENTS = autoencoder.Latents(sided=2, central=1)


@pytest.fixture(scope="module")
def learned():
    """Raw weights away from their initial values, and the joints' sides."""
    sides = autoencoder.sides_of(NAMES)
    return autoencoder.init(jax.random.key(3), sides, LATENTS), sides


def random_poses(key):
    return 300 * jax.random.normal(jax.random.key(key), (5, len(NAMES), 3)) + 2000.0


def test_sides_pair_left_with_right():
    sides = autoencoder.sides_of(NAMES)
    assert [NAMES[i] for i in sides.left] == ["lhip", "lkne", "lank_b"]
    assert [NAMES[i] for i in sides.right] == ["rhip", "rkne", "rank_b"]
    assert [NAMES[i] for i in sides.centre] == ["neck", "pelv"]
    assert sorted(sides.order) == list(range(len(NAMES)))


def test_rows_sum_to_one(learned):
    maps = autoencoder.matrices(*learned)
    assert maps.encode.shape == (LATENTS.total, len(NAMES))
    assert maps.decode.shape == (len(NAMES), LATENTS.total)
    np.testing.assert_allclose(jnp.sum(maps.encode, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(jnp.sum(maps.decode, axis=1), 1.0, atol=1e-6)


def test_commutes_with_affine_maps(learned):
    maps = autoencoder.matrices(*learned)
    poses = random_poses(0)
    linear = jax.random.normal(jax.random.key(1), (3, 3))
    offset = jnp.array([[[100.0, -700.0, 3000.0]]])

    def moved(points):
        return jnp.einsum("bjc,dc->bjd", points, linear, precision="highest") + offset

    for function in (autoencoder.reconstruct, autoencoder.to_latents):
        np.testing.assert_allclose(
            function(maps, moved(poses)), moved(function(maps, poses)), rtol=1e-4, atol=0.05
        )


def test_mirrored_joints_give_mirrored_latents(learned):
    params, sides = learned
    maps = autoencoder.matrices(params, sides)
    mirror = np.arange(len(NAMES))
    mirror[list(sides.left)], mirror[list(sides.right)] = sides.right, sides.left
    poses = random_poses(2)
    flipped = poses[:, mirror] * jnp.array([[[-1.0, 1.0, 1.0]]])
    latents = autoencoder.to_latents(maps, poses)
    expected = latents[:, autoencoder.latent_mirror(LATENTS)] * jnp.array([[[-1.0, 1.0, 1.0]]])
    np.testing.assert_allclose(autoencoder.to_latents(maps, flipped), expected, atol=0.01)
    again = autoencoder.reconstruct(maps, poses)[:, mirror] * jnp.array([[[-1.0, 1.0, 1.0]]])
    np.testing.assert_allclose(autoencoder.reconstruct(maps, flipped), again, atol=0.01)


def test_the_loss_of_ordered_poses_is_that_of_the_matrices(learned):
    params, sides = learned
    poses = random_poses(4)
    ordered = jnp.swapaxes(poses[:, sides.order], 1, 2)
    _, metrics = autoencoder.loss(params, ordered, 0.0, projected=False)
    maps = autoencoder.matrices(params, sides)
    error = jnp.mean(jnp.abs(poses - autoencoder.reconstruct(maps, poses))) / 1000.0
    np.testing.assert_allclose(metrics["reconstruction"], error, rtol=1e-4)


def test_projected_loss_ignores_the_distance_along_the_ray(learned):
    """Scaling one pose about the camera changes no image, so only the metre scale of its plane."""
    params, sides = learned
    ordered = jnp.swapaxes(random_poses(5)[:, sides.order], 1, 2)
    near, far = (
        autoencoder.loss(params, scale * ordered, 0.0, projected=True)[0] for scale in (1.0, 2.0)
    )
    np.testing.assert_allclose(far, 2 * near, rtol=1e-4)


@pytest.mark.parametrize("projected", [False, True])
def test_recovers_planted_latents_to_a_millimetre(projected):
    """Poses made of known latent points come back to 1 mm through a learned bottleneck."""
    names = [f"{side}p{i}" for side in "lr" for i in range(20)] + [f"c{i}" for i in range(12)]
    sides, latents = autoencoder.sides_of(names), autoencoder.Latents(4, 3)
    _, decode = autoencoder.ordered_weights(autoencoder.init(jax.random.key(7), sides, latents))
    points = 300 * jax.random.normal(jax.random.key(0), (4096, 3, latents.total))
    poses = (points + jnp.array([[[0.0], [0.0], [3500.0]]])) @ decode
    epochs = 40
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, epochs * len(poses) // 32))
    params = autoencoder.init(jax.random.key(1), sides, latents)
    state = autoencoder.State(params, optimizer.init(params))
    for epoch in range(epochs):
        key = jax.random.fold_in(jax.random.key(2), epoch)
        state, _ = autoencoder.train_epoch(
            state, poses, key, 0.0, optimizer=optimizer, batch_size=32, projected=projected
        )
    encode, decode = autoencoder.ordered_weights(state.params)
    errors = jnp.linalg.norm(poses - (poses @ encode) @ decode, axis=1)
    assert jnp.mean(jnp.linalg.norm(poses - poses.mean(axis=2, keepdims=True), axis=1)) > 50
    assert jnp.mean(errors) < 1.0
