"""Whether labels can be those of a body: bones of about the usual length, joints in their box.

The usual length of a bone is its mean over the training set. A bone is implausible if it is too
short or too long in proportion, and by more than a tolerance too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

LEAST_JOINTS_IN_BOX = 4
"""An example with fewer joints in its box is dropped."""


class BoneRule(NamedTuple):
    """The limits of a bone's length, as shares of the mean, and the tolerated deviation."""

    shortest: float
    longest: float
    tolerance_mm: float


MERGE = BoneRule(0.1, 3.0, 150.0)
"""For whole datasets: an example with an implausible bone is dropped."""
UMPM = BoneRule(0.5, 1.25, 80.0)
"""For UMPM: the two joints of an implausible bone lose their labels."""

Bones = Sequence[tuple[int, int]]
"""Pairs of joints."""


def bone_lengths_mm(
    poses_mm: Float[np.ndarray, "*n j 3"], bones: Bones
) -> Float[np.ndarray, "*n b"]:
    """The length of each bone; NaN where one of its joints has no label."""
    ends = np.array(bones, int).reshape(-1, 2)
    return np.linalg.norm(poses_mm[..., ends[:, 0], :] - poses_mm[..., ends[:, 1], :], axis=-1)


def mean_lengths_mm(poses_mm: Float[np.ndarray, "n j 3"], bones: Bones) -> Float[np.ndarray, " b"]:
    """The mean length of each bone over poses; NaN for a bone that none of them has."""
    lengths = bone_lengths_mm(poses_mm, bones)
    counts = (~np.isnan(lengths)).sum(0)
    return np.where(counts, np.nansum(lengths, 0), np.nan) / np.maximum(counts, 1)


def implausible_bones(
    poses_mm: Float[np.ndarray, "*n j 3"],
    bones: Bones,
    mean_mm: Float[np.ndarray, " b"],
    rule: BoneRule = MERGE,
) -> Bool[np.ndarray, "*n b"]:
    """Which bones are implausible; those without labels, or without a mean, are not."""
    return are_implausible(bone_lengths_mm(poses_mm, bones), mean_mm, rule)


def are_implausible(
    lengths_mm: Float[np.ndarray, "*n b"],
    mean_mm: Float[np.ndarray, " b"],
    rule: BoneRule = MERGE,
) -> Bool[np.ndarray, "*n b"]:
    """Which lengths of bones are implausible, likewise."""
    shares = (lengths_mm < rule.shortest * mean_mm) | (lengths_mm > rule.longest * mean_mm)
    return shares & (np.abs(lengths_mm - mean_mm) > rule.tolerance_mm)


def without_implausible(
    poses_mm: Float[np.ndarray, "*n j 3"],
    bones: Bones,
    mean_mm: Float[np.ndarray, " b"],
    rule: BoneRule = UMPM,
) -> Float[np.ndarray, "*n j 3"]:
    """The poses with NaN for both joints of each implausible bone."""
    result = poses_mm.copy()
    bad = implausible_bones(poses_mm, bones, mean_mm, rule)
    for number, bone in enumerate(bones):
        for joint in bone:
            result[..., joint, :][bad[..., number]] = np.nan
    return result


def joints_in_box(points_px: Float[np.ndarray, "j 2"], box: Float[np.ndarray, "4"]) -> int:
    """How many joints lie in the box (x, y, w, h), its edges included."""
    is_inside = (points_px >= box[:2]) & (points_px <= box[:2] + box[2:])
    return int(is_inside.all(-1).sum())
