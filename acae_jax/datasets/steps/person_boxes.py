"""The box of each person of a frame: given, from joints or masks, or of a detector.

A rule is a function of what is known about the people and of a function that detects, so that
frames whose boxes need no detector are not looked at. Datasets choose one and its numbers:

    boxes = partial(person_boxes.detected, factor=1.25, least_iou=0.1, most_area=2.0)

Boxes are x, y, w, h in px. A person without a box gets None and makes no record.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float, UInt8

from acae_jax.geometry import boxes

Box = Float[np.ndarray, "4"]


class Seen(NamedTuple):
    """What is known of a person in an image: where its joints are (NaN = unknown), a box, and
    whether things hide most of it."""

    joints_px: Float[np.ndarray, "j 2"]
    box: Box | None = None
    is_hidden: bool = False


Detect = Callable[[], Float[np.ndarray, "d 5"]]
"""Boxes and scores of the people that the detector sees in the image, best first."""

BoxRule = Callable[[Sequence[Seen], Box, Detect], list[Box | None]]
"""(people, box of the image, detect) → the box of each person, or None."""


def given(
    people: Sequence[Seen], image_box: Box, detect: Detect, *, factor: float = 1.0
) -> list[Box | None]:
    """The release's boxes, `factor` times as large; none for those outside of the image."""
    found = [None if one.box is None else boxes.expand(one.box, factor) for one in people]
    return [box if _is_visible(box, image_box) else None for box in found]


def of_joints(
    people: Sequence[Seen], image_box: Box, detect: Detect, *, factor: float
) -> list[Box | None]:
    """The joints' boxes, `factor` times as large, as far as they lie in the image."""
    found = [_clipped(joints_box(one.joints_px, factor), image_box) for one in people]
    return [box if _is_visible(box, image_box) else None for box in found]


def given_within_joints(
    people: Sequence[Seen], image_box: Box, detect: Detect, *, factor: float
) -> list[Box | None]:
    """The part of the release's boxes in the joints' boxes and in the image."""
    found = []
    for one, around in zip(
        people, of_joints(people, image_box, detect, factor=factor), strict=True
    ):
        box = None if one.box is None or around is None else boxes.intersect(one.box, around)
        found.append(box if _is_visible(box, image_box) else None)
    return found


def detected(
    people: Sequence[Seen],
    image_box: Box,
    detect: Detect,
    *,
    factor: float = 1.0,
    least_iou: float,
    most_area: float = np.inf,
    from_given: bool = False,
) -> list[Box | None]:
    """Detections that fit the people best as a whole (Hungarian matching by overlap).

    A person is compared by the joints' box × `factor`, or by the release's box. A fit needs an IoU
    of `least_iou` and an area of less than `most_area` times this box's; without one, no box.
    """
    if from_given:
        expected = [one.box for one in people]
    else:
        expected = [joints_box(one.joints_px, factor) for one in people]
    sure = [index for index, box in enumerate(expected) if _is_visible(box, image_box)]
    result: list[Box | None] = [None] * len(people)
    found = detect()[:, :4].astype(float) if sure else np.zeros((0, 4))
    if not len(found):
        return result
    wanted = np.array([expected[index] for index in sure], float)
    overlap = iou_matrix(wanted, found)
    for row, column in zip(*scipy.optimize.linear_sum_assignment(-overlap), strict=True):
        fits = overlap[row, column] >= least_iou
        if fits and boxes.area(found[column]) < most_area * boxes.area(wanted[row]):
            result[sure[row]] = found[column]
    return result


def given_or_detected(
    people: Sequence[Seen], image_box: Box, detect: Detect, *, least_iou: float
) -> list[Box | None]:
    """The detections that fit the release's boxes, as of `detected`, or else the release's boxes.

    People who are hidden need a detection.
    """
    fitting = detected(people, image_box, detect, factor=1.0, least_iou=least_iou, from_given=True)
    own = given(people, image_box, detect)
    return [
        given_box if box is None and not one.is_hidden else box
        for one, box, given_box in zip(people, fitting, own, strict=True)
    ]


def large_enough(
    people: Sequence[Seen],
    image_box: Box,
    detect: Detect,
    *,
    rule: BoxRule,
    least_side_px: float,
) -> list[Box | None]:
    """The boxes of another rule, without those that are narrower or lower than this."""
    found = rule(people, image_box, detect)
    return [box if box is not None and box[2:].min() >= least_side_px else None for box in found]


def best_detected(
    people: Sequence[Seen],
    image_box: Box,
    detect: Detect,
    *,
    factor: float,
    least_iou: float = 0.0,
    joints_if_unfit: bool = False,
    joints_if_unseen: bool = False,
) -> list[Box | None]:
    """For each person the detection with the largest IoU with the joints' box × `factor`.

    If it is less than `least_iou`: none, or with `joints_if_unfit` the joints' box in the image.
    If nobody at all is detected: none, or with `joints_if_unseen` that box.
    """
    around = of_joints(people, image_box, detect, factor=factor)
    found = detect()[:, :4].astype(float) if any(box is not None for box in around) else None
    result: list[Box | None] = []
    for one, box in zip(people, around, strict=True):
        if box is None or found is None or not len(found):
            result.append(box if joints_if_unseen else None)
            continue
        overlap = iou_matrix(joints_box(one.joints_px, factor)[None], found)[0]
        best = int(overlap.argmax())
        unfit = box if joints_if_unfit else None
        result.append(found[best] if overlap[best] >= least_iou else unfit)
    return result


def of_size(
    people: Sequence[Seen],
    image_box: Box,
    detect: Detect,
    *,
    rule: BoxRule,
    shorter_px: float = 0.0,
    longer_px: float = 0.0,
) -> list[Box | None]:
    """The boxes of another rule whose shorter and longer side are at least this long."""
    least = np.array([shorter_px, longer_px])
    found = rule(people, image_box, detect)
    return [b if b is not None and (np.sort(b[2:]) >= least).all() else None for b in found]


def or_of_joints(
    people: Sequence[Seen],
    image_box: Box,
    detect: Detect,
    *,
    rule: BoxRule,
    factor: float,
) -> list[Box | None]:
    """The boxes of another rule, and for people without one those of `of_joints`."""
    found = rule(people, image_box, detect)
    around = of_joints(people, image_box, detect, factor=factor)
    return [own if box is None else box for box, own in zip(found, around, strict=True)]


def joined_with_detection(
    people: Sequence[Seen],
    image_box: Box,
    detect: Detect,
    *,
    factor: float = 1.05,
    least_iou: float = 0.5,
    by_score: bool = False,
) -> list[Box | None]:
    """The hull of the joints' box × `factor` and a detection, if it is not much larger.

    The detection is the one with the largest IoU, or with `by_score` the surest one. If the hull's
    IoU with the joints' box is not above `least_iou`, the joints' box; both within the image.
    """
    around = of_joints(people, image_box, detect, factor=factor)
    found = detect()[:, :4].astype(float) if any(box is not None for box in around) else None
    result: list[Box | None] = []
    for one, box in zip(people, around, strict=True):
        if box is None or found is None or not len(found):
            result.append(box)
            continue
        own = joints_box(one.joints_px, factor)
        best = 0 if by_score else int(iou_matrix(own[None], found)[0].argmax())
        both = hull(own, found[best])
        result.append(_clipped(both, image_box) if boxes.iou(both, own) > least_iou else box)
    return result


def joints_box(joints_px: Float[np.ndarray, "j 2"], factor: float = 1.0) -> Box:
    """The bounding box of joints, `factor` times as large; all zero without joints."""
    return boxes.expand(boxes.of_points(joints_px.astype(float)), factor)


def of_mask(mask: UInt8[np.ndarray, "h w"] | Bool[np.ndarray, "h w"]) -> Box | None:
    """The box of the pixels that are not zero; None without any."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    low = np.array([columns[0], rows[0]], float)
    high = np.array([columns[-1], rows[-1]], float)
    return np.concatenate([low - 0.5, high - low + 1])


def part_of_mask(
    mask: UInt8[np.ndarray, "h w"] | Bool[np.ndarray, "h w"], box: Box
) -> Bool[np.ndarray, "h w"]:
    """The connected pixels of a mask whose box has the largest IoU with another box.

    The other pixels are noise, or somebody else. Empty if nothing overlaps the box.
    """
    _, parts, facts, _ = cv2.connectedComponentsWithStats(
        (mask != 0).astype(np.uint8), connectivity=4
    )
    found = facts[:, :4].astype(float) - np.array([0.5, 0.5, 0, 0])
    overlap = iou_matrix(box.astype(float)[None], found)[0]
    overlap[0] = 0  # what is not in the mask
    best = int(overlap.argmax())
    return (parts == best) & (overlap[best] > 0)


def hull(one: Box, other: Box) -> Box:
    """The smallest box around two."""
    low = np.minimum(one[:2], other[:2])
    high = np.maximum(one[:2] + one[2:], other[:2] + other[2:])
    return np.concatenate([low, high - low])


def iou_matrix(
    some: Float[np.ndarray, "a 4"], others: Float[np.ndarray, "b 4"]
) -> Float[np.ndarray, "a b"]:
    """Intersection over union of every box with every other."""
    shape = (len(some), len(others), 4)
    return boxes.iou(np.broadcast_to(some[:, None], shape), np.broadcast_to(others, shape))


def _clipped(box: Box, image_box: Box) -> Box:
    return boxes.intersect(box, image_box.astype(float))


def _is_visible(box: Box | None, image_box: Box) -> bool:
    """Whether a box has some area in the image."""
    if box is None or not np.isfinite(box).all():
        return False
    return bool(boxes.area(_clipped(box.astype(float), image_box)) > 0)
