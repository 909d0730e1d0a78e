"""Boxes: what each operation promises, on both kinds of array."""

import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.geometry import boxes, cameras


def test_box_of_points_skips_unlabelled_ones():
    points = np.array([[3.0, 4.0], [np.nan, 9.0], [1.0, 8.0]])
    for namespace in (np, jnp):
        box = boxes.of_points(namespace.asarray(points))
        np.testing.assert_allclose(box, [1, 4, 2, 4])
    assert not boxes.of_points(np.full((5, 2), np.nan)).any()


def test_expanding_and_squaring_keep_the_centre():
    box = np.array([[1.0, 2.0, 30.0, 10.0], [0.0, 0.0, 4.0, 8.0]])
    for changed in (boxes.expand(box, 1.5), boxes.to_square(box)):
        np.testing.assert_allclose(boxes.centre(changed), boxes.centre(box))
    np.testing.assert_allclose(boxes.expand(box, 1.5)[:, 2:], box[:, 2:] * 1.5)
    np.testing.assert_allclose(boxes.to_square(box)[:, 2:], [[30, 30], [8, 8]])


def test_intersection_and_overlap():
    one, other = np.array([0.0, 0.0, 4.0, 4.0]), np.array([2.0, 1.0, 4.0, 2.0])
    np.testing.assert_allclose(boxes.intersect(one, other), [2, 1, 2, 2])
    assert boxes.iou(one, other) == pytest.approx(4 / 20)
    assert boxes.iou(one, one) == 1
    apart = np.array([10.0, 10.0, 1.0, 1.0])
    assert boxes.iou(one, apart) == 0 and boxes.area(boxes.intersect(one, apart)) == 0
    assert boxes.iou(one * 0, one * 0) == 0
    np.testing.assert_allclose(boxes.iou(jnp.asarray(one), jnp.asarray(other)), 4 / 20)


def test_reprojection_follows_zoom_and_shift():
    camera = cameras.create(cameras.field_of_view(0.8, 201, 101))
    box = np.array([60.0, 30.0, 20.0, 40.0], np.float32)
    moved = boxes.reproject(box, camera, cameras.shift(camera, np.array([5.0, -3.0], np.float32)))
    np.testing.assert_allclose(moved, [65, 27, 20, 40], atol=1e-3)
    zoomed = boxes.reproject(box, camera, cameras.zoom(camera, 2.0))
    np.testing.assert_allclose(zoomed, [20, 10, 40, 80], atol=1e-3)
    np.testing.assert_allclose(
        boxes.reproject(boxes.of_image(201, 101), camera, camera), [-0.5, -0.5, 201, 101], atol=1e-3
    )


def test_partial_boxes_are_squares_inside_the_square():
    rng = np.random.default_rng(0)
    square = boxes.to_square(np.array([10.0, 20.0, 30.0, 60.0], np.float32))
    for _ in range(100):
        part = boxes.random_partial(np.array([10.0, 20.0, 30.0, 60.0], np.float32), rng)
        assert part.dtype == np.float32
        assert part[2] == pytest.approx(part[3]) and 30 < part[2] < 60
        np.testing.assert_allclose(boxes.intersect(part, square), part, atol=1e-4)
