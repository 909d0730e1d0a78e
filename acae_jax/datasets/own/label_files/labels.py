"""Annotations of a clip as rows of arrays: one row for each person in each frame.

Readers of files return `Labels` as the file has them: its own names of joints, frames or images,
and unit. The functions here make them those of a clip.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from acae_jax import messages
from acae_jax.skeletons.skeleton import Skeleton

Moment = int | str
"""The number of a frame, or the name of an image."""

Joints = Mapping[str, tuple[str, ...]]
"""Of each joint of the skeleton the names in a file; of several, the middle is the joint."""


class Labels(NamedTuple):
    """Rows of annotations; NaN where something is missing.

    people       ids; "" where the file does not tell
    joint_names  of the joints of both arrays
    joints       in the file's unit and space
    boxes        x, y, w, h in px
    unit         of `joints`, "mm", "cm" or "m"; "" where the file does not tell
    rate_hz      frames per second, where the file tells; 0 where frames are those of the images
    is_motion    whether frames may go on when the video has ended
    """

    moments: tuple[Moment, ...]
    people: tuple[str, ...]
    joint_names: tuple[str, ...]
    joints: Float[np.ndarray, "n j 3"]
    joints_px: Float[np.ndarray, "n j 2"]
    boxes: Float[np.ndarray, "n 4"]
    unit: str = ""
    rate_hz: float = 0.0
    is_motion: bool = False


class Row(NamedTuple):
    """A person in a frame: points by names of joints, without those that are missing."""

    moment: Moment
    person: str
    joints: dict[str, Any]
    joints_px: dict[str, Any]
    box: Sequence[float] | None = None


def of_rows(rows: Iterable[Row], unit: str = "") -> Labels:
    """The labels of rows; ValueError, in one line, if a person is in a frame twice."""
    rows = list(rows)
    names = tuple(dict.fromkeys(n for row in rows for n in (*row.joints, *row.joints_px)))
    index = {name: place for place, name in enumerate(names)}
    joints = np.full((len(rows), len(names), 3), np.nan)
    joints_px = np.full((len(rows), len(names), 2), np.nan)
    boxes = np.full((len(rows), 4), np.nan)
    for number, row in enumerate(rows):
        for points, given in ((joints, row.joints), (joints_px, row.joints_px)):
            if given:
                points[number, [index[name] for name in given]] = list(given.values())
        if row.box is not None:
            boxes[number] = row.box
    people = tuple(row.person for row in rows)
    return check_distinct(
        Labels(tuple(row.moment for row in rows), people, names, joints, joints_px, boxes, unit)
    )


def check_distinct(labels: Labels) -> Labels:
    """The labels; ValueError, in one line, if a person is in a frame twice."""
    seen = set()
    for pair in zip(labels.moments, labels.people, strict=True):
        if pair in seen:
            moment, person = pair
            raise ValueError(
                f"{told(moment)} has {f'person {person!r}' if person else 'a person'} twice; give "
                "people of one frame different names in 'person', or remove one"
            )
        seen.add(pair)
    return labels


def told(moment: Moment) -> str:
    """A moment in a message."""
    return f"frame {moment}" if isinstance(moment, int) else f"image {moment}"


def is_3d(labels: Labels) -> Bool[np.ndarray, " n"]:
    """Which rows have a joint in 3D."""
    return np.asarray(np.isfinite(labels.joints).all(-1).any(-1))


def is_2d(labels: Labels) -> Bool[np.ndarray, " n"]:
    """Which rows have a joint in the image."""
    return np.asarray(np.isfinite(labels.joints_px).all(-1).any(-1))


def rows_of(labels: Labels, chosen: Sequence[int] | np.ndarray) -> Labels:
    """Some of the rows."""
    chosen = np.asarray(chosen, int)
    return labels._replace(
        moments=tuple(labels.moments[i] for i in chosen.tolist()),
        people=tuple(labels.people[i] for i in chosen.tolist()),
        joints=labels.joints[chosen],
        joints_px=labels.joints_px[chosen],
        boxes=labels.boxes[chosen],
    )


def in_skeleton(labels: Labels, skeleton: Skeleton, mapping: Joints) -> Labels:
    """The labels of the skeleton's joints, in its order.

    With a mapping, its joints alone have labels. Without, the names of the file are those of the
    skeleton, or the file has numbers only and as many joints. ValueError, in one line, for others.
    """
    places = {name: place for place, name in enumerate(labels.joint_names)}
    ours = {name: place for place, name in enumerate(skeleton.joint_names)}
    if not places:
        mapping = {}  # boxes only
    elif not mapping:
        if labels.joint_names == numbered(len(ours)):
            mapping = dict(zip(skeleton.joint_names, zip(labels.joint_names), strict=True))
        elif labels.joint_names == numbered(len(places)):
            raise ValueError(
                f"it has {len(places)} joints without names, but skeleton '{skeleton.name}' has "
                f"{len(ours)}; say which is which by 'joints'"
            )
        else:
            mapping = {name: (name,) for name in labels.joint_names}
    joints = np.full((len(labels.people), len(ours), 3), np.nan)
    joints_px = np.full((len(labels.people), len(ours), 2), np.nan)
    for name, theirs in mapping.items():
        if name not in ours:
            raise ValueError(
                f"skeleton '{skeleton.name}' has no joint '{name}'; "
                f"{messages.near_misses(name, ours)} Or say which is which by 'joints'"
            )
        for one in theirs:
            if one not in places:
                raise ValueError(
                    f"it has no joint '{one}' (for '{name}' of the skeleton); "
                    f"{messages.near_misses(one, places)}"
                )
        chosen = [places[one] for one in theirs]
        joints[:, ours[name]] = labels.joints[:, chosen].mean(axis=1)
        joints_px[:, ours[name]] = labels.joints_px[:, chosen].mean(axis=1)
    return labels._replace(joint_names=skeleton.joint_names, joints=joints, joints_px=joints_px)


def numbered(count: int) -> tuple[str, ...]:
    """The names of the joints of a file that has none."""
    return tuple(map(str, range(count)))


def shifted(labels: Labels, first_frame: int) -> Labels:
    """The labels of numbered frames from `first_frame` on, which becomes 0; others stay."""
    moments = [m - first_frame if isinstance(m, int) else m for m in labels.moments]
    chosen = [i for i, m in enumerate(moments) if isinstance(m, str) or m >= 0]
    return rows_of(labels._replace(moments=tuple(moments)), chosen)


def resampled(labels: Labels, first_frame: float, step: float, count: int) -> Labels:
    """The labels of `count` frames of which frame i shows the moment first_frame + i step.

    They are interpolated linearly between the moments before and after, which both must be there.
    """
    found = [rows_of(labels, [])]
    for person in dict.fromkeys(labels.people):
        rows = [i for i, who in enumerate(labels.people) if who == person]
        numbers = np.array([int(labels.moments[i]) for i in rows])
        order = np.argsort(numbers)
        mine, numbers = rows_of(labels, np.array(rows)[order]), numbers[order]
        wanted = first_frame + step * np.arange(count)
        # Rounded, so that times that are meant to coincide do.
        wanted = np.where(np.abs(wanted - np.rint(wanted)) < 1e-6, np.rint(wanted), wanted)
        before, after = (np.searchsorted(numbers, f(wanted)) for f in (np.floor, np.ceil))
        is_there = after < len(numbers)
        before, after = (np.where(is_there, places, 0) for places in (before, after))
        is_there &= numbers[before] == np.floor(wanted)
        is_there &= numbers[after] == np.ceil(wanted)
        frames = np.flatnonzero(is_there)
        share = wanted[frames] - np.floor(wanted[frames])
        one, other = rows_of(mine, before[frames]), rows_of(mine, after[frames])
        found.append(
            one._replace(
                moments=tuple(frames.tolist()),
                joints=_between(one.joints, other.joints, share),
                joints_px=_between(one.joints_px, other.joints_px, share),
                boxes=_between(one.boxes, other.boxes, share),
            )
        )
    return stacked(found)


def _between(one: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    share = share.reshape(-1, *[1] * (one.ndim - 1))
    return np.where(share == 0, one, (1 - share) * one + share * other)


def stacked(parts: Sequence[Labels]) -> Labels:
    """The rows of labels of the same joints, one after the other."""
    return parts[0]._replace(
        moments=tuple(m for part in parts for m in part.moments),
        people=tuple(p for part in parts for p in part.people),
        joints=np.concatenate([part.joints for part in parts]),
        joints_px=np.concatenate([part.joints_px for part in parts]),
        boxes=np.concatenate([part.boxes for part in parts]),
    )


def joined(parts: Sequence[Labels], paths: Sequence[Path]) -> Labels:
    """The labels of several files: people in a frame who are in more than one become one row.

    ValueError, in one line, if two files have the 3D labels of one person in one frame, or the 2D
    labels, or the box.
    """
    if len(parts) == 1:
        return parts[0]
    both = stacked(parts)
    file_of = [path for part, path in zip(parts, paths, strict=True) for _ in part.people]
    rows: dict[tuple[Moment, str], int] = {}
    joints, joints_px, boxes = (np.array(a) for a in (both.joints, both.joints_px, both.boxes))
    for row, pair in enumerate(zip(both.moments, both.people, strict=True)):
        first = rows.setdefault(pair, row)
        if first == row:
            continue
        for array, what in ((joints, "3D labels"), (joints_px, "2D labels"), (boxes, "boxes")):
            if np.isfinite(array[row]).any():
                if np.isfinite(array[first]).any():
                    raise ValueError(
                        f"{file_of[first]} and {file_of[row]} both have {what} of {told(pair[0])}"
                        f"{f', person {pair[1]!r}' if pair[1] else ''}; remove one"
                    )
                array[first] = array[row]
    together = both._replace(joints=joints, joints_px=joints_px, boxes=boxes)
    return rows_of(together, list(rows.values()))
