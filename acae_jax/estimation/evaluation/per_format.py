"""Errors of a model and disagreement of its formats, on poses that are labelled in one or several
formats.

The joints of the labels are in the order of the union of their formats. A model may have other
outputs (joints merged by name), so both are compared format by format, through their `members`.
Poses may lack labels; `metrics` says what then counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from acae_jax import metrics
from acae_jax.benchmarks import scoring
from acae_jax.benchmarks.scoring import Tally
from acae_jax.metrics import Masked
from acae_jax.skeletons.union import JointUnion

NEIGHBOURS_MM = 60.0
MEAN = "mean"
_BETWEEN = "between formats"

Labels = tuple[Float[np.ndarray, "_ j 3"], Bool[np.ndarray, "_ j"]]  # of any number of poses


class LabelCount(NamedTuple):
    """The number of poses with labels of a format, and how many of them some metrics leave out."""

    poses: int
    without_root: int  # left out of MPJPE, PCK and AUC
    below_three: int  # with fewer than three joints: left out of PA-MPJPE


class Survey(NamedTuple):
    """The formats that have labels, with their counts, and the pairs of neighbouring joints of
    different formats.
    """

    counts: dict[str, LabelCount]
    pairs: Int[np.ndarray, "p 2"]


def survey(labels: Iterable[Labels], union: JointUnion) -> Survey:
    """Read all true joints in mm once, batch by batch, in the order of the union."""
    counts = dict.fromkeys(union.members, LabelCount(0, 0, 0))
    roots = _roots(union)

    def counted() -> Iterator[Labels]:
        for true_mm, valid in labels:
            for name, indices in union.members.items():
                own = valid[:, list(indices)]
                own = own[own.any(axis=1)]
                new = (
                    len(own),
                    np.sum(~metrics.has_root(own, roots[name])),
                    np.sum(own.sum(axis=1) < metrics.ALIGNABLE_JOINTS),
                )
                both = zip(counts[name], new, strict=True)
                counts[name] = LabelCount(*(int(old + more) for old, more in both))
            yield true_mm, valid

    pairs = metrics.neighbour_pairs(counted(), union.members, NEIGHBOURS_MM)
    return Survey({name: count for name, count in counts.items() if count.poses}, pairs)


def left_out(counts: Mapping[str, LabelCount], formats: Iterable[str]) -> list[str]:
    """A sentence for each kind of label that is missing; none if every pose has all of them."""
    unlabelled = [name for name in formats if name not in counts]
    sentences = []
    if unlabelled:
        sentences.append(f"No pose is labelled in {', '.join(unlabelled)}: not scored.")
    for field, what, left in (
        ("without_root", "lack the root", "MPJPE, PCK and AUC leave them out"),
        ("below_three", "have fewer than 3 labelled joints", "PA-MPJPE leaves them out"),
    ):
        parts = [
            f"{getattr(count, field)} of {count.poses} poses in {name}"
            for name, count in counts.items()
            if getattr(count, field)
        ]
        sentences += [f"{', '.join(parts)} {what}: {left}."] if parts else []
    return sentences


def in_test_order(
    poses_mm: Float[np.ndarray, "n p 3"],
    members: Mapping[str, Sequence[int]],
    union: JointUnion,
) -> Float[np.ndarray, "n j 3"]:
    """A model's outputs in the order of the labels' union, format by format."""
    arranged = np.full((len(poses_mm), len(union.joint_names), 3), np.nan, np.float32)
    for name, indices in union.members.items():
        if name not in members:
            raise ValueError(f"the model has no format {name!r}; it has {', '.join(members)}")
        arranged[:, list(indices)] = poses_mm[:, list(members[name])]
    return arranged


def add(
    tally: Tally,
    poses_mm: Float[np.ndarray, "n j 3"],
    labels: Labels,
    union: JointUnion,
    pairs: Int[np.ndarray, "p 2"],
) -> None:
    """Add the errors of predicted poses to the sums of each format, and of their disagreement."""
    true_mm, valid = labels
    for name, root in _roots(union).items():
        at = list(union.members[name])
        tally.add(name, metrics.pose_errors(poses_mm[:, at], true_mm[:, at], valid[:, at], root))
    tally.add(_BETWEEN, metrics.disagreement_errors(poses_mm, true_mm, valid, pairs))


def result(tally: Tally) -> dict[str, dict[str, float]]:
    """The metrics of each format; under "mean" their average over formats, and the disagreement
    between formats.

    Formats without a labelled pose are missing. So is the disagreement, if no pose labels two
    neighbouring joints.
    """
    per_format = tally.means()
    between = per_format.pop(_BETWEEN, {})
    return {**per_format, MEAN: {**scoring.mean_over_groups(per_format), **between}}


def scores(
    poses_mm: Float[np.ndarray, "n j 3"],
    labels: Labels,
    union: JointUnion,
    pairs: Int[np.ndarray, "p 2"],
) -> dict[str, dict[str, float]]:
    """The `result` of all poses at once."""
    tally = Tally()
    add(tally, poses_mm, labels, union, pairs)
    return result(tally)


class MeanPose(NamedTuple):
    """The mean root-relative pose of a format, and which of its joints have labels in some pose."""

    joints_mm: Float[np.ndarray, "_ 3"]
    labelled: Bool[np.ndarray, " _"]


def mean_poses(labels: Iterable[Labels], union: JointUnion) -> dict[str, MeanPose]:
    """The mean pose of each format that has poses with a root."""
    roots = _roots(union)
    sums = {name: np.zeros((len(at), 3)) for name, at in union.members.items()}
    counts = {name: np.zeros(len(at), int) for name, at in union.members.items()}
    for true_mm, valid in labels:
        for name, root in roots.items():
            at = list(union.members[name])
            own, labelled = true_mm[:, at], valid[:, at]
            rooted = labelled & metrics.has_root(labelled, root)[:, None]
            relative = metrics.root_relative(own, root, labelled)
            sums[name] += np.where(rooted[..., None], relative, 0).sum(axis=0)
            counts[name] += rooted.sum(axis=0)
    return {
        name: MeanPose((sums[name] / np.maximum(count, 1)[:, None]).astype(np.float32), count > 0)
        for name, count in counts.items()
        if count.any()
    }


def mean_pose_mpjpe_mm(
    mean: Mapping[str, MeanPose], labels: Labels, union: JointUnion
) -> float | None:
    """The MPJPE of always predicting the mean pose of training, averaged over formats.

    None if a format of the labels has no mean pose, because averages over different formats cannot
    be compared.
    """
    tally = Tally()
    true_mm, valid = labels
    for name, root in _roots(union).items():
        at = list(union.members[name])
        own, labelled = true_mm[:, at], valid[:, at]
        rooted = labelled & metrics.has_root(labelled, root)[:, None]
        if not rooted.any():
            continue
        if name not in mean:
            return None
        truth = metrics.root_relative(own, root, labelled)
        guess = np.broadcast_to(mean[name].joints_mm, truth.shape)
        error = Masked(metrics.joint_errors(guess, truth), rooted & mean[name].labelled)
        tally.add(name, {"mpjpe_mm": error})
    return scoring.mean_over_groups(tally.means()).get("mpjpe_mm")


def _roots(union: JointUnion) -> dict[str, Float[np.ndarray, " _"]]:
    """The weights of each format's root over its own joints."""
    return {
        name: metrics.root_weights([union.joint_names[index] for index in indices])
        for name, indices in union.members.items()
    }
