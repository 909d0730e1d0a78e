"""The virtual camera of a crop, and its warp."""

import numpy as np
import pytest

from acae_jax.geometry import cameras
from acae_jax.images import crops

INTRINSICS = np.array([[310.0, 2, 95], [0, 290, 70], [0, 0, 1]])


def warp(image, stored, crop, side_px):
    return crops.warp(image, cameras.homography(crop, stored), side_px)


def stored_camera() -> cameras.Camera:
    camera = cameras.create(INTRINSICS, position_mm=np.array([100.0, -50, 30]))
    return cameras.turn_towards(camera, world_point_mm=np.array([500.0, 300, 2000]))


@pytest.mark.parametrize("box", [(20, 15, 60, 100), (40, 60, 120, 50), (30, 40, 50, 50)])
@pytest.mark.parametrize("side_px", [64, 129])
def test_the_box_fills_the_crop(box, side_px):
    stored, box = stored_camera(), np.array(box, float)
    crop = crops.camera(stored, box, side_px)
    centre = box[:2] + box[2:] / 2
    along = np.array([0, box[3] / 2]) if box[3] > box[2] else np.array([box[2] / 2, 0])
    ends = cameras.reproject(stored, crop, np.stack([centre - along, centre + along]))
    middle = cameras.reproject(stored, crop, centre)
    np.testing.assert_allclose(middle, [(side_px - 1) / 2] * 2, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(ends[1] - ends[0]), side_px, rtol=1e-9)
    focal = crop.intrinsics[0, 0]
    expected = [[focal, 0, (side_px - 1) / 2], [0, focal, (side_px - 1) / 2], [0, 0, 1]]
    np.testing.assert_allclose(crop.intrinsics, expected, atol=1e-9)
    np.testing.assert_allclose(crop.rotation @ crop.rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(crop.position_mm, stored.position_mm)


@pytest.mark.parametrize("lens", [(0.0,) * 5, (-0.2, 0.05, 0.003, -0.002, 0.01)])
@pytest.mark.parametrize("flipped", [False, True])
def test_the_camera_is_composed_of_the_stated_changes(lens, flipped):
    """What is written out for speed equals turning, undistorting, zooming, rolling, flipping."""
    stored = stored_camera()
    stored = cameras.create(*stored[:3], np.array(lens))
    stored = cameras.flip(stored) if flipped else stored
    box, view = np.array([20.0, 15, 60, 100]), crops.View(zoom=1.2, roll=0.3, flip=True)
    turned = cameras.turn_towards(stored, image_point_px=box[:2] + box[2:] / 2)
    turned = cameras.square_pixels(cameras.undistort(turned))
    turned = cameras.centre_principal_point(turned, 65)
    ends = cameras.reproject(stored, turned, np.array([[50.0, 15], [50, 115]]))
    turned = cameras.zoom(turned, 1.2 * 65 / np.linalg.norm(ends[1] - ends[0]))
    composed = cameras.flip(cameras.roll(turned, 0.3))
    for found, expected in zip(crops.camera(stored, box, 65, view), composed, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12, rtol=1e-12)


def test_zoom_roll_and_flip_act_about_the_crop_centre():
    stored, box = stored_camera(), np.array([20.0, 15, 60, 100])
    points = stored.position_mm + np.random.default_rng(0).normal(size=(8, 3)) * 100
    points = points + 2000 * stored.rotation[2]
    plain = cameras.project(crops.camera(stored, box, 65), points) - 32
    zoomed = cameras.project(crops.camera(stored, box, 65, crops.View(zoom=1.2)), points) - 32
    np.testing.assert_allclose(zoomed, 1.2 * plain)
    flipped = cameras.project(crops.camera(stored, box, 65, crops.View(flip=True)), points) - 32
    np.testing.assert_allclose(flipped, plain * [-1, 1])
    rolled = cameras.project(crops.camera(stored, box, 65, crops.View(roll=0.3)), points) - 32
    turn = (rolled[:, 0] + 1j * rolled[:, 1]) / (plain[:, 0] + 1j * plain[:, 1])
    np.testing.assert_allclose(np.abs(np.angle(turn)), 0.3)
    np.testing.assert_allclose(np.abs(turn), 1)


def test_a_varied_camera_is_the_camera_of_the_view():
    stored, box, view = stored_camera(), np.array([20.0, 15, 60, 100]), crops.View(1.2, 0.3, True)
    varied = crops.varied(crops.camera(stored, box, 65), view)
    for part, expected in zip(varied, crops.camera(stored, box, 65, view), strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("view", [crops.PLAIN, crops.View(0.8, 2.0), crops.View(flip=True)])
def test_a_camera_around_a_region_has_its_top_above_its_middle(view):
    crop = crops.camera(stored_camera(), np.array([20.0, 15, 60, 100]), 65, view)
    region = np.array([[20.0, 40.0], [50.0, 30.0]])
    around = crops.around(crop, *region, side_px=81, radii=2.5)
    seen = cameras.reproject(crop, around, region)
    np.testing.assert_allclose(seen, [[40, 40], [40, 40 - 81 / 2.5]], atol=1e-9)
    np.testing.assert_allclose(
        np.linalg.det(around.rotation), np.linalg.det(crop.rotation), atol=1e-12
    )
    np.testing.assert_array_equal(around.position_mm, crop.position_mm)


def test_a_region_without_extent_is_an_error():
    crop = crops.camera(stored_camera(), np.array([20.0, 15, 60, 100]), 65)
    with pytest.raises(ValueError, match="must be two points"):
        crops.around(crop, np.full(2, 30.0), np.full(2, 30.0), side_px=81, radii=2.5)


def test_a_crop_of_the_whole_image_is_the_image():
    """Half-pixel conventions: the box spans [-0.5, side - 0.5]."""
    side = 33
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    intrinsics = np.array([[200.0, 0, 16], [0, 200, 16], [0, 0, 1]])
    stored, box = cameras.create(intrinsics), np.array([-0.5, -0.5, side, side])
    crop = crops.camera(stored, box, side)
    np.testing.assert_allclose(crop.intrinsics, intrinsics)
    np.testing.assert_array_equal(warp(image, stored, crop, side), image)
    mirrored = crops.camera(stored, box, side, crops.View(flip=True))
    np.testing.assert_array_equal(warp(image, stored, mirrored, side), image[:, ::-1])
    rolled = crops.camera(stored, box, side, crops.View(roll=np.pi / 2))
    np.testing.assert_array_equal(warp(image, stored, rolled, side), np.rot90(image))
    doubled = warp(image, stored, crops.camera(stored, box, 2 * side), 2 * side)
    # Each pixel becomes four, centred on where it was: their mean is a (1 6 1) / 8 blur of it.
    kernel = np.array([1, 6, 1]) / 8
    blurred = image.astype(float)
    for axis in (0, 1):
        blurred = np.apply_along_axis(np.convolve, axis, blurred, kernel, "same")
    means = doubled.astype(float).reshape(side, 2, side, 2, 3).mean((1, 3))
    np.testing.assert_allclose(means[1:-1, 1:-1], blurred[1:-1, 1:-1], atol=1.5)


def test_outside_of_the_stored_image_is_black():
    image = np.full((50, 40, 3), 255, np.uint8)
    stored = cameras.create(np.array([[200.0, 0, 19.5], [0, 200, 24.5], [0, 0, 1]]))
    crop = crops.camera(stored, np.array([0.0, 0, 80, 80]), 64)
    warped = warp(image, stored, crop, 64)
    assert warped[20, 10].min() == 255 and warped[-5:].max() == 0 and warped[:, -5:].max() == 0


def test_the_mask_channel_moves_with_the_image_and_changes_no_colour():
    image = np.random.default_rng(0).integers(0, 256, (50, 40, 4), dtype=np.uint8)
    image[..., 3] = image[..., 0]
    stored = stored_camera()
    crop = crops.camera(stored, np.array([5.0, 5, 30, 44]), 64, crops.View(1.1, 0.2, True))
    warped = warp(image, stored, crop, 64)
    np.testing.assert_array_equal(warped[..., 3], warped[..., 0])
    without = warp(np.ascontiguousarray(image[..., :3]), stored, crop, 64)
    np.testing.assert_array_equal(warped[..., :3], without)


@pytest.mark.parametrize("box", [(0, 0, 0, 10), (0, 0, 10, -1), (np.nan, 0, 3, 3)])
def test_a_box_without_extent_is_a_value_error(box):
    with pytest.raises(ValueError, match="has no extent"):
        crops.camera(stored_camera(), np.array(box, float), 64)
