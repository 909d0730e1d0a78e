"""Metrics of 3D pose, in millimetres and percent, on host arrays.

`valid` marks the labelled joints. The coordinates of the others may be anything and never count.
Every metric is a mean over the labelled joints of all poses, never a mean of means:

* MPJPE, PCK and AUC are relative to the root, so they leave out poses whose root is not labelled.
* PA-MPJPE leaves out poses with fewer than 3 labelled joints, because a similarity fits two points
  exactly.
* The disagreement of two joints counts only in poses that label both.

A metric with no joint to count is missing from the result; it is not NaN. PCK uses the strict
inequality, as the official protocols of the benchmarks do.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from acae_jax.geometry import alignment
from acae_jax.skeletons import body_parts, skeleton
from acae_jax.skeletons.body_parts import BodyPart

PCK_MM = 150.0
HIGHER_IS_BETTER = ("pck150", "auc150")  # all others are errors
ALIGNABLE_JOINTS = 3


class Masked(NamedTuple):
    """Values, and a mask of those that count; the others may be anything."""

    values: Float[np.ndarray, "..."]
    mask: Bool[np.ndarray, "..."]


def root_weights(joint_names: Sequence[str]) -> Float[np.ndarray, " j"]:
    """The weights by which the joints give the root: the pelvis, else the middle of the hips, else
    the mean of all joints.
    """
    weights = np.zeros(len(joint_names), np.float32)
    parts, hips = body_parts.of(joint_names), (BodyPart("hip", "l"), BodyPart("hip", "r"))
    pelvis = body_parts.pelvis(joint_names)
    if pelvis is not None:
        weights[pelvis] = 1.0
    elif all(hip in parts for hip in hips):
        weights[[parts.index(hip) for hip in hips]] = 0.5
    else:
        weights[:] = 1.0 / len(parts)
    return weights


def has_root(
    valid: Bool[np.ndarray, "n j"], weights: Float[np.ndarray, " j"]
) -> Bool[np.ndarray, " n"]:
    """Which poses have a root: they label every joint that it consists of.

    If the root is the mean of all joints, two labelled joints are enough, and it is the mean of
    those that are labelled.
    """
    if weights.all():
        return np.greater(valid.sum(axis=1), 1)
    return np.all(valid[:, weights > 0], axis=1)


def root_relative(
    poses_mm: Float[np.ndarray, "n j 3"],
    weights: Float[np.ndarray, " j"],
    valid: Bool[np.ndarray, "n j"],
) -> Float[np.ndarray, "n j 3"]:
    """Poses minus their root, which is the mean of the labelled joints by `weights`.

    The result is meaningless for poses without a root (see `has_root`) and joints without a label.
    """
    shares = weights * valid
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)
    labelled = np.where(valid[..., None], poses_mm, 0)
    return poses_mm - np.einsum("njc,nj->nc", labelled, shares)[:, None]


def joint_errors(
    predicted_mm: Float[np.ndarray, "n j 3"], true_mm: Float[np.ndarray, "n j 3"]
) -> Float[np.ndarray, "n j"]:
    """The Euclidean distance of each joint from the truth."""
    return np.linalg.norm(predicted_mm - true_mm, axis=-1)


def pose_errors(
    predicted_mm: Float[np.ndarray, "n j 3"],
    true_mm: Float[np.ndarray, "n j 3"],
    valid: Bool[np.ndarray, "n j"],
    root: Float[np.ndarray, " j"],
) -> dict[str, Masked]:
    """The values whose means are MPJPE, PA-MPJPE (after a similarity), absolute MPJPE, and
    root-relative PCK and AUC at 150 mm.
    """
    relative = joint_errors(*(root_relative(pose, root, valid) for pose in (predicted_mm, true_mm)))
    rooted = valid & has_root(valid, root)[:, None]
    aligned = np.asarray(alignment.procrustes(predicted_mm, true_mm, valid))
    alignable = valid & (valid.sum(axis=1) >= ALIGNABLE_JOINTS)[:, None]
    return {
        "mpjpe_mm": Masked(relative, rooted),
        "pa_mpjpe_mm": Masked(joint_errors(aligned, true_mm), alignable),
        "absolute_mpjpe_mm": Masked(joint_errors(predicted_mm, true_mm), valid),
        "pck150": Masked(100.0 * (relative < PCK_MM), rooted),
        "auc150": Masked(100.0 * np.maximum(0.0, 1.0 - relative / PCK_MM), rooted),
    }


def are_sides_exchanged(
    predicted_mm: Float[np.ndarray, "n j 3"],
    true_mm: Float[np.ndarray, "n j 3"],
    joint_names: Sequence[str],
) -> Bool[np.ndarray, " n"]:
    """Which poses come nearer to the truth, root to root, when left and right change names.

    Every joint of the poses must be labelled.
    """
    root, valid = root_weights(joint_names), np.ones(true_mm.shape[:2], bool)
    mirror = skeleton.mirror_map(joint_names)
    poses_mm = (predicted_mm, predicted_mm[:, mirror], true_mm)
    plain, exchanged, truth = (root_relative(pose, root, valid) for pose in poses_mm)
    return joint_errors(exchanged, truth).mean(1) < joint_errors(plain, truth).mean(1)


def neighbour_pairs(
    poses: Iterable[tuple[Float[np.ndarray, "_ j 3"], Bool[np.ndarray, "_ j"]]],
    members: Mapping[str, Sequence[int]],
    within_mm: float,
) -> Int[np.ndarray, "p 2"]:
    """The pairs of joints of different formats whose mean true distance is at most `within_mm`.

    The mean is over the poses that label both. `poses` gives batches of true joints and of their
    `valid`, and is read once.
    """
    joints = 1 + max((index for indices in members.values() for index in indices), default=-1)
    owner = np.full(joints, -1)
    for number, indices in enumerate(members.values()):
        owner[list(indices)] = number
    distance, count = np.zeros((2, joints, joints))
    for true_mm, valid in poses:
        for pose, labelled in zip(true_mm, valid[:, :joints] & (owner >= 0), strict=True):
            at = np.flatnonzero(labelled)
            both = np.ix_(at, at)
            distance[both] += np.linalg.norm(pose[at, None] - pose[None, at], axis=-1)
            count[both] += 1
    near = (count > 0) & (distance <= within_mm * count)
    near &= owner[:, None] < owner[None]
    return np.argwhere(near)


def disagreement_errors(
    predicted_mm: Float[np.ndarray, "n j 3"],
    true_mm: Float[np.ndarray, "n j 3"],
    valid: Bool[np.ndarray, "n j"],
    pairs: Int[np.ndarray, "p 2"],
) -> dict[str, Masked]:
    """The values whose means are the cross-format disagreement, in depth and in the image plane.

    They are |(P_a − P_b) − (G_a − G_b)| for joints a and b of a pair; P is predicted, G is true.
    """
    a, b = pairs.T
    error = (predicted_mm[:, a] - predicted_mm[:, b]) - (true_mm[:, a] - true_mm[:, b])
    both = valid[:, a] & valid[:, b]
    return {
        "disagreement_depth_mm": Masked(np.abs(error[..., 2]), both),
        "disagreement_plane_mm": Masked(np.linalg.norm(error[..., :2], axis=-1), both),
    }


def means(errors: Mapping[str, Masked]) -> dict[str, float]:
    """The mean of each masked array; a name with an empty mask is left out."""
    return {
        name: float(values[mask].mean(dtype=np.float64))
        for name, (values, mask) in errors.items()
        if mask.any()
    }
