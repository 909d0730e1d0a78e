"""Rules of people's boxes: given, of joints, of masks, and of a detector."""

import numpy as np
import pytest

from acae_jax.datasets.steps import person_boxes
from acae_jax.datasets.steps.person_boxes import Seen

IMAGE = np.array([-0.5, -0.5, 200, 100])


def seen(x, y, width, height, box=None):
    """Somebody whose joints span this box."""
    corners = [[x, y], [x + width, y + height], [np.nan, np.nan]]
    return Seen(np.array(corners, float), None if box is None else np.array(box, float))


def detections(*boxes):
    """A detector that must be asked at most once."""
    asked = []

    def detect():
        assert not asked, "asked twice"
        asked.append(True)
        found = [[*box, 0.9 - 0.1 * i] for i, box in enumerate(boxes)]
        return np.array(found, np.float32).reshape(-1, 5)

    return detect


def never():
    raise AssertionError("no detector is needed")


def as_lists(boxes):
    return [None if box is None else np.round(box, 3).tolist() for box in boxes]


def test_given_boxes_grow_and_must_touch_the_image():
    people = [
        seen(0, 0, 1, 1, [10, 20, 40, 20]),
        seen(0, 0, 1, 1),
        seen(0, 0, 1, 1, [300, 0, 9, 9]),
    ]
    found = person_boxes.given(people, IMAGE, never, factor=1.5)
    assert as_lists(found) == [[0, 15, 60, 30], None, None]


def test_boxes_of_joints_end_with_the_image():
    people = [seen(10, 20, 40, 20), seen(150, 10, 60, 20), seen(300, 0, 9, 9)]
    found = person_boxes.of_joints(people, IMAGE, never, factor=1.5)
    assert as_lists(found) == [[0, 15, 60, 30], [135, 5, 64.5, 30], None]
    nobody = Seen(np.full((3, 2), np.nan))
    assert person_boxes.of_joints([nobody], IMAGE, never, factor=1.5) == [None]


def test_given_boxes_within_those_of_joints():
    people = [seen(10, 20, 40, 20, [0, 0, 30, 90]), seen(10, 20, 40, 20, [90, 0, 9, 9])]
    found = person_boxes.given_within_joints(people, IMAGE, never, factor=1.5)
    assert as_lists(found) == [[0, 15, 30, 30], None]


def test_detections_are_matched_as_a_whole():
    # Each alone would take the first detection; together they fit best the other way round.
    people = [seen(10, 10, 20, 60), seen(24, 10, 20, 60)]
    near, right = [18, 10, 20, 60], [30, 10, 20, 60]
    rule = {"factor": 1.0, "least_iou": 0.1}
    found = person_boxes.detected(people, IMAGE, detections(near, right), **rule)
    assert as_lists(found) == [near, right]
    only = person_boxes.detected(people, IMAGE, detections(right), **rule)
    assert as_lists(only) == [None, right]
    assert as_lists(person_boxes.detected(people, IMAGE, detections(), **rule)) == [None, None]


def test_detections_must_fit():
    one = [seen(10, 10, 20, 40)]
    rule = {"factor": 1.25, "least_iou": 0.5, "most_area": 2.0}  # 25 × 50 about (20, 30)
    for box, is_fit in (
        ([7.5, 5, 25, 50], True),
        ([7.5, 5, 25, 26], True),  # IoU 0.52
        ([7.5, 5, 25, 24], False),  # IoU 0.48
        ([7.5, 5, 25, 95], True),  # IoU 0.53, 1.9 times as large
    ):
        (found,) = person_boxes.detected(one, IMAGE, detections(box), **rule)
        assert (found is not None) == is_fit, box
    low = {**rule, "least_iou": 0.1}
    (found,) = person_boxes.detected(one, IMAGE, detections([7.5, 5, 52, 50]), **low)
    assert found is None  # 2.08 times as large


def test_detections_may_be_compared_with_given_boxes():
    one = [seen(100, 50, 5, 5, [10, 10, 20, 40])]
    found = person_boxes.detected(
        one, IMAGE, detections([12, 10, 20, 40]), factor=1.0, least_iou=0.5, from_given=True
    )
    assert as_lists(found) == [[12, 10, 20, 40]]


def test_nobody_in_view_needs_no_detector():
    nobody = [seen(300, 0, 9, 9)]
    for rule in (person_boxes.detected, person_boxes.best_detected):
        assert rule(nobody, IMAGE, never, factor=1.2, least_iou=0.1) == [None]
    assert person_boxes.joined_with_detection(nobody, IMAGE, never) == [None]


def test_the_best_detection_of_each():
    people = [seen(10, 10, 20, 40), seen(100, 10, 20, 40)]
    found = [[60, 10, 10, 10], [11, 10, 20, 40]]
    rule = {"factor": 1.0, "least_iou": 0.5}
    best = person_boxes.best_detected(people, IMAGE, detections(*found), **rule)
    assert as_lists(best) == [[11, 10, 20, 40], None]
    own = [100, 10, 20, 40]
    for joints, seen_none, unseen in (
        ({"joints_if_unfit": True}, own, None),
        ({"joints_if_unseen": True}, None, own),
    ):
        best = person_boxes.best_detected(people, IMAGE, detections(*found), **rule, **joints)
        assert as_lists(best) == [[11, 10, 20, 40], seen_none]
        best = person_boxes.best_detected(people[1:], IMAGE, detections(), **rule, **joints)
        assert as_lists(best) == [unseen]


def test_small_boxes_are_left_out():
    boxes = [0, 0, 30, 50], [0, 0, 50, 30], [0, 0, 29, 90], [0, 0, 40, 49], None
    people = [seen(0, 0, 1, 1, box) for box in boxes]
    rule = {"rule": person_boxes.given, "shorter_px": 30.0, "longer_px": 50.0}
    found = person_boxes.of_size(people, IMAGE, never, **rule)
    assert as_lists(found) == [[0, 0, 30, 50], [0, 0, 50, 30], None, None, None]


@pytest.mark.parametrize("by_score, expected", [(False, [5, 10, 25, 40]), (True, [10, 10, 20, 40])])
def test_the_hull_of_joints_and_a_detection(by_score, expected):
    one = [seen(10, 10, 20, 40)]
    detect = detections([10, 10, 120, 40], [5, 10, 20, 40])  # the surest one makes it too large
    found = person_boxes.joined_with_detection(one, IMAGE, detect, factor=1.0, by_score=by_score)
    assert as_lists(found) == [expected]


def test_the_box_of_a_mask_has_whole_pixels():
    mask = np.zeros((50, 60), np.uint8)
    assert person_boxes.of_mask(mask) is None
    mask[10:20, 30] = 1
    assert person_boxes.of_mask(mask).tolist() == [29.5, 9.5, 1, 10]


def test_the_part_of_a_mask_that_fits_a_box():
    mask = np.zeros((50, 60), np.uint8)
    mask[10:30, 10:20] = mask[0:50, 22:24] = mask[30, 20] = 1  # the last touches by a corner
    found = person_boxes.part_of_mask(mask, np.array([8.0, 8, 14, 24]))
    expected = np.zeros((50, 60), bool)
    expected[10:30, 10:20] = True
    np.testing.assert_array_equal(found, expected)
    assert not person_boxes.part_of_mask(mask, np.array([40.0, 8, 14, 24])).any()
