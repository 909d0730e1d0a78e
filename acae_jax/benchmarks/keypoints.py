"""Scores of 2D keypoints of people in pictures, and the matching of predicted and labelled people.

Points are in px of the picture, people are rows, joints are those of COCO in its order (`JOINTS`).
Joints without a label are NaN and never count; a predicted joint that is NaN counts as wrong.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from acae_jax.geometry import boxes as box_geometry
from acae_jax.metrics import Masked
from acae_jax.skeletons import body_parts, catalogue

JOINTS = catalogue.load("coco_2d").joint_names
LIMBS = np.arange(5, len(JOINTS))  # shoulders to ankles: the joints that every vocabulary has
# The spread of several annotators' points, in square roots of the person's area.
SIGMAS = {
    **{"nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072},
    **{"wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089},
}


def in_order(
    values: Float[np.ndarray, "*n j c"], joint_names: Sequence[str]
) -> Float[np.ndarray, "*n k c"]:
    """Points of any joint names, in the order of COCO's joints; NaN for joints that are missing."""
    parts = body_parts.of(joint_names)
    ordered = np.full((*values.shape[:-2], len(JOINTS), values.shape[-1]), np.nan, values.dtype)
    for place, part in enumerate(body_parts.of(JOINTS)):
        if part in parts:
            ordered[..., place, :] = values[..., parts.index(part), :]
    return ordered


def pck_torso(
    predicted_px: Float[np.ndarray, "n k 2"], true_px: Float[np.ndarray, "n k 2"], share: float
) -> Masked:
    """Percent of a person's limb joints that are nearer to the truth than a share of the torso.

    The torso is the longer of the two lines from a shoulder to the hip of the other side. People
    without a labelled torso do not count.
    """
    place = {name: index for index, name in enumerate(JOINTS)}
    lines_px = [
        np.linalg.norm(true_px[:, place[shoulder]] - true_px[:, place[hip]], axis=-1)
        for shoulder, hip in (("lsho", "rhip"), ("rsho", "lhip"))
    ]
    torso_px = np.fmax(*lines_px)[:, None]
    distance_px = np.linalg.norm(predicted_px - true_px, axis=-1)[:, LIMBS]
    counts = ~np.isnan(true_px[:, LIMBS]).any(-1) & ~np.isnan(torso_px)
    return Masked(100.0 * (distance_px < share * torso_px), counts)


def oks(
    predicted_px: Float[np.ndarray, "n k 2"],
    true_px: Float[np.ndarray, "n k 2"],
    area_px2: Float[np.ndarray, " n"],
) -> Masked:
    """Object keypoint similarity of each person, from 0 to 1, as COCO defines it.

    It is the mean over labelled joints of exp(-d² / 2 s² (2σ)²), where s² is the person's area.
    People without labelled joints do not count.
    """
    sigmas = np.array([SIGMAS[part.name] for part in body_parts.of(JOINTS)])
    labelled = ~np.isnan(true_px).any(-1)
    square_px2 = ((predicted_px - true_px) ** 2).sum(-1)
    alike = np.exp(-square_px2 / (2 * area_px2[:, None] * (2 * sigmas) ** 2))
    total = np.nan_to_num(np.where(labelled, alike, 0)).sum(1)
    count = labelled.sum(1)
    return Masked(total / np.maximum(count, 1), np.greater(count, 0))


def partners(
    boxes: Float[np.ndarray, "n 4"], true_boxes: Float[np.ndarray, "m 4"], least_iou: float
) -> Int[np.ndarray, " m"]:
    """The index of the predicted box that belongs to each true box; -1 if there is none.

    Pairs overlap by at least `least_iou`, and their overlaps have the largest possible sum.
    """
    overlap = box_geometry.iou(
        *np.broadcast_arrays(true_boxes[:, None].astype(boxes.dtype), boxes[None])
    )
    overlap = np.where(overlap >= least_iou, overlap, 0)
    rows, columns = linear_sum_assignment(-overlap)
    own = np.full(len(true_boxes), -1)
    is_pair = overlap[rows, columns] > 0
    own[rows[is_pair]] = columns[is_pair]
    return own
