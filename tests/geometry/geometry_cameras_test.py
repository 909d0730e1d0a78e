"""Identities of the cameras: round trips, agreement with OpenCV, and what each change promises."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.geometry import cameras, lens

LENS = np.array([0.12, -0.08, 0.003, -0.002, 0.02, 0.1, -0.03, 0.01, 0.002, -0.001, 0.003, 0.0005])


def some_rotation(rng):
    return cv2.Rodrigues(rng.normal(size=3))[0]


def some_camera(rng, distorted=True, dtype: type = np.float64):
    intrinsics = np.array([[1100.0, 3.0, 310.0], [0.0, 1150.0, 250.0], [0.0, 0.0, 1.0]])
    fields = intrinsics, some_rotation(rng), rng.normal(size=3) * 1000, LENS * distorted
    return cameras.Camera(*(field.astype(dtype) for field in fields))


def batch_of(*some):
    return cameras.Camera(*(np.stack(fields) for fields in zip(*some, strict=True)))


def in_front(rng, camera, n=20):
    points = rng.uniform([-800, -600, 2000], [800, 600, 5000], size=(n, 3))
    return cameras.camera_to_world(camera, points)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("distorted", [False, True])
def test_projection_equals_opencv(rng, distorted):
    camera = some_camera(rng, distorted)
    camera = camera._replace(intrinsics=camera.intrinsics * [[1, 0, 1], [1, 1, 1], [1, 1, 1]])
    points = in_front(rng, camera)
    rotation_vector = cv2.Rodrigues(camera.rotation)[0]
    translation = -camera.rotation @ camera.position_mm
    expected, _ = cv2.projectPoints(
        points, rotation_vector, translation, camera.intrinsics, camera.distortion
    )
    np.testing.assert_allclose(cameras.project(camera, points), expected[:, 0], atol=1e-6)


@pytest.mark.parametrize("distorted", [False, True])
def test_pixels_to_rays_and_back(rng, distorted):
    camera = some_camera(rng, distorted)
    points = cameras.world_to_camera(camera, in_front(rng, camera))
    rays = cameras.image_to_camera(camera, cameras.camera_to_image(camera, points))
    np.testing.assert_allclose(rays, points / points[:, 2:], atol=1e-9)


def test_a_strong_lens_is_inverted_to_the_last_digit():
    # Only a correct Jacobian converges this far in Newton's few steps.
    strong = np.array([0.3, 0.1, 0.03, -0.04, 0.05, 0.1, -0.03, 0.01, 0.03, -0.02, 0.04, 0.03])
    plane = np.stack(np.meshgrid(*[np.linspace(-0.6, 0.6, 13)] * 2), axis=-1)
    there = lens.distort(strong, plane)
    assert np.abs(there - plane).max() > 0.2
    np.testing.assert_allclose(lens.undo_distortion(strong, there), plane, rtol=0, atol=1e-13)


def test_world_round_trip_for_every_batch_shape(rng):
    one, two = some_camera(rng), some_camera(rng)
    both = batch_of(one, two)
    points = rng.normal(size=(2, 4, 5, 3)) * 1000
    there = cameras.world_to_camera(both, points)
    np.testing.assert_allclose(cameras.camera_to_world(both, there), points, atol=1e-9)
    np.testing.assert_allclose(there[1], cameras.world_to_camera(two, points[1]))
    np.testing.assert_allclose(
        cameras.project(both, points[:, 0, 0])[0], cameras.project(one, points[0, 0, 0])
    )


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("given", ["image", "world"])
def test_turn_towards_centres_the_target_upright(rng, flipped, given):
    camera = some_camera(rng)
    camera = cameras.flip(camera) if flipped else camera
    target = in_front(rng, camera, 1)[0]
    up = np.array([0.0, 0.0, 1.0])
    if given == "world":
        turned = cameras.turn_towards(camera, world_point_mm=target, up=up)
    else:
        at = cameras.project(camera, target)
        turned = cameras.turn_towards(camera, image_point_px=at, up=up)
    turned = cameras.undistort(turned)
    np.testing.assert_allclose(cameras.project(turned, target), camera.intrinsics[:2, 2], atol=1e-6)
    np.testing.assert_allclose(turned.rotation @ turned.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turned.rotation) * (-1 if flipped else 1) > 0
    above = cameras.project(turned, target + 100 * up)
    assert above[1] < camera.intrinsics[1, 2]
    assert turned.rotation[0] @ up == pytest.approx(0, abs=1e-12)


def test_turning_along_up_stays_a_rotation(rng):
    camera = some_camera(rng)
    above = camera.position_mm + np.array([0.0, 0.0, 1000.0])
    turned = cameras.turn_towards(camera, world_point_mm=above, up=np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(turned.rotation @ turned.rotation.T, np.eye(3), atol=1e-12)


def test_turn_towards_wants_one_target(rng):
    with pytest.raises(ValueError, match="exactly one"):
        cameras.turn_towards(some_camera(rng))


def test_flip_mirrors_pixels_about_the_principal_point(rng):
    camera = some_camera(rng)
    points = in_front(rng, camera)
    plain, mirrored = cameras.project(camera, points), cameras.project(cameras.flip(camera), points)
    centre_x = camera.intrinsics[0, 2]
    np.testing.assert_allclose(2 * centre_x - plain[:, 0], mirrored[:, 0], atol=1e-9)
    np.testing.assert_allclose(plain[:, 1], mirrored[:, 1], atol=1e-9)
    assert np.linalg.det(cameras.flip(camera).rotation) == pytest.approx(-1)


def test_a_centred_flipped_camera_mirrors_the_image(rng):
    side = 64
    camera = cameras.centre_principal_point(some_camera(rng), side)
    point = cameras.camera_to_world(camera, cameras.image_to_camera(camera, np.array([0.0, 5.0])))
    at = cameras.project(cameras.flip(camera), point)
    np.testing.assert_allclose(at, [side - 1, 5.0], atol=1e-6)


def test_roll_turns_the_picture_anticlockwise(rng):
    camera = cameras.square_pixels(cameras.undistort(some_camera(rng)))
    centre = camera.intrinsics[:2, 2]
    right = cameras.camera_to_world(camera, np.array([300.0, 0.0, 1000.0]))
    before = cameras.project(camera, right) - centre
    after = cameras.project(cameras.roll(camera, np.pi / 2), right) - centre
    np.testing.assert_allclose(after, [0.0, -before[0]], atol=1e-9)


def test_zoom_shift_and_scale_move_pixels_as_documented(rng):
    camera = some_camera(rng)
    points = in_front(rng, camera)
    px, centre = cameras.project(camera, points), camera.intrinsics[:2, 2]
    zoomed = cameras.project(cameras.zoom(camera, 1.3), points)
    np.testing.assert_allclose(zoomed, centre + 1.3 * (px - centre), atol=1e-9)
    shifted = cameras.project(cameras.shift(camera, np.array([4.0, -2.5])), points)
    np.testing.assert_allclose(shifted, px + np.array([4.0, -2.5]), atol=1e-9)
    scaled = cameras.project(cameras.scale_output(camera, 0.5), points)
    np.testing.assert_allclose(scaled, (px + 0.5) * 0.5 - 0.5, atol=1e-9)


def test_square_pixels_and_centre(rng):
    camera = cameras.centre_principal_point(cameras.square_pixels(some_camera(rng)), (128, 96))
    expected = [[1125, 0, 63.5], [0, 1125, 47.5], [0, 0, 1]]
    np.testing.assert_allclose(camera.intrinsics, expected)


def test_field_of_view_spans_the_longer_side():
    camera = cameras.create(cameras.field_of_view(np.deg2rad(55), 640, 480))
    edges = np.array([[-0.5, 239.5], [639.5, 239.5]], np.float32)
    rays = cameras.image_to_camera(camera, edges)
    angle = np.arctan(rays[1, 0]) - np.arctan(rays[0, 0])
    assert np.rad2deg(angle) == pytest.approx(55, abs=1e-4)


def test_homography_equals_reprojection_of_rays(rng):
    camera = cameras.undistort(some_camera(rng))
    other = cameras.turn_towards(camera, image_point_px=np.array([200.0, 300.0]))
    other = cameras.flip(cameras.roll(cameras.zoom(other, 0.8), 0.3))
    px = rng.uniform(0, 500, size=(30, 2))
    mapped = np.c_[px, np.ones(30)] @ cameras.homography(camera, other).T
    expected = cameras.reproject(camera, other, px)
    np.testing.assert_allclose(mapped[:, :2] / mapped[:, 2:], expected, atol=1e-8)
    points = in_front(rng, camera)
    there = cameras.reproject(camera, other, cameras.project(camera, points))
    np.testing.assert_allclose(there, cameras.project(other, points), atol=1e-8)


def test_create_fills_and_checks_distortion():
    camera = cameras.create(np.eye(3), distortion=np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    np.testing.assert_array_equal(camera.distortion, [0.1, 0.2, 0.3, 0.4, 0.5, *[0] * 7])
    with pytest.raises(ValueError, match="7 coefficients"):
        cameras.create(np.eye(3), distortion=np.zeros(7))


def virtual_crop(camera, target_px, points):
    """A crop camera as augmentation makes one, and where it sees the points."""
    turned = cameras.turn_towards(camera, image_point_px=target_px)
    turned = cameras.square_pixels(cameras.undistort(turned))
    turned = cameras.centre_principal_point(cameras.zoom(turned, 0.7), 256)
    turned = cameras.scale_output(cameras.flip(cameras.roll(turned, 0.2)), 1.5)
    turned = cameras.shift(turned, target_px * 0.01)
    return cameras.project(turned, points), cameras.homography(camera, turned)


def test_numpy_and_jax_agree_and_keep_float32(rng):
    both = batch_of(*(some_camera(rng, dtype=np.float32) for _ in range(2)))
    points = np.stack([in_front(rng, cameras.Camera(*(f[i] for f in both))) for i in range(2)])
    points = points.astype(np.float32)
    target = np.array([[200.0, 300.0], [350.0, 100.0]], np.float32)
    on_host = virtual_crop(both, target, points)
    on_device = jax.jit(virtual_crop)(jax.tree.map(jnp.asarray, both), target, points)
    mapped = jax.jit(jax.vmap(virtual_crop))(both, target, points)
    for host, device, vmapped in zip(on_host, on_device, mapped, strict=True):
        assert host.dtype == np.float32 and device.dtype == jnp.float32
        np.testing.assert_allclose(device, host, rtol=2e-4, atol=5e-3)
        np.testing.assert_allclose(vmapped, host, rtol=2e-4, atol=5e-3)


def test_gradients_are_finite_and_right(rng):
    camera = jax.tree.map(jnp.asarray, some_camera(rng, dtype=np.float32))

    def round_trip(plane):
        return lens.undo_distortion(camera.distortion, lens.distort(camera.distortion, plane))

    plane = jnp.array([0.15, -0.2])
    np.testing.assert_allclose(jax.jacobian(round_trip)(plane), np.eye(2), atol=1e-4)
    at_the_centre = jnp.zeros(3)
    gradient = jax.grad(lambda p: cameras.camera_to_image(camera, p).sum())(at_the_centre)
    assert np.isfinite(gradient).all()
