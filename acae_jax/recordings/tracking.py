"""Tracking: people of successive frames get one number each, before anything is smoothed.

A person is expected where a damped constant velocity takes them. The people of each frame are
assigned to the expected ones at the least total cost. The cost grows with the distance of the poses
in 3D, the only thing that tells apart two who cross, and falls with the overlap of their boxes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32
from scipy import optimize

from acae_jax.geometry import boxes as box_geometry
from acae_jax.recordings import results

GAP_SECONDS = 1.0  # hidden people keep their number for this long,
GAP_STEPS = 2  # or for so many steps from one used frame to the next, however long these are
NEAR_MM = 600.0  # a pose nearer than this to the expected one can be the same person,
DRIFT_MM_PER_SECOND = 2000.0  # and so much further for each second since they were seen,
JUMP = 3.0  # and so many times further if the boxes overlap: depth is what jumps
SAME_PLACE_IOU = 0.5
DAMPING_SECONDS = 0.5  # until a hidden person is expected to stand
VELOCITY_SECONDS = 0.4  # over which the velocity is averaged: depth trembles
IMPOSSIBLE = 1e6  # a cost beyond all others
LEAST_ENTRIES = 3  # somebody seen in fewer frames is taken for a false alarm


class Track(NamedTuple):
    """A person as last seen: the time, the pose, the box and how fast both move per second."""

    number: int
    time_s: float
    pose_mm: Float[np.ndarray, "J 3"]
    box: Float[np.ndarray, "4"]
    velocity_mm: Float[np.ndarray, "3"]
    velocity_px: Float[np.ndarray, "2"]


class Tracks(NamedTuple):
    """Everybody who may still be seen again, the number of the next one who appears, last times.

    `times_s` are those of the last `GAP_STEPS` used frames, with people or without, ascending.
    """

    alive: tuple[Track, ...] = ()
    next_number: int = 0
    times_s: tuple[float, ...] = ()


def advance(
    tracks: Tracks,
    time_s: float,
    boxes: Float32[np.ndarray, "n 5"],
    poses_mm: Float32[np.ndarray, "n J 3"],
) -> tuple[Tracks, Int32[np.ndarray, " n"]]:
    """Give the people of a later frame their numbers; returns the tracks as they are then.

    To be called for frames without people too: they are steps.
    """
    oldest_s = min([time_s - GAP_SECONDS, *tracks.times_s])
    alive = [one for one in tracks.alive if one.time_s > oldest_s - results.SAME_S]
    numbers = np.full(len(boxes), -1, np.int32)
    if alive and len(boxes):
        cost = _costs(alive, time_s, boxes, poses_mm)
        for row, column in zip(*optimize.linear_sum_assignment(cost), strict=True):
            if cost[row, column] < IMPOSSIBLE:
                numbers[column] = alive[row].number
    next_number = tracks.next_number
    for person in np.flatnonzero(numbers < 0):
        numbers[person] = next_number
        next_number += 1
    by_number = {one.number: one for one in alive}
    for number, box, pose_mm in zip(numbers.tolist(), boxes, poses_mm, strict=True):
        by_number[number] = _seen(by_number.get(number), number, time_s, box[:4], pose_mm)
    times_s = (*tracks.times_s, time_s)[-GAP_STEPS:]
    return Tracks(tuple(by_number.values()), next_number, times_s), numbers


def track(
    sequence: results.Sequence,
    seen: Int32[np.ndarray, " f"],
    seen_s: Float64[np.ndarray, " f"],
    least_entries: int = LEAST_ENTRIES,
) -> results.Sequence:
    """Number the people of a whole video by the order in which they appear.

    `seen` are all frames that were looked at, also those without people, in ascending order, and
    `seen_s` their times. People seen in fewer frames than `least_entries`, and in fewer than half
    of these, are left out.
    """
    least_entries = min(least_entries, -(-len(seen) // 2))
    tracks, numbers = Tracks(), np.zeros_like(sequence.track)
    for index, time_s in zip(seen.tolist(), seen_s.tolist(), strict=True):
        here = sequence.frame == index
        people = results.at(sequence, index, time_s)
        tracks, numbers[here] = advance(tracks, time_s, people.boxes, people.poses_mm)
    unique, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    track_numbers = unique[np.argsort(first)][counts[np.argsort(first)] >= least_entries]
    places = {number: place for place, number in enumerate(track_numbers.tolist())}
    keep = np.isin(numbers, track_numbers)
    return results.keep(sequence, keep)._replace(
        track=np.array([places[number] for number in numbers[keep].tolist()], np.int32)
    )


def _costs(
    alive: Sequence[Track],
    time_s: float,
    boxes: Float32[np.ndarray, "n 5"],
    poses_mm: Float32[np.ndarray, "n J 3"],
) -> Float[np.ndarray, "t n"]:
    seconds = np.array([time_s - one.time_s for one in alive])
    moved = DAMPING_SECONDS * -np.expm1(-seconds / DAMPING_SECONDS)
    poses = np.stack([one.pose_mm for one in alive])
    poses = poses + (moved[:, None] * [one.velocity_mm for one in alive])[:, None]
    places = np.stack([one.box for one in alive])
    places[:, :2] += moved[:, None] * [one.velocity_px for one in alive]
    distance_mm = np.linalg.norm(poses[:, None] - poses_mm[None], axis=-1).mean(-1)
    overlap = box_geometry.iou(
        *np.broadcast_arrays(places[:, None], boxes[None, :, :4].astype(places.dtype))
    )
    reach_mm = (NEAR_MM + DRIFT_MM_PER_SECOND * seconds)[:, None]
    jumped = (overlap > SAME_PLACE_IOU) & (distance_mm < JUMP * reach_mm)
    possible = (distance_mm < reach_mm) | jumped
    return np.where(possible, distance_mm / reach_mm + 1 - overlap, IMPOSSIBLE)


def _seen(
    before: Track | None,
    number: int,
    time_s: float,
    box: Float32[np.ndarray, "4"],
    pose_mm: Float32[np.ndarray, "J 3"],
) -> Track:
    box, pose_mm = box.astype(np.float64), pose_mm.astype(np.float64)
    if before is None:
        return Track(number, time_s, pose_mm, box, np.zeros(3), np.zeros(2))
    seconds = time_s - before.time_s
    share = -np.expm1(-seconds / VELOCITY_SECONDS)
    velocity_mm = (pose_mm.mean(0) - before.pose_mm.mean(0)) / seconds
    velocity_px = (box_geometry.centre(box) - box_geometry.centre(before.box)) / seconds
    return Track(
        number,
        time_s,
        pose_mm,
        box,
        before.velocity_mm + share * (velocity_mm - before.velocity_mm),
        before.velocity_px + share * (velocity_px - before.velocity_px),
    )
