"""Absolute pose: known translations are recovered, and only joints in view matter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.geometry import absolute, cameras

SIDE, STRIDE = 256, 32


def scene(seed, batch=(3, 2), joints=17, size_mm=(300, 500, 200), dtype: type = np.float64):
    """Relative poses, their translations, their pixels and the crop's intrinsics."""
    rng = np.random.default_rng(seed)
    relative = rng.normal(size=(*batch, joints, 3)) * size_mm
    relative -= relative.mean(-2, keepdims=True)
    relative += rng.normal(size=(*batch, 1, 3)) * 100
    translation = rng.uniform([-200, -200, 4000], [200, 200, 7000], size=(*batch, 3))
    focal = rng.uniform(300, 400, size=batch)
    intrinsics = np.zeros((*batch, 3, 3))
    intrinsics[..., 0, 0] = intrinsics[..., 1, 1] = focal
    intrinsics[..., :2, 2], intrinsics[..., 2, 2] = (SIDE - 1) / 2, 1
    points = relative + translation[..., None, :]
    px = cameras.to_px(intrinsics, points[..., :2] / points[..., 2:])
    return [x.astype(dtype) for x in (px, relative, intrinsics, translation)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_full_perspective_recovers_the_translation(dtype):
    px, relative, intrinsics, expected = scene(0, dtype=dtype)
    found = absolute.full_perspective(px, relative, intrinsics, np.ones(px.shape[:-1], dtype))
    assert found.dtype == dtype
    # The ridge pulls towards the camera: by 0.005 / 17 of the depth, and 0.01 / 17 sideways.
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2)
    px, relative = (np.repeat(x, 100, axis=-2) for x in (px, relative))
    weights = np.ones(px.shape[:-1], dtype)
    found = absolute.full_perspective(px, relative, intrinsics, weights)
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_full_perspective_solves_the_ridge_regression_it_documents():
    px, relative, intrinsics, _ = (x[0, 0] for x in scene(1))
    px = px + np.random.default_rng(1).normal(size=px.shape) * 5 + 30
    weights = np.random.default_rng(2).uniform(0.1, 1, size=17)
    plane = cameras.to_plane(intrinsics, px)
    w = np.repeat(weights, 2)
    third = -plane.ravel()
    rms = np.sqrt((w * third**2).sum() / w.sum())
    a = np.stack([np.tile([1.0, 0.0], 17), np.tile([0.0, 1.0], 17), third / rms], -1)
    b = (plane * relative[:, 2:] - relative[:, :2]).ravel()
    expected = np.linalg.solve(a.T @ (w[:, None] * a) + 1e-2 * np.eye(3), a.T @ (w * b))
    expected[2] /= rms
    found = absolute.full_perspective(px, relative, intrinsics, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_weak_perspective_is_exact_for_flat_and_close_for_deep_people():
    px, relative, intrinsics, expected = scene(3, size_mm=(300, 500, 0))
    weights = np.ones(px.shape[:-1])
    found = absolute.weak_perspective(px, relative, intrinsics, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=0.1)
    px, relative, intrinsics, expected = scene(3)
    found = absolute.weak_perspective(px, relative, intrinsics, weights)
    np.testing.assert_allclose(found[..., 2], expected[..., 2], rtol=0.05)
    np.testing.assert_allclose(found[..., :2], expected[..., :2], atol=40)


@pytest.mark.parametrize("weak", [True, False])
def test_joints_without_weight_do_not_matter(weak):
    solve = absolute.weak_perspective if weak else absolute.full_perspective
    px, relative, intrinsics, _ = scene(4)
    weights = np.ones(px.shape[:-1])
    weights[..., ::4] = 0
    before = solve(px, relative, intrinsics, weights)
    px[..., ::4, :] += 50
    np.testing.assert_allclose(solve(px, relative, intrinsics, weights), before, rtol=1e-9)


def test_in_view_is_symmetric_about_the_centre():
    edge = np.array([[23.5, 100.0], [23.4, 100.0], [100.0, 231.5], [100.0, 231.6]])
    np.testing.assert_array_equal(absolute.in_view(edge, 256, 24.0), [True, False, True, False])
    assert absolute.in_view(np.array([-5.0, 260.0]), 256, -20.0)


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
def test_consistent_2d_and_3d_give_the_pose_whatever_the_mix(mix):
    px, relative, intrinsics, translation = scene(5)
    poses = absolute.reconstruct(px, relative, intrinsics, SIDE, STRIDE, mix)
    np.testing.assert_allclose(poses, relative + translation[..., None, :], rtol=2e-3, atol=3)


def test_mixing_happens_in_view_only_and_per_pose():
    px, relative, intrinsics, _ = scene(6, batch=(2,))
    px[:, 0] = [3.0, 128.0]  # out of view
    px[:, 1] = [140.0, 110.0]
    mix = np.array([0.0, 1.0])
    plain, back = absolute.reconstruct(px, relative, intrinsics, SIDE, STRIDE, mix)
    visible = absolute.in_view(px, SIDE, 24.0)
    assert visible.any(-1).all() and not visible.all(-1).any()
    seen = cameras.to_px(intrinsics[1], back[:, :2] / back[:, 2:])
    np.testing.assert_allclose(seen[visible[1]], px[1][visible[1]], atol=1e-6)
    assert np.abs(seen[0] - px[1, 0]).max() > 5
    np.testing.assert_allclose(plain - plain[:1], relative[0] - relative[0, :1], atol=1e-8)


def test_numpy_and_jax_agree_and_weak_may_be_traced():
    px, relative, intrinsics, _ = scene(7, dtype=np.float32)

    def solve(px, relative, intrinsics, mix, weak):
        return absolute.reconstruct(px, relative, intrinsics, SIDE, STRIDE, mix, weak)

    mix = np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2)
    arguments = px, relative, intrinsics, mix
    for weak in (True, False):
        host = solve(*arguments, weak)
        device = jax.jit(solve)(*arguments, jnp.asarray(weak))
        mapped = jax.vmap(solve, (0, 0, 0, 0, None))(*arguments, jnp.asarray(weak))
        assert host.dtype == np.float32 and device.dtype == jnp.float32
        np.testing.assert_allclose(device, host, rtol=1e-4, atol=0.5)
        np.testing.assert_allclose(mapped, host, rtol=1e-4, atol=0.5)


@pytest.mark.parametrize("weak", [True, False])
@pytest.mark.parametrize("case", ["usual", "one point", "all out of view"])
def test_gradients_are_finite(weak, case):
    px, relative, intrinsics, _ = (jnp.asarray(x) for x in scene(8, dtype=np.float32))
    if case == "one point":
        px, relative = jnp.full_like(px, (SIDE - 1) / 2), jnp.zeros_like(relative)
    if case == "all out of view":
        px = px + 1000

    def loss(px, relative):
        poses = absolute.reconstruct(px, relative, intrinsics, SIDE, STRIDE, 0.5, weak)
        return jnp.sum(jnp.abs(poses))

    value, gradients = jax.jit(jax.value_and_grad(loss, (0, 1)))(px, relative)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
