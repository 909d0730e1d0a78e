"""Steadier poses: each person's motion is smoothed by itself, after tracking.

For a finished video `smooth` has no delay (Whittaker's smoother: the least squares of staying close
to what was seen and of a small second difference). For a camera `filter_frame` looks at the past
only (the One Euro filter of Casiez et al. 2012, https://gery.casiez.net/1euro/).
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64
from scipy import linalg

from acae_jax.recordings import results

CUTOFF_HZ = 6.0  # motion slower than this stays; the usual bound in studies of gait
GAP_SECONDS = 0.25  # somebody unseen for longer begins anew
MOST_TRUST = 4.0  # times the usual weight, for joints that are surer than usual; its inverse, less
PASSES = 4  # of finding single frames that are far off
MOST_CYCLES = 0.499  # per step from frame to frame: faster motion cannot be told
FAR_OFF = 4.0  # times the usual distance from the smooth motion
# Of the One Euro filter: the cutoff at rest, what speed adds to it, and that of the speed itself.
STILL_HZ = 1.5
HZ_PER_MM_PER_SECOND = 0.015
VELOCITY_HZ = 1.0


def smooth(sequence: results.Sequence, cutoff_hz: float = CUTOFF_HZ) -> results.Sequence:
    """The sequence with smooth `poses_mm` and `poses_px`, without delay.

    Motion of `cutoff_hz` is halved and faster motion removed. A joint counts the less the higher
    its uncertainty is. Frames may come at uneven times. Nothing is smoothed across a gap of
    `GAP_SECONDS`, nor are missing frames filled in; where frames are too rare to show `cutoff_hz`,
    poses stay as they are.
    """
    poses_mm, poses_px = sequence.poses_mm.copy(), sequence.poses_px.copy()
    for entries in segments(sequence):
        times_s = sequence.time_s[entries]
        if len(times_s) < 3:
            continue
        step_s = float(np.median(np.diff(times_s)))
        if cutoff_hz * step_s >= MOST_CYCLES:
            continue
        trust = _trust(sequence.uncertainty_mm[entries])
        for poses in (poses_mm, poses_px):
            poses[entries] = _smooth_joints(
                poses[entries], times_s / step_s, trust, cutoff_hz * step_s
            )
    return sequence._replace(poses_mm=poses_mm, poses_px=poses_px)


def segments(sequence: results.Sequence) -> Iterator[Int64[np.ndarray, " m"]]:
    """The entries of each person's unbroken stretches, in the order of frames."""
    for number in np.unique(sequence.track):
        entries = np.flatnonzero(sequence.track == number)
        entries = entries[np.argsort(sequence.frame[entries], kind="stable")]
        seconds = np.diff(sequence.time_s[entries])
        yield from np.split(entries, np.flatnonzero(seconds > GAP_SECONDS + results.SAME_S) + 1)


def _trust(uncertainty_mm: Float32[np.ndarray, "m J"]) -> Float[np.ndarray, "m J"]:
    """Weights from the squared uncertainty, 1 where it is usual for the joint or unknown."""
    has_uncertainty = np.isfinite(uncertainty_mm) & (uncertainty_mm > 0)
    sigma = np.where(has_uncertainty, uncertainty_mm, 1.0).astype(np.float64)
    usual = np.median(sigma, axis=0)
    trust = np.clip((usual / sigma) ** 2, 1 / MOST_TRUST, MOST_TRUST)
    return np.where(has_uncertainty.all(axis=0), trust, 1.0)


def _smooth_joints(
    poses: Float32[np.ndarray, "m J d"],
    times: Float64[np.ndarray, " m"],
    trust: Float[np.ndarray, "m J"],
    cutoff: float,
) -> Float32[np.ndarray, "m J d"]:
    """Whittaker's smoother for each joint; `times` in usual steps, the cutoff in cycles a step."""
    nodes, places = _nodes(times)
    steps = np.diff(times)
    around = np.concatenate([steps[:1], (steps[1:] + steps[:-1]) / 2, steps[-1:]])
    penalty = (2 * np.sin(np.pi * cutoff)) ** -4.0
    bands = penalty * _squared_second_difference(np.diff(nodes))
    # Each pose stands for the time around it: the cutoff is the same where frames are dense.
    trust = trust * around[:, None]
    smoothed = np.empty_like(poses)
    for joint in range(poses.shape[1]):
        positions = poses[:, joint].astype(np.float64)
        weights = trust[:, joint]
        for _ in range(PASSES):
            curve = _least_squares(bands, places, weights, positions)[places]
            off = np.linalg.norm(positions - curve, axis=-1)
            bound = FAR_OFF * np.median(off) + 1e-9
            weights = trust[:, joint] * np.minimum(1, bound / np.maximum(off, bound))
        smoothed[:, joint] = curve
    return smoothed


def _nodes(
    times: Float64[np.ndarray, " m"],
) -> tuple[Float64[np.ndarray, " length"], Int64[np.ndarray, " m"]]:
    """Times at most about one step apart, and the places of `times` among them."""
    counts = np.maximum(1, np.rint(np.diff(times))).astype(np.int64)
    places = np.concatenate([[0], np.cumsum(counts)])
    return np.interp(np.arange(places[-1] + 1), places, times), places


def _least_squares(
    bands: Float[np.ndarray, "3 length"],
    places: Int64[np.ndarray, " m"],
    weights: Float[np.ndarray, " m"],
    positions: Float[np.ndarray, "m d"],
) -> Float[np.ndarray, "length d"]:
    """Solve (W + λD'D) z = W x, where nodes without a pose have no weight."""
    matrix, right = bands.copy(), np.zeros((bands.shape[1], positions.shape[1]))
    matrix[-1, places] += weights
    right[places] = weights[:, None] * positions
    return linalg.solveh_banded(matrix, right, overwrite_ab=True, overwrite_b=True)


def _squared_second_difference(
    steps: Float64[np.ndarray, " steps"],
) -> Float[np.ndarray, "3 steps+1"]:
    """D'D of the second difference D over these steps, as the bands that `solveh_banded` takes."""
    before, after = steps[:-1], steps[1:]
    both = before + after
    factors = 2 / (before * both), -2 / (before * after), 2 / (after * both)
    length = len(steps) + 1
    bands = np.zeros((3, length))
    for start in range(3):
        for end in range(start, 3):
            product = factors[start] * factors[end] * both / 2
            bands[2 - (end - start), end : length - 2 + end] += product
    return bands


# ------------------------------------------------------------------------------------ as they come


class Filtered(NamedTuple):
    """A person as filtered last: the time, the pose in mm and px, and the joints' velocity."""

    time_s: float
    pose_mm: Float[np.ndarray, "J 3"]
    pose_px: Float[np.ndarray, "J 2"]
    velocity_mm: Float[np.ndarray, "J 3"]


def filter_frame(
    before: Mapping[int, Filtered], people: results.Frame
) -> tuple[dict[int, Filtered], results.Frame]:
    """The One Euro filter: the people of a frame, steadied by those before, and what to pass next.

    `before` holds everybody by track, and is empty in the beginning.
    """
    after = {
        track: one
        for track, one in before.items()
        if people.time_s - one.time_s < GAP_SECONDS + results.SAME_S
    }
    poses_mm, poses_px = people.poses_mm.copy(), people.poses_px.copy()
    for person, track in enumerate(people.track.tolist()):
        seen_mm, seen_px = people.poses_mm[person], people.poses_px[person]
        after[track] = _filtered(after.get(track), people.time_s, seen_mm, seen_px)
        poses_mm[person], poses_px[person] = after[track].pose_mm, after[track].pose_px
    return after, people._replace(poses_mm=poses_mm, poses_px=poses_px)


def _filtered(
    before: Filtered | None,
    time_s: float,
    seen_mm: Float32[np.ndarray, "J 3"],
    seen_px: Float32[np.ndarray, "J 2"],
) -> Filtered:
    if before is None:
        return Filtered(time_s, seen_mm, seen_px, np.zeros_like(seen_mm))
    seconds = time_s - before.time_s
    velocity = (seen_mm - before.pose_mm) / np.float32(seconds)
    velocity = before.velocity_mm + _share(VELOCITY_HZ, seconds) * (velocity - before.velocity_mm)
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
    share = _share(STILL_HZ + HZ_PER_MM_PER_SECOND * speed, seconds)
    return Filtered(
        time_s,
        before.pose_mm + share * (seen_mm - before.pose_mm),
        before.pose_px + share * (seen_px - before.pose_px),
        velocity,
    )


def _share(cutoff_hz: float | Float32[np.ndarray, "J 1"], seconds: float):
    """What a first-order filter takes of a new value."""
    ratio = 2 * np.pi * cutoff_hz * seconds
    return ratio / (ratio + 1)
