"""What an estimator makes of photographs with labels, in numbers.

Scores are of the bundle's skeleton that has most of COCO's joints.
"""

import itertools
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float

from acae_jax import metrics
from acae_jax.benchmarks import keypoints, scoring
from acae_jax.geometry import boxes as box_geometry
from acae_jax.inference.estimator import Estimator
from acae_jax.media import stills
from acae_jax.metrics import Masked
from photographs.pictures import Picture, StudioPicture

Rows = dict[str, float]

LIMB_NAMES = tuple(keypoints.JOINTS[place] for place in keypoints.LIMBS)
BOX_SCALES = (1.0, 1.1, 1.2)  # each pose counts in all of them: one box is a matter of luck
UPRIGHT = 0.7  # of the body's length from shoulders to ankles
PCK_SHARE = 0.2  # of the torso
HIGH_PX = 100
SIDE_SHARES = (0.0, 0.1, 0.2, 0.4, 1.0)  # of the picture's longer side
LEAST_IOU = 0.3  # many labelled boxes are loose
REPEATS = 15


def skeleton_of(estimator: Estimator) -> str:
    """The first skeleton with as many of COCO's joints as any has."""
    names = estimator.per_skeleton_joint_names
    empty = {name: np.zeros((len(joints), 1)) for name, joints in names.items() if name}
    known = {
        name: int((~np.isnan(keypoints.in_order(values, names[name]))).sum())
        for name, values in empty.items()
    }
    return max(known, key=lambda name: known[name])


def of_studio(estimator: Estimator, pictures: Sequence[StudioPicture]) -> Rows:
    """Errors in mm of the limbs' 12 joints, the middle of the hips as root."""
    name, tally, exchanged = skeleton_of(estimator), scoring.Tally(), 0.0
    root, all_valid = metrics.root_weights(LIMB_NAMES), np.ones((len(BOX_SCALES), 12), bool)
    for picture in pictures:
        boxes = [box_geometry.expand(picture.box, scale) for scale in BOX_SCALES]
        people = estimator.estimate_poses(
            stills.read(picture.path), boxes, skeleton=name, intrinsic_matrix=picture.intrinsics
        )
        ordered_mm = keypoints.in_order(people["poses3d"], estimator.per_skeleton_joint_names[name])
        poses_mm = ordered_mm[:, keypoints.LIMBS]
        true_mm = np.repeat(picture.joints_mm[None, keypoints.LIMBS], len(boxes), axis=0)
        true_mm = true_mm.astype(np.float32)
        errors = metrics.pose_errors(poses_mm, true_mm, all_valid, root)
        for group in ("all", "upright" if is_upright(true_mm[0]) else "on the floor"):
            tally.add(group, errors)
        exchanged += metrics.are_sides_exchanged(poses_mm, true_mm, LIMB_NAMES).mean()
    means = tally.means()
    groups = [group for group in ("all", "upright", "on the floor") if group in means]
    return {
        **{f"studio, {group}: MPJPE, mm": means[group]["mpjpe_mm"] for group in groups},
        **{f"studio, {group}: PA-MPJPE, mm": means[group]["pa_mpjpe_mm"] for group in groups},
        f"studio: sides exchanged, of {len(pictures)}": exchanged,
    }


def is_upright(limbs_mm: Float[np.ndarray, "12 3"]) -> bool:
    """Whether the limbs reach far along the picture's vertical, as long as the body is.

    Standing and walking people reach 0.9 to 1 of it, those who sit on the floor or bend down to it
    0.5.
    """
    at_mm = dict(zip(LIMB_NAMES, limbs_mm, strict=True))
    bones_mm = [
        np.linalg.norm(at_mm[side + one] - at_mm[side + other])
        for one, other in itertools.pairwise(("sho", "hip", "kne", "ank"))
        for side in "lr"
    ]
    return bool(np.ptp(limbs_mm[:, 1]) > UPRIGHT * sum(bones_mm) / 2)


class Found(NamedTuple):
    """What is predicted of the labelled people of a picture, and the boxes of nobody."""

    poses_px: Float[np.ndarray, "n k 2"]  # NaN for a person who is not found
    is_found: Bool[np.ndarray, " n"]
    height: Float[np.ndarray, " n"]  # of what the picture shows, in its longer sides
    false_boxes: int


def of_given_boxes(estimator: Estimator, pictures: Sequence[Picture]) -> Rows:
    """PCK and OKS of everybody who is labelled, in the boxes of the labels."""
    poses_px, name = [], skeleton_of(estimator)
    joint_names = estimator.per_skeleton_joint_names[name]
    for picture in pictures:
        boxes = [person.box for person in picture.people]
        people = estimator.estimate_poses(stills.read(picture.path), boxes, skeleton=name)
        poses_px.append(keypoints.in_order(people["poses2d"], joint_names))
    return _accuracy("given boxes", np.concatenate(poses_px), pictures)


def of_detector(estimator: Estimator, pictures: Sequence[Picture]) -> Rows:
    """Who is found, by height; PCK and OKS, in which a person who is not found is wrong."""
    name = skeleton_of(estimator)
    results = [_found(estimator, picture, name) for picture in pictures]
    height, is_found, poses_px = (
        np.concatenate([getattr(each, field) for each in results])
        for field in ("height", "is_found", "poses_px")
    )
    rows = {}
    for low, high in itertools.pairwise(SIDE_SHARES):
        of_height = (height > low) & (height <= high)
        if of_height.any():
            label = f"{low:g} to {high:g} of the side high ({of_height.sum()})"
            rows[f"detector: found, %, {label}"] = 100 * is_found[of_height].mean()
    rows |= _accuracy("detector", poses_px, pictures)
    false_boxes = float(sum(each.false_boxes for each in results))
    return rows | {f"detector: boxes of nobody, in {len(pictures)} pictures": false_boxes}


def _found(estimator: Estimator, picture: Picture, name: str) -> Found:
    image = stills.read(picture.path)
    people = estimator.detect_poses(image, skeleton=name)
    boxes, true_boxes = people["boxes"][:, :4], _in_picture(picture, image)
    own = keypoints.partners(boxes, true_boxes, LEAST_IOU)
    poses_px = keypoints.in_order(people["poses2d"], estimator.per_skeleton_joint_names[name])
    nobody = np.full_like(poses_px, np.nan, shape=(1, *poses_px.shape[1:]))
    others = np.delete(boxes, own[own >= 0], axis=0)
    return Found(
        np.concatenate([poses_px, nobody])[own],
        own >= 0,
        true_boxes[:, 3] / max(image.shape[:2]),
        sum(not _may_be_somebody(box, picture) for box in others),
    )


def ms_a_crop(estimator: Estimator, picture: Picture) -> float:
    """Median milliseconds of one person's pose in a given box."""
    image, box = stills.read(picture.path), picture.people[0].box
    times = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        estimator.estimate_poses(image, [box])
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def _accuracy(label: str, poses_px: np.ndarray, pictures: Sequence[Picture]) -> Rows:
    people = [person for picture in pictures for person in picture.people]
    true_px = np.array([person.joints_px for person in people])
    areas_px2 = np.array([person.area_px2 for person in people])
    high = np.array([person.box[3] >= HIGH_PX for person in people])
    errors = {
        f"PCK@{PCK_SHARE:g}, %": keypoints.pck_torso(poses_px, true_px, PCK_SHARE),
        "OKS": keypoints.oks(poses_px, true_px, areas_px2),
    }
    return {
        f"{label}, {group}: {metric}": value
        for group, own in ((f"{HIGH_PX} px and higher", high), ("smaller", ~high))
        for metric, value in metrics.means(
            {name: Masked(values[own], mask[own]) for name, (values, mask) in errors.items()}
        ).items()
    }


def _in_picture(picture: Picture, image: np.ndarray) -> Float[np.ndarray, "n 4"]:
    """The parts of the people's boxes that the picture shows."""
    boxes = np.array([person.box for person in picture.people]).reshape(-1, 4)
    whole = box_geometry.of_image(image.shape[1], image.shape[0]).astype(np.float64)
    return box_geometry.intersect(boxes, np.broadcast_to(whole, boxes.shape))


def _may_be_somebody(box: Float[np.ndarray, "4"], picture: Picture) -> bool:
    """Whether the middle of the box lies where people have no labels."""
    x, y = box_geometry.centre(box).tolist()
    return picture.unlabelled is None or any(
        cv2.pointPolygonTest(outline.astype(np.float32)[:, None], (x, y), False) >= 0
        for outline in picture.unlabelled
    )
