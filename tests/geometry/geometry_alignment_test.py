"""Procrustes: recovery of planted similarities, never a reflection, finite derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.geometry import alignment, rotations


def planted(seed, batch=(4, 2), joints=17):
    """A pose, its similarity transform, and a mask that leaves out five joints."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(size=(*batch, joints, 3)) * 300
    rotation = rotations.nearest_rotation(rng.normal(size=(*batch, 3, 3)))
    offset = rng.normal(size=(*batch, 1, 3)) * 2000
    factor = rng.uniform(0.5, 2, size=(*batch, 1, 1))
    mask = np.ones((*batch, joints), bool)
    mask[..., [1, 4, 5, 9, 16]] = False
    return pose, factor * (pose @ rotation.mT) + offset, mask


def test_a_planted_similarity_is_recovered_despite_masked_outliers():
    pose, target, mask = planted(0)
    outliers = target.copy()
    outliers[~mask] += 5000
    outliers[..., 1, :] = np.nan
    aligned = alignment.procrustes(pose, outliers, mask)
    np.testing.assert_allclose(aligned, target, atol=1e-8)


def test_without_scale_the_size_is_kept():
    pose, target, mask = planted(1)
    aligned = alignment.procrustes(pose, target, mask, scale=False)
    bones, kept = np.diff(pose, axis=-2), np.diff(aligned, axis=-2)
    np.testing.assert_allclose(np.linalg.norm(kept, axis=-1), np.linalg.norm(bones, axis=-1))
    same_size = target / np.linalg.norm(np.diff(target[..., :2, :], axis=-2), axis=-1)[..., None]
    same_size = same_size * np.linalg.norm(bones[..., :1, :], axis=-1)[..., None]
    aligned = alignment.procrustes(pose, same_size, mask, scale=False)
    np.testing.assert_allclose(aligned, same_size, atol=1e-8)


def test_a_mirror_image_is_not_reached_by_reflection():
    pose, _, mask = planted(2)
    mirrored = pose * [[-1.0, 1.0, 1.0]]
    aligned = alignment.procrustes(pose, mirrored, mask)
    assert (np.linalg.norm(aligned - mirrored, axis=-1)[mask].mean()) > 50
    turned = rotations.nearest_rotation(np.einsum("...ji,...jk->...ik", mirrored, pose))
    np.testing.assert_allclose(np.linalg.det(turned), 1)


def test_no_other_similarity_is_closer():
    rng = np.random.default_rng(3)
    pose, target, mask = planted(3, batch=())
    target = target + rng.normal(size=target.shape) * 100
    best = alignment.procrustes(pose, target, mask)
    error = ((best - target)[mask] ** 2).sum()
    centre = best[mask].mean(0)
    for _ in range(50):
        turn = rotations.nearest_rotation(np.eye(3) + rng.normal(size=(3, 3)) * 0.01)
        other = (best - centre) @ turn.T * rng.uniform(0.99, 1.01) + centre
        assert ((other - target)[mask] ** 2).sum() > error


def test_numpy_and_jax_agree_and_keep_float32():
    pose, target, mask = planted(4)
    pose, target = pose.astype(np.float32), target.astype(np.float32)
    host = alignment.procrustes(pose, target, mask)
    device = jax.jit(alignment.procrustes)(pose, target, mask)
    mapped = jax.jit(jax.vmap(alignment.procrustes))(pose, target, mask)
    assert host.dtype == np.float32 and device.dtype == jnp.float32
    np.testing.assert_allclose(device, host, atol=0.01)
    np.testing.assert_allclose(mapped, host, atol=0.01)


def test_the_derivative_of_a_rotation_is_that_of_finite_differences():
    rng = np.random.default_rng(5)
    for sign in (1, -1):  # with -1 the nearest orthogonal matrix is a reflection
        matrix = rotations.nearest_rotation(rng.normal(size=(3, 3))) * [3.0, 2.0, sign]
        change = rng.normal(size=(3, 3))
        step = 1e-5
        ends = [rotations.nearest_rotation(matrix + s * step * change) for s in (1, -1)]
        expected = (ends[0] - ends[1]) / (2 * step)
        _, derivative = jax.jvp(
            rotations.nearest_rotation, (jnp.asarray(matrix),), (jnp.asarray(change),)
        )
        np.testing.assert_allclose(derivative, expected, atol=1e-4)


@pytest.mark.parametrize("case", ["generic", "equal spreads", "plane", "line", "one", "none"])
def test_gradients_are_finite(case):
    pose, target, mask = (x[0, 0] for x in planted(6))
    flatten = {"plane": [1.0, 1.0, 0.0], "line": [1.0, 0.0, 0.0]}.get(case, [1.0, 1.0, 1.0])
    if case == "equal spreads":
        axes = np.concatenate([np.eye(3), -np.eye(3)]) * 100
        pose, target, mask = axes, axes, np.ones(6, bool)
    if case in ("one", "none"):
        mask = np.arange(17) < (case == "one")
    pose, target = (jnp.asarray(x * np.array([flatten]), jnp.float32) for x in (pose, target))

    def loss(pose, target):
        return jnp.sum(jnp.abs(alignment.procrustes(pose, target, mask) - target * 0.9))

    for gradient in jax.jit(jax.grad(loss, (0, 1)))(pose, target):
        assert np.isfinite(gradient).all()


def test_relative_poses():
    pose, _, mask = planted(7)
    centred = alignment.mean_relative(pose, mask)
    np.testing.assert_allclose((centred * mask[..., None]).sum(-2), 0, atol=1e-9)
    np.testing.assert_allclose(np.diff(centred, axis=-2), np.diff(pose, axis=-2), atol=1e-9)
