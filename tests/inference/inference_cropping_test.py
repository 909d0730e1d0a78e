"""Crops show what their cameras see: places, sizes, lenses, brightness, and no aliases."""

import cv2
import numpy as np
import pytest

from acae_jax.bundles.facts import Variation
from acae_jax.geometry import cameras, lens
from acae_jax.images import crops as virtual
from acae_jax.inference import arguments, box_poses, cropping, framing, variants, visible_boxes

SIDE_PX = 64
PLAIN = variants.Variant()
LENS = np.array([-0.3, 0.1, 0.004, -0.003, 0.02])
INTRINSICS = np.array([[420.0, 3, 300], [0, 400, 230], [0, 0, 1]])


def drawn(image, camera, box, variant=PLAIN, antialias=1, up=(0, -1, 0)):
    """A crop as the estimator draws it, and its camera."""
    scene = arguments.Scene(image, camera)
    frame = framing.of_box(scene, np.array(box, float), SIDE_PX, np.array(up, float))
    (crop,) = framing.crops_of(
        cropping.Levels(image), camera, [frame], [variant], SIDE_PX, antialias
    )
    return crop.draw(), crop.camera


def image_with_spot(camera, point, size=(480, 640), sigma_px=6.0):
    at = cameras.project(camera, point)
    y, x = np.mgrid[: size[0], : size[1]]
    spot = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * sigma_px**2))
    return np.repeat(np.uint8(spot[..., None] + 0.5), 3, axis=2)


def centroid(image):
    weights = image[..., 0].astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@pytest.mark.parametrize("distortion", [None, LENS])
@pytest.mark.parametrize(
    "variant",
    [variants.Variant(), *variants.schedule(5)[::4], variants.Variant(virtual.View(0.6, 2.0))],
)
@pytest.mark.parametrize("antialias", [1, 2])
def test_a_point_appears_where_the_crop_camera_projects_it(distortion, variant, antialias):
    camera = cameras.create(
        INTRINSICS, distortion=distortion, position_mm=np.array([10.0, -20, 500])
    )
    point = camera.position_mm + np.array([600.0, 450, 1500])
    image = image_with_spot(camera, point)
    at = cameras.project(camera, point)
    for longer_px in (110, 300):  # one that is shrunk via a smaller copy of the image
        box = [at[0] - longer_px * 0.3, at[1] - longer_px * 0.6, longer_px * 0.7, longer_px]
        crop, crop_camera = drawn(image, camera, box, variant, antialias, up=(0.1, -1, 0.2))
        expected = cameras.project(crop_camera, point)
        np.testing.assert_allclose(centroid(crop), expected, atol=0.35)


def test_people_lie_upright_in_crops_of_an_image_turned_by_90_degrees():
    upright = cameras.create(np.array([[400.0, 0, 319.5], [0, 400, 239.5], [0, 0, 1]]))
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), (640, 480))
    # The same camera, rolled, took the image turned.
    turned_image = np.rot90(image, -1)
    turned = cameras.create(np.array([[400.0, 0, 239.5], [0, 400, 319.5], [0, 0, 1]]))
    box = [200.0, 60, 100, 240]
    turned_box = [480 - 1 - (60 + 240), 200.0, 240, 100]
    crop, _ = drawn(image, upright, box)
    also, _ = drawn(turned_image, turned, turned_box, up=(1, 0, 0))
    assert np.abs(crop.astype(int) - also).max() <= 1
    lying, _ = drawn(turned_image, turned, turned_box)
    assert np.abs(crop.astype(int) - lying).mean() > 20


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("up", [(0.0, -1, 0), (0.5, 0.3, -2), (0.2, 0.1, 3)])
def test_up_is_that_of_turn_towards(flipped, up):
    up = np.array(up)
    stored = cameras.create(INTRINSICS, position_mm=np.array([1.0, 2, 3]))
    stored = cameras.turn_towards(stored, world_point_mm=np.array([300.0, 500, 900]))
    stored = cameras.flip(stored) if flipped else stored
    box = np.array([200.0, 150, 80, 100])
    found = virtual.camera(stored, box, SIDE_PX, up=up)
    centre = cameras.image_to_camera(stored, np.array([240.0, 200]))
    turned = cameras.turn_towards(stored, image_point_px=np.array([240.0, 200]), up=up)
    np.testing.assert_allclose(found.rotation, turned.rotation, atol=1e-12)
    assert (cameras.world_to_camera(found, found.position_mm + up)[..., 1] < 0) or centre is None
    straight = cameras.camera_to_world(stored, centre) - stored.position_mm
    along = virtual.camera(stored, box, SIDE_PX, up=straight)
    expected = cameras.turn_towards(stored, image_point_px=np.array([240.0, 200]), up=straight)
    np.testing.assert_allclose(along.rotation, expected.rotation, atol=1e-9)


def test_the_plain_crop_is_the_crop_of_the_training():
    """Same camera and same pixels where nothing is shrunk: what the network learned to see."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    camera, box = cameras.create(INTRINSICS), [300.0, 100, 40, 70]
    crop, crop_camera = drawn(image, camera, box)
    expected = virtual.camera(camera, np.array(box), SIDE_PX)
    np.testing.assert_allclose(crop_camera.rotation, expected.rotation, atol=1e-12)
    warped = virtual.warp(image, cameras.homography(expected, camera), SIDE_PX)
    np.testing.assert_array_equal(crop, warped)


@pytest.mark.parametrize("antialias", [1, 2, 3])
def test_shrinking_does_not_alias(antialias):
    """Stripes finer than the crop's pixels become grey instead of coarse stripes."""
    image = np.zeros((1030, 1030, 3), np.uint8)
    image[:, ::2] = 255
    camera = cameras.create(np.array([[3000.0, 0, 514.5], [0, 3000, 514.5], [0, 0, 1]]))
    crop, _ = drawn(image, camera, [150.0, 150, 700, 700], antialias=antialias)
    assert np.abs(crop.astype(int) - 127).max() <= 2


def test_panoramas_wider_than_opencv_can_remap():
    """The same image far to the right in black, and on its own."""
    camera = cameras.create(INTRINSICS, distortion=LENS)
    rng = np.random.default_rng(0)
    narrow = cv2.resize(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), (640, 480))
    left = 40_000
    image = np.zeros((480, left + 640, 3), np.uint8)
    image[:, left:] = narrow
    shifted = camera._replace(
        intrinsics=INTRINSICS + np.array([[0, 0, left], [0, 0, 0], [0, 0, 0]])
    )
    for box in ([300.0, 200, 90, 120], [10.0, 5, 40, 60], [560, 100, 80, 80]):
        alone, _ = drawn(narrow, camera, box)
        assert alone.std() > 20
        wide, _ = drawn(image, shifted, [box[0] + left, *box[1:]])
        np.testing.assert_allclose(wide.astype(int), alone, atol=3)
    nothing, _ = drawn(image[:, : left // 2], camera, [300.0, 200, 90, 120])
    assert not nothing.any()
    line, _ = drawn(image[:1], shifted, [300.0 + left, 0, 90, 1])  # without smaller copies
    assert line.shape == (SIDE_PX, SIDE_PX, 3)


def test_a_lens_shows_nothing_twice():
    """Where the lens model folds over, the crop is black."""
    distortion = np.array([-0.3, 0, 0, 0])
    radius = lens.fold_radius(cameras.create(INTRINSICS, distortion=distortion).distortion)
    np.testing.assert_allclose(radius, (3 * 0.3) ** -0.5)
    image = np.full((480, 640, 3), 255, np.uint8)
    camera = cameras.create(
        np.array([[300.0, 0, 319.5], [0, 300, 239.5], [0, 0, 1]]), distortion=distortion
    )
    crop, crop_camera = drawn(image, camera, [500.0, 140, 139, 200], virtual_zoom(0.4))
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    rays = cameras.camera_to_world(
        crop_camera, cameras.image_to_camera(crop_camera, np.stack([x, y], -1).astype(float))
    )
    beyond = (np.hypot(rays[..., 0], rays[..., 1]) > radius * rays[..., 2]) | (rays[..., 2] <= 0)
    assert beyond.any() and crop[beyond].max() == 0 and crop[~beyond].max() == 255


def virtual_zoom(zoom):
    return variants.Variant(virtual.View(zoom))


def test_points_beyond_the_lens_are_shown_at_its_end():
    camera = cameras.create(INTRINSICS, distortion=np.array([-0.3, 0, 0, 0]))
    points = np.array([[0.5, 0.2, 1], [1.0, 0, 1], [2.0, 0, 1], [50.0, 0, 1]]) * 1000
    found = box_poses.project(camera, points)
    np.testing.assert_allclose(found[0], cameras.project(camera, points[0]))
    end = cameras.project(camera, np.array([(3 * 0.3) ** -0.5, 0, 1]) * 1000)
    np.testing.assert_allclose(found[2:], [end, end], atol=1e-6)
    assert np.isinf(lens.fold_radius(np.zeros(12)))
    # A rational model that never folds, and one whose denominator has a pole.
    assert np.isinf(lens.fold_radius(np.array([0.1, 0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])))
    pole = np.array([0, 0.0, 0, 0, 0, -0.25, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(lens.fold_radius(pole), 2.0)


def test_variants_are_neutral_alone_and_as_published_otherwise():
    assert variants.schedule(1) == [variants.Variant(virtual.PLAIN, 1.0)]
    five = variants.schedule(5)
    np.testing.assert_allclose([v.gamma for v in five], [0.6, 0.7, 0.8, 0.9, 1])
    np.testing.assert_allclose(np.rad2deg([v.view.roll for v in five]), [-25, -12.5, 0, 12.5, 25])
    np.testing.assert_allclose([v.view.zoom for v in five], [0.8, 0.9, 1, 1.05, 1.1])
    assert [v.view.flip for v in five] == [False, True, False, True, False]
    with pytest.raises(ValueError, match="num_aug is 0; give at least 1"):
        variants.schedule(0)


def test_variants_stay_near_what_was_trained():
    five = variants.schedule(5, Variation(roll=np.deg2rad(8), zoom=(0.9, 1.1)))
    np.testing.assert_allclose(np.rad2deg([v.view.roll for v in five]), [-10, -5, 0, 5, 10])
    np.testing.assert_allclose([v.view.zoom for v in five], [0.92, 0.96, 1, 1.02, 1.04])


def test_gamma_is_a_power_of_linear_light():
    values = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    image = cv2.resize(values, (640, 480), interpolation=cv2.INTER_NEAREST)
    camera, box = cameras.create(INTRINSICS), [300.0, 100, 40, 70]
    plain, _ = drawn(image, camera, box)
    brighter, _ = drawn(image, camera, box, variants.Variant(gamma=0.6))
    linear = (plain / 255.0) ** 2.2
    np.testing.assert_allclose(brighter, 255 * linear ** (0.6 / 2.2), atol=0.51)


@pytest.mark.parametrize(
    "box", [[-90, -80, 150, 200], [639, 479, 0.5, 0.25], [-600, -500, 1900, 1500]]
)
@pytest.mark.parametrize("distortion", [None, LENS])
def test_boxes_partly_outside_tiny_or_huge_give_a_crop(box, distortion):
    image = np.full((480, 640, 3), 200, np.uint8)
    camera = cameras.create(INTRINSICS, distortion=distortion)
    scene = arguments.Scene(image, camera)
    (inside,) = visible_boxes.visible(np.array([[*box, 1.0]], np.float32), scene)
    crop, crop_camera = drawn(image, camera, inside)
    assert np.isfinite(crop_camera.intrinsics).all() and crop.max() == 200
