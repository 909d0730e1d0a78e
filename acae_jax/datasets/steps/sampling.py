"""Adaptive sampling of poses: a pose that hardly differs from kept ones makes no training example.

A pose is kept if it differs from each of the last kept poses, of which the rule says how many count
(one: the classic sampler; more: the one with a buffer). It differs from a kept pose if at least
`rule.joints` joints are at least `rule.threshold` away from where they were. For test sets, nothing
is sampled.

    recipe                                           rule
    compared with the last kept pose                 PLAIN
    … with a validity check (MADS, IKEA ASM)         VALIDITY
    … with the last N kept poses                     buffered(N)
    SAIL-VOS: any joint that both poses have         COMMON
    Panoptic: three joints that both poses have      COMMON._replace(joints=3), by `tracks`
    JRDB, PoseTrack: a joint is new or has moved     NEW_OR_MOVED._replace(threshold=…), for each
    by a share of the box or of the head             frame its own

The recipe's public code takes the norm over the whole pose for PoseTrack, which it calls a bug;
here it is that of each joint.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Rule(NamedTuple):
    """When a pose is kept.

    threshold             how far a joint must move, in the unit of the poses
    joints                so many joints must have moved
    last                  so many of the last kept poses count
    new_joints_count      a joint that the last kept pose lacks is reason enough; the joints that
                          the new pose lacks are not compared
    missing_is_unchanged  joints that one of two poses lacks count as unchanged, otherwise as moved
    gaps_are_filled       a kept pose takes over from the one before what it lacks
    """

    threshold: float = 100.0
    joints: int = 1
    last: int = 1
    new_joints_count: bool = False
    missing_is_unchanged: bool = False
    gaps_are_filled: bool = False


Kept = Float[np.ndarray, "_ j c"] | None
"""The last kept poses, the latest at the end; None before the first pose."""

PLAIN = Rule()
VALIDITY = Rule(new_joints_count=True)
COMMON = Rule(missing_is_unchanged=True)
NEW_OR_MOVED = Rule(new_joints_count=True, missing_is_unchanged=True)


def buffered(last: int) -> Rule:
    """The rule that compares with this many kept poses, wherever there are labels."""
    return NEW_OR_MOVED._replace(last=last, gaps_are_filled=True)


def step(rule: Rule, kept: Kept, pose: Float[np.ndarray, "j c"]) -> tuple[Kept, bool]:
    """Take the next pose (NaN where it has no label), return the kept poses and whether it is one.

    The first pose is one, unless it has no label at all; it is then still what the next is compared
    with.
    """
    if kept is None:
        return pose[None], bool(_labelled(pose).any())
    if not _differs(rule, kept, pose):
        return kept, False
    if rule.gaps_are_filled:
        pose = np.where(np.isnan(pose), kept[-1], pose)
    return np.concatenate([kept, pose[None]])[-rule.last :], True


def sample(rule: Rule, poses: Float[np.ndarray, "f j c"]) -> Bool[np.ndarray, " f"]:
    """Which poses of a sequence are kept."""
    kept, is_kept = None, np.zeros(len(poses), bool)
    for index, pose in enumerate(poses):
        kept, is_kept[index] = step(rule, kept, pose)
    return is_kept


def _labelled(pose: Float[np.ndarray, "j c"]) -> Bool[np.ndarray, " j"]:
    return np.asarray(np.isfinite(pose).all(-1))


def _differs(rule: Rule, kept: Float[np.ndarray, "n j c"], pose: Float[np.ndarray, "j c"]) -> bool:
    now = _labelled(pose)
    if rule.new_joints_count:
        if (now & ~_labelled(kept[-1])).any():
            return True
        kept, pose = kept[:, now], pose[now]
    distance = np.linalg.norm(kept - pose, axis=-1)
    if not rule.missing_is_unchanged:
        moved = ~(distance < rule.threshold)  # also where it is NaN
        return bool((moved.sum(-1) >= rule.joints).all())
    # Kept poses that share no joint with this one say nothing.
    distance = distance[~np.isnan(distance).all(-1)]
    has_moved = (distance >= rule.threshold).sum(-1) >= rule.joints
    return bool(len(distance) and has_moved.all())
