"""The stored crop: where it looks, how large it is, and what its pixels show."""

import math

import cv2
import miniature
import numpy as np
import pytest

from acae_jax.datasets.steps import stored_crop
from acae_jax.datasets.steps.stored_crop import Cropping
from acae_jax.geometry import boxes, cameras

CAMERA = miniature.ring(1, size=(640, 480), lens=(-0.25, 0.1, 0.003, -0.002, 0.01))[0]
SIZE, UP = (640, 480), np.array([0, 0, 1.0])
BOX = np.array([400.0, 60, 60, 130])


def test_it_looks_at_the_box_upright():
    crop = stored_crop.place(SIZE, CAMERA, BOX, UP)
    centre_px = boxes.centre(BOX)
    forward = cameras.image_to_camera(CAMERA, centre_px) @ CAMERA.rotation
    np.testing.assert_allclose(crop.camera.rotation[2], forward / np.linalg.norm(forward))
    assert abs(crop.camera.rotation[0] @ UP) < 1e-9 and crop.camera.rotation[1] @ UP < 0
    assert not crop.camera.distortion.any()
    assert crop.camera.intrinsics[0, 0] == crop.camera.intrinsics[1, 1]
    np.testing.assert_array_equal(crop.camera.position_mm, CAMERA.position_mm)
    # The middles of the box's sides are those of the crop's box.
    middles = cameras.reproject(CAMERA, crop.camera, boxes.side_midpoints(BOX))
    np.testing.assert_allclose(boxes.of_points(middles), crop.box, atol=1e-9)


@pytest.mark.parametrize("longest, scale", [(130.0, 1.2), (600.0, 384 / 600)])
def test_its_size_follows_the_persons(longest, scale):
    box = np.array([2000.0, 1800.0, 0.5 * longest, longest])
    fake = stored_crop.fake_camera(4000, 4000)
    crop = stored_crop.place((4000, 4000), fake, box, None)
    assert crop.scale == pytest.approx(scale)
    np.testing.assert_allclose(crop.box[2:], scale * box[2:])
    cosine, sine = math.cos(math.pi / 6), math.sin(math.pi / 6)
    side = (cosine + 0.5 * sine) * longest * 1.1 / 0.85**2
    assert crop.width_px == crop.height_px == round(scale * side)
    np.testing.assert_allclose(boxes.centre(crop.box), (side * scale - 1) / 2, atol=1e-6)
    wide = stored_crop.place((4000, 4000), fake, box, None, Cropping(expansion=1.5))
    assert wide.width_px == round(1.5 * scale * side)


def test_it_ends_with_the_image_if_asked_to():
    box = np.array([10.0, 100, 60, 130])
    fake = stored_crop.fake_camera(*SIZE)
    crop = stored_crop.place(SIZE, fake, box, None)
    corner = cameras.reproject(crop.camera, fake, np.array([-0.5, -0.5]))
    assert corner[0] == pytest.approx(-0.5) and crop.width_px < crop.height_px
    whole = stored_crop.place(SIZE, fake, box, None, Cropping(ends_with_image=False))
    assert whole.width_px == whole.height_px == crop.height_px
    picture = stored_crop.draw(np.full((480, 640, 3), 200, np.uint8), whole)
    black = round(whole.scale * (crop.height_px - crop.width_px) / crop.scale)
    assert not picture[:, : black - 2].any() and (picture[:, black + 2 :] > 195).all()


@pytest.mark.parametrize("longest", [100, 900, 2500])  # enlarged, made smaller, and much smaller
def test_pixels_are_where_the_camera_sees_them(longest):
    zoom = longest / 100
    camera = cameras.scale_output(CAMERA, zoom)
    size = round(640 * zoom), round(480 * zoom)
    camera.intrinsics[0, 1] = 20.0  # skew
    box = np.array([4.0, 1.4, 0.5, 1.0]) * longest
    crop = stored_crop.place(size, camera, box, UP)
    for x, y in ((4.3, 1.9), (4.1, 1.5), (4.4, 2.2)):
        mark_px = longest * np.array([x, y])
        image = np.zeros((size[1], size[0], 3), np.uint8)
        centre = tuple(round(16 * float(v)) for v in mark_px)
        cv2.circle(image, centre, round(16 * 0.04 * longest), (255, 255, 255), -1, 16, shift=4)
        light = (stored_crop.draw(image, crop)[..., 0] / 255.0) ** 2.2
        rows, columns = np.indices(light.shape)
        found = np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()
        expected = cameras.reproject(camera, crop.camera, mark_px)
        np.testing.assert_allclose(found, expected, atol=0.15)


@pytest.mark.parametrize("pixels", [500, 3000])
def test_light_is_averaged_not_numbers(pixels):
    chess = np.indices((pixels, pixels)).sum(axis=0) % 2
    image = np.repeat((255 * chess).astype(np.uint8)[..., None], 3, axis=-1)
    box = np.array([0.2, 0.05, 0.6, 0.9]) * pixels
    crop = stored_crop.place((pixels, pixels), stored_crop.fake_camera(pixels, pixels), box, None)
    middle = stored_crop.draw(image, crop)[crop.height_px // 3 : -crop.height_px // 3]
    middle = middle[:, crop.width_px // 3 : -crop.width_px // 3]
    assert abs(middle.mean() - 255 * 0.5 ** (1 / 2.2)) < (1 if pixels == 3000 else 12)
    assert pixels < 3000 or middle.std() < 5  # no moiré


def test_what_is_behind_the_camera_stays_black():
    k = np.array([[60, 0, 320], [0, 60, 240], [0, 0, 1.0]])  # 160 degrees
    camera = cameras.create(k)
    cropping = Cropping(expansion=3.0, ends_with_image=False)
    crop = stored_crop.place(SIZE, camera, np.array([560.0, 200, 70, 90]), -np.eye(3)[1], cropping)
    image = np.full((480, 640, 3), 255, np.uint8)
    columns, rows = np.meshgrid(np.arange(crop.width_px), np.arange(crop.height_px))
    rays = cameras.image_to_camera(crop.camera, np.stack([columns, rows], -1).astype(float))
    is_behind = (rays @ crop.camera.rotation)[..., 2] < 0  # the first camera's z is the world's
    assert is_behind.any()
    assert not stored_crop.draw(image, crop)[is_behind].any()


def test_masks_are_halves_of_pixels():
    mask = np.zeros((400, 400), np.uint8)
    mask[100:300, 150:250] = 7
    crop = stored_crop.place(
        (400, 400), stored_crop.fake_camera(400, 400), np.array([149.5, 99.5, 100, 200]), None
    )
    shown = stored_crop.draw_mask(mask, crop)
    x, y, width, height = crop.box
    assert shown.sum() == pytest.approx(width * height, rel=0.02)
    rows, columns = np.nonzero(shown)
    np.testing.assert_allclose([columns.min() - 0.5, rows.min() - 0.5], [x, y], atol=0.6)


@pytest.mark.parametrize("box", [[10, 10, 0, 5], [10, 10, np.nan, 5], [5000, 10, 20, 20]])
def test_impossible_boxes_are_one_line(box):
    with pytest.raises(ValueError, match=r"has no extent|lies outside of the image"):
        stored_crop.place(SIZE, stored_crop.fake_camera(*SIZE), np.array(box, float), None)


def test_the_light_of_a_studio_becomes_grey():
    image = np.zeros((2, 3, 3), np.uint8)
    image[:, 1], image[:, 2] = 128, 255
    assert stored_crop.corrected(image, None) is image
    brighter = stored_crop.corrected(image, stored_crop.Light(gamma=0.67))
    np.testing.assert_allclose(brighter[0, :, 0], [0, 255 * (128 / 255) ** 0.67, 255], atol=1)
    # A grey wall in the light of the dome: Lab of 8 bits (L, 120, 138).
    for lightness in (80, 200):
        distance = np.array([-8, 10]) * lightness / 255 * 1.1
        lab = np.array([[[lightness * 100 / 255, *distance]]], np.float32)
        wall = np.rint(255 * cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)).astype(np.uint8)
        assert np.ptp(wall) > 5
        grey = stored_crop.corrected(wall, stored_crop.Light(grey_a=120.0, grey_b=138.0))
        assert np.ptp(grey) <= 2
