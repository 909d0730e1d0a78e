"""What a sample of a dataset measures: bones by subject, sizes, labels, boxes.

Lengths of 3D labels do not know about people's size, cameras or poses, so they show whether units,
joints and sides are right. A spread is the range from the 5th to the 95th percentile.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from acae_jax.datasets.checking.looked_at import Sample
from acae_jax.datasets.steps import plausible
from acae_jax.skeletons import body_parts, skeleton

PERCENTILES = (5, 50, 95)
LEAST_RECORDS = 5  # of a subject whose bones are measured
# Lengths as shares of a person's height (Drillis and Contini, 1966).
LIMBS = {
    ("hip", "knee"): 0.245,
    ("knee", "ankle"): 0.246,
    ("shoulder", "elbow"): 0.186,
    ("elbow", "wrist"): 0.146,
}
UPPER = ("head top", "head", "nose", "eye", "ear", "neck", "shoulder")
LOWER = ("knee", "ankle", "foot", "heel", "toe")
BENT = 0.1  # least distance of a bent knee from the middle of hip and ankle, in lengths of the leg
LEAST_BENT = 20  # knees, to tell which way they bend


class Spread(NamedTuple):
    """The 5th, 50th and 95th percentile."""

    low: float
    middle: float
    high: float


class Bones(NamedTuple):
    """Lengths of the bones of some records, and how the left ones differ from the right ones.

    spread_mm   a column for each bone; NaN where it is not labelled
    left_right  length of each left bone in lengths of the right one; NaN for the other bones
    """

    spread_mm: Float[np.ndarray, "3 b"]
    left_right: Float[np.ndarray, " b"]


class Subject(NamedTuple):
    """A person."""

    name: str
    records: int
    height_m: float
    bones: Bones


class Measures(NamedTuple):
    """All that is measured; None and empty where the labels do not tell.

    bone_names    of the edges that are labelled
    bones         of all records together
    within        spread of each bone's lengths within a subject, in lengths of the bone: the
                  median over subjects; NaN where no subject has records enough
    subjects      with LEAST_RECORDS or more, those with most records first
    cameras       how many records each has
    labelled      share of the records that label each joint
    in_box        share of the labelled joints that are in the box
    height_m      of people, from the lengths of their limbs
    person_px     height of the boxes
    upright       share of the crops in which the head is above the feet
    knees_forward share of the bent knees that are bent forwards
    """

    bone_names: tuple[str, ...]
    bones: Bones
    within: Float[np.ndarray, " b"]
    subjects: tuple[Subject, ...]
    subject_count: int
    cameras: dict[str, int]
    labelled: dict[str, float]
    in_box: float
    masks: float
    person_px: Spread
    distance_m: Spread | None
    height_m: Spread | None
    upright: float | None
    knees_forward: float | None


def measure(sample: Sample) -> Measures:
    """The measures of a sample."""
    poses_mm = sample.joints_mm
    is_3d = poses_mm.shape[1] > 0
    names, edges = sample.joint_names, list(sample.edges) if is_3d else []
    labels = poses_mm if is_3d else sample.joints_px
    is_labelled = np.asarray(np.isfinite(labels).all(axis=-1))
    lengths_mm = plausible.bone_lengths_mm(poses_mm.astype(np.float64), edges)
    heights_m = heights_of(poses_mm, names) if is_3d else np.full(len(poses_mm), np.nan)
    mirrored = mirrored_bones(names, edges)
    subjects = _subjects(sample.subjects, lengths_mm, heights_m, mirrored) if is_3d else []
    return Measures(
        bone_names=tuple(f"{names[a]}–{names[b]}" for a, b in edges),
        bones=bones_of(lengths_mm, mirrored),
        within=_within(subjects, lengths_mm.shape[1]),
        subjects=tuple(subjects),
        subject_count=len(set(sample.subjects)),
        cameras=dict(Counter(sample.cameras).most_common()),
        labelled=dict(zip(names, is_labelled.mean(axis=0).tolist(), strict=True)),
        in_box=_in_box(sample, is_labelled),
        masks=float(sample.has_mask.mean()),
        person_px=Spread(*np.percentile(sample.boxes[:, 3], PERCENTILES).tolist()),
        distance_m=spread(sample.distances_m),
        height_m=spread(heights_m),
        upright=upright(sample.joints_px, names),
        knees_forward=knees_forward(poses_mm, names) if is_3d else None,
    )


def spread(values: Float[np.ndarray, " n"]) -> Spread | None:
    """The spread of those that are not NaN; None without any."""
    finite = values[np.isfinite(values)]
    return Spread(*np.percentile(finite, PERCENTILES).tolist()) if len(finite) else None


def percentiles(values: Float[np.ndarray, "n b"]) -> Float[np.ndarray, "3 b"]:
    """The PERCENTILES of the finite values of each column; NaN for one without any.

    As `np.nanpercentile`, which takes a hundred times as long for the many small groups here.
    """
    ordered = np.sort(values, axis=0)  # NaN last
    last = np.maximum(np.isfinite(values).sum(axis=0) - 1, 0)
    places = np.array(PERCENTILES)[:, None] / 100 * last
    below = np.floor(places).astype(int)
    low, high = (
        np.take_along_axis(ordered, i, axis=0) for i in (below, np.minimum(below + 1, last))
    )
    return low + (places - below) * (high - low)


def bones_of(lengths_mm: Float[np.ndarray, "n b"], mirrored: dict[int, int]) -> Bones:
    """The bones of some records; `mirrored` has the right bone of each left one."""
    left, right = list(mirrored), list(mirrored.values())
    right_mm = lengths_mm[:, right]
    ratios = lengths_mm[:, left] / np.where(right_mm > 0, right_mm, np.nan)
    left_right = np.full(lengths_mm.shape[1], np.nan)
    left_right[left] = percentiles(ratios)[1]
    return Bones(percentiles(lengths_mm), left_right)


def mirrored_bones(joint_names: tuple[str, ...], edges: list[tuple[int, int]]) -> dict[int, int]:
    """The number of the right bone for that of each left one."""
    sides, other = skeleton.sides(joint_names), skeleton.mirror_map(joint_names)
    numbers = {edge: number for number, edge in enumerate(edges)}
    found = {}
    for (a, b), number in numbers.items():
        ends = int(other[a]), int(other[b])
        mirror = min(ends), max(ends)
        if mirror in numbers and {sides[a], sides[b]} in ({"l"}, {"l", ""}):
            found[number] = numbers[mirror]
    return found


def relative(bones: Bones) -> Float[np.ndarray, " b"]:
    """The spread of each bone's lengths, in lengths of the bone."""
    low, middle, high = bones.spread_mm
    return (high - low) / np.where(middle > 0, middle, np.nan)


def typical(values: Float[np.ndarray, " b"]) -> float:
    """The median of those that are not NaN; NaN without any."""
    return float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan


def asymmetry(bones: Bones) -> float:
    """By how much a left bone differs from the right one, in lengths of that: the median."""
    return typical(np.abs(bones.left_right - 1))


def _subjects(
    names: tuple[str, ...],
    lengths_mm: Float[np.ndarray, "n b"],
    heights_m: Float[np.ndarray, " n"],
    mirrored: dict[int, int],
) -> list[Subject]:
    """Those with records enough, the most records first."""
    which, numbers, counts = np.unique(names, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(numbers, kind="stable"), np.cumsum(counts)[:-1])
    found = []
    for index in np.argsort(-counts, kind="stable"):
        if counts[index] < LEAST_RECORDS:
            break
        height = spread(heights_m[rows[index]])
        found.append(
            Subject(
                str(which[index]),
                int(counts[index]),
                np.nan if height is None else height.middle,
                bones_of(lengths_mm[rows[index]], mirrored),
            )
        )
    return found


def _within(subjects: list[Subject], count: int) -> Float[np.ndarray, " b"]:
    if not subjects:
        return np.full(count, np.nan)
    return percentiles(np.array([relative(subject.bones) for subject in subjects]))[1]


def _in_box(sample: Sample, is_labelled: Bool[np.ndarray, "n j"]) -> float:
    """The share of the labelled joints that are in their box; joints behind the camera are not."""
    low, high = sample.boxes[:, None, :2], sample.boxes[:, None, :2] + sample.boxes[:, None, 2:]
    is_inside = ((sample.joints_px >= low) & (sample.joints_px <= high)).all(axis=-1)
    return float(np.mean(is_inside, where=is_labelled)) if is_labelled.any() else np.nan


def heights_of(
    poses_mm: Float[np.ndarray, "n j 3"], joint_names: tuple[str, ...]
) -> Float[np.ndarray, " n"]:
    """How tall people are, m, from the lengths of their limbs; NaN without any limb.

    Where no joint's name is that of a limb's end, it is the longest side of the joints' box.
    """
    places = _places(joint_names)
    ends = {
        (places[one, side], places[other, side]): share
        for (one, other), share in LIMBS.items()
        for side in "lr"
        if (one, side) in places and (other, side) in places
    }
    if not ends:
        is_labelled = np.isfinite(poses_mm).all(axis=-1, keepdims=True)
        low = np.where(is_labelled, poses_mm, np.inf).min(axis=1)
        high = np.where(is_labelled, poses_mm, -np.inf).max(axis=1)
        longest = (high - low).max(axis=-1)
        return np.where(np.isfinite(longest), longest / 1000, np.nan)
    lengths_mm = plausible.bone_lengths_mm(poses_mm.astype(np.float64), list(ends))
    shares = np.isfinite(lengths_mm) @ np.array(list(ends.values()))
    sums = np.where(shares > 0, np.nansum(lengths_mm, axis=1), np.nan)
    return sums / np.where(shares > 0, shares, 1) / 1000


def upright(joints_px: Float[np.ndarray, "n j 2"], joint_names: tuple[str, ...]) -> float | None:
    """The share of crops in which the upper joints are above the lower ones."""
    parts = [part.name for part in body_parts.of(joint_names)]
    rows = []
    for some in (UPPER, LOWER):
        of_these = joints_px[:, [part in some for part in parts], 1]
        is_there = np.isfinite(of_these)
        count = is_there.sum(axis=1)
        mean = np.where(is_there, of_these, 0).sum(axis=1) / np.maximum(count, 1)
        rows.append(np.where(count > 0, mean, np.nan))
    known = np.isfinite(rows).all(axis=0)
    return float((rows[0] < rows[1])[known].mean()) if known.any() else None


def knees_forward(
    poses_mm: Float[np.ndarray, "n j 3"], joint_names: tuple[str, ...]
) -> float | None:
    """The share of bent knees that are bent forwards, as seen from hips and trunk.

    Where left and right joints are confused, and in a mirrored world, knees bend backwards.
    """
    places = _places(joint_names)
    needed = [(part, side) for part in ("hip", "knee", "ankle", "shoulder") for side in "lr"]
    if any(end not in places for end in needed):
        return None
    joint = {end: poses_mm[:, places[end]].astype(np.float64) for end in needed}
    across = joint["hip", "l"] - joint["hip", "r"]
    up = joint["shoulder", "l"] + joint["shoulder", "r"] - joint["hip", "l"] - joint["hip", "r"]
    forwards = np.cross(across, up)
    forwards /= np.maximum(np.linalg.norm(forwards, axis=-1, keepdims=True), 1e-9)
    votes = []
    for side in "lr":
        hip, knee, ankle = (joint[part, side] for part in ("hip", "knee", "ankle"))
        leg = np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
        away = ((knee - (hip + ankle) / 2) * forwards).sum(axis=-1)
        votes.append(away[np.abs(away) > BENT * leg] > 0)  # no comparison with NaN is true
    found = np.concatenate(votes)
    return float(found.mean()) if len(found) >= LEAST_BENT else None


def _places(joint_names: tuple[str, ...]) -> dict[tuple[str, str], int]:
    """The first joint of each part and side of the body."""
    found: dict[tuple[str, str], int] = {}
    for index, part in enumerate(body_parts.of(joint_names)):
        found.setdefault((part.name, part.side), index)
    return found
