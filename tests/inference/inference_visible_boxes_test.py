"""What of a box can be seen: inside of the image, and where the lens model reaches."""

import numpy as np
import pytest

from acae_jax.geometry import boxes as geometry
from acae_jax.geometry import cameras
from acae_jax.inference import arguments, visible_boxes

# A wide lens whose model ends before the corners of its image.
WIDE = (-0.26, 0.09, 0.0, 0.0, -0.015)


def scene(lens=WIDE) -> arguments.Scene:
    image = np.zeros((1080, 1920, 3), np.uint8)
    matrix = [[900.0, 0, 960], [0, 900, 540], [0, 0, 1]]
    return arguments.create([image], matrix, lens, None, 55)[0]


def box(*sides: float) -> np.ndarray:
    return np.array([[*sides, 0.5]], np.float32)


@pytest.mark.parametrize(
    "sides, lens",
    [
        ((0, 0, 60, 120), WIDE),  # in the image, but no direction leads there
        ((-100, -200, 150, 290), WIDE),
        ((1850, 1000, 300, 300), WIDE),
        ((-300, 100, 200, 400), WIDE),
        ((-300, 100, 200, 400), None),
        ((100, 1079.5, 200, 400), None),
        ((1920, 100, 200, 400), None),
    ],
)
def test_boxes_with_nothing_to_see(sides, lens):
    assert np.isnan(visible_boxes.visible(box(*sides), scene(lens))).all()
    with pytest.raises(ValueError, match=r"box .* lies outside of the 1920 × 1080 image.* leave"):
        visible_boxes.check(box(*sides), scene(lens), leave_out=False)
    three = np.concatenate([box(800, 300, 90, 200), box(*sides), box(900, 300, 90, 200)])
    with pytest.warns(UserWarning, match="left out a person"):
        in_view = visible_boxes.check(three, scene(lens), leave_out=True)
    np.testing.assert_array_equal(in_view.boxes, three[[0, 2]])
    np.testing.assert_array_equal(in_view.seen, three[[0, 2], :4])


def test_without_distortion_a_box_that_is_partly_outside_stays_whole():
    sides = (-100.0, -50.0, 300.0, 600.0)
    np.testing.assert_array_equal(visible_boxes.visible(box(*sides), scene(None)), [sides])


def test_a_box_that_the_lens_model_partly_reaches_is_shrunk_towards_the_middle_of_the_image():
    whole = np.array([0.0, 500.0, 100.0, 500.0])
    (seen,) = visible_boxes.visible(box(*whole), scene())
    assert 0.5 < seen[3] / whole[3] < 1 and seen[0] > 0
    np.testing.assert_allclose(seen[2] / seen[3], whole[2] / whole[3])
    np.testing.assert_allclose(seen[0] + seen[2], 100)  # the side that is nearest to the middle
    # The camera of the crop now looks where the model's directions lead back to the same pixels.
    middle = geometry.centre(seen)
    ends = middle + np.array([[0.0, -1], [0, 1]]) * seen[3] / 2
    for point_px in (middle, *ends):
        ray = cameras.image_to_camera(scene().camera, point_px)
        np.testing.assert_allclose(
            cameras.camera_to_image(scene().camera, ray), point_px, atol=1e-3
        )


def test_where_the_lens_model_ends():
    points_px = np.array([[960, 540], [300, 300], [400, 1000], [0, 0], [30, 60], [1919, 1079]])
    known = visible_boxes.has_direction(scene().camera, points_px.astype(np.float64))
    assert known.tolist() == [True, True, True, False, False, False]
