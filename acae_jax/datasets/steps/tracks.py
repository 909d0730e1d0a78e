"""People of successive frames told apart by where they were, so that each is sampled for itself.

For releases whose frames list people without telling who is who, as CMU Panoptic's. Each person of
a frame is assigned to the track whose last kept pose is nearest, all together at the least sum of
mean distances. A track never ends: who comes back after a while is somebody's next pose, which at
worst keeps one pose too many.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import optimize

from acae_jax.datasets.steps import sampling

PANOPTIC = sampling.COMMON._replace(joints=3)
"""At least three joints have moved by 100 mm since the person's last kept pose."""

_NO_JOINT_IN_COMMON = 1e9  # a distance beyond all others


class People(NamedTuple):
    """The people of a frame: each one's number, unique in the sequence, and who is kept."""

    numbers: Int[np.ndarray, " n"]
    is_kept: Bool[np.ndarray, " n"]


Tracks = tuple[Float[np.ndarray, "_ j c"], ...]
"""The kept poses of each person so far, by number; at the beginning it is empty."""


def step(
    rule: sampling.Rule, tracks: Tracks, poses: Float[np.ndarray, "n j c"]
) -> tuple[Tracks, People]:
    """Assign the people of the next frame to the tracks, and sample each by the rule.

    Who is too many for the tracks begins a new one, and is kept if there is any label.
    """
    numbers = np.full(len(poses), -1)
    if tracks and len(poses):
        distance = _mean_distance(np.stack([kept[-1] for kept in tracks]), poses)
        track, person = optimize.linear_sum_assignment(distance)
        is_pair = distance[track, person] < _NO_JOINT_IN_COMMON
        numbers[person[is_pair]] = track[is_pair]
    is_new = numbers < 0
    numbers[is_new] = len(tracks) + np.arange(is_new.sum())
    after: list[sampling.Kept] = [*tracks, *[None] * int(is_new.sum())]
    is_kept = np.zeros(len(poses), bool)
    for person, (number, pose) in enumerate(zip(numbers.tolist(), poses, strict=True)):
        after[number], is_kept[person] = sampling.step(rule, after[number], pose)
    return tuple(kept for kept in after if kept is not None), People(numbers, is_kept)


def _mean_distance(
    before: Float[np.ndarray, "t j c"], now: Float[np.ndarray, "n j c"]
) -> Float[np.ndarray, "t n"]:
    """The mean over the joints that both have."""
    distance = np.linalg.norm(before[:, None] - now[None], axis=-1)
    is_common = ~np.isnan(distance)
    total = np.where(is_common, distance, 0).sum(-1)
    mean = total / np.maximum(is_common.sum(-1), 1)
    return np.where(is_common.any(-1), mean, _NO_JOINT_IN_COMMON)
