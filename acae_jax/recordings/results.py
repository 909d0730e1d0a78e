"""Poses of people over frames, and the two files that hold them: npz for arrays, JSON-lines to
stream.

Both hold the same and need nothing of this package to be read; both say it in themselves (`ABOUT`).
An entry is one person in one frame. Nothing here is ever unpickled.

    NAME.npz     np.load(path): joint_names (J,), edges (e, 2), fps, frame_count, skeletons, sources
                 and per entry frame, time_s, track, box, pose3d_mm, pose2d_px, uncertainty_mm
    NAME.jsonl   a line that describes, then a line a frame, each a JSON object, then one that ends
                 (`json_lines`)
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from acae_jax.bundles.facts import Selection
from acae_jax.files import numpy_files

FORMAT = "acae_jax poses 1"
SAME_S = 1e-5  # times that differ by less are the same; they are written to microseconds
MAX_BYTES = 8 << 30  # what an npz may unpack to
# What an npz holds of a `Sequence`, in its order.
ARRAYS = (
    "joint_names", "edges", "fps", "frame_count",
    "frame", "time_s", "track", "box", "pose3d_mm", "pose2d_px", "uncertainty_mm", "skeletons",
)  # fmt: skip
ABOUT = {
    "frame": "index of the image or video frame, from 0; fps is the mean rate of a video",
    "time_s": "seconds from the video's first frame to this one; frames may come at uneven times",
    "track": "number of a person, the same in all frames of a video; of images, the place in each",
    "box": "x y w h of the person in px, (x, y) the top-left corner; then the detector's score",
    "pose3d_mm": "joints in mm in world space: without extrinsics that of the camera, which stands "
    "at the origin, x right, y down, z forward",
    "pose2d_px": "joints in px of the upright image; the centre of its first pixel is (0, 0)",
    "uncertainty_mm": "expected distance of the joint from the truth in mm; null or NaN: unknown",
    "edges": "pairs of joint indices to draw as bones",
    "skeletons": "joints by index for every skeleton; its edges count among these",
}


class Sequence(NamedTuple):
    """People over the frames of a video, or over images; units and frames as in `ABOUT`.

    It may hold more joints than one skeleton has: `skeletons` says which are whose.
    """

    joint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    fps: float
    frame_count: int
    frame: Int32[np.ndarray, " n"]
    time_s: Float64[np.ndarray, " n"]
    track: Int32[np.ndarray, " n"]
    boxes: Float32[np.ndarray, "n 5"]
    poses_mm: Float32[np.ndarray, "n J 3"]
    poses_px: Float32[np.ndarray, "n J 2"]
    uncertainty_mm: Float32[np.ndarray, "n J"]
    skeletons: dict[str, Selection]


class Frame(NamedTuple):
    """The people of one frame; for images the file it came from, and what that was like then."""

    index: int
    time_s: float
    track: Int32[np.ndarray, " n"]
    boxes: Float32[np.ndarray, "n 5"]
    poses_mm: Float32[np.ndarray, "n J 3"]
    poses_px: Float32[np.ndarray, "n J 2"]
    uncertainty_mm: Float32[np.ndarray, "n J"]
    source: str = ""
    stamp: str = ""


def blank(
    joint_names: tuple[str, ...],
    edges: tuple[tuple[int, int], ...],
    skeletons: Mapping[str, Selection],
    fps: float,
) -> Sequence:
    """A sequence without frames, which says what those to come will hold."""
    J = len(joint_names)
    return Sequence(
        joint_names, edges, fps, 0, np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.int32),
        np.zeros((0, 5), np.float32), np.zeros((0, J, 3), np.float32),
        np.zeros((0, J, 2), np.float32), np.zeros((0, J), np.float32), dict(skeletons),
    )  # fmt: skip


def join(empty: Sequence, frames: Iterable[Frame], frame_count: int | None = None) -> Sequence:
    """The frames as one sequence, which is `empty` but for them; without a count, up to the last.

    The frames come in ascending order.
    """
    frames = list(frames)
    counts = [len(frame.track) for frame in frames]
    indices = np.array([frame.index for frame in frames], np.int32)
    times_s = np.array([frame.time_s for frame in frames], np.float64)
    last = int(indices[-1]) + 1 if frames else 0
    together = {
        name: np.concatenate([getattr(empty, name), *(getattr(frame, name) for frame in frames)])
        for name in ("track", "boxes", "poses_mm", "poses_px", "uncertainty_mm")
    }
    return empty._replace(
        frame_count=last if frame_count is None else frame_count,
        frame=np.repeat(indices, counts),
        time_s=np.repeat(times_s, counts),
        **together,
    )


def rising_times(
    frame: Int32[np.ndarray, " n"], time_s: Float64[np.ndarray, "..."], fps: float
) -> Float64[np.ndarray, " n"]:
    """The times of a file's frames; frame / fps if some are absent, as in version 0.1, or fall."""
    if time_s.shape == frame.shape and (np.diff(time_s, prepend=0.0) >= 0).all():  # no NaN is
        return time_s
    return frame / fps


def at(sequence: Sequence, index: int, time_s: float) -> Frame:
    """The people of the frame at this time; nobody, if the sequence has no entry there."""
    start, end = np.searchsorted(sequence.frame, [index, index + 1])
    return Frame(
        index,
        time_s,
        sequence.track[start:end],
        sequence.boxes[start:end],
        sequence.poses_mm[start:end],
        sequence.poses_px[start:end],
        sequence.uncertainty_mm[start:end],
    )


def keep(sequence: Sequence, mask: Bool[np.ndarray, " n"]) -> Sequence:
    """Only some of the entries."""
    return sequence._replace(
        frame=sequence.frame[mask],
        time_s=sequence.time_s[mask],
        track=sequence.track[mask],
        boxes=sequence.boxes[mask],
        poses_mm=sequence.poses_mm[mask],
        poses_px=sequence.poses_px[mask],
        uncertainty_mm=sequence.uncertainty_mm[mask],
    )


def select(sequence: Sequence, skeleton: str) -> Sequence:
    """Only the joints of one of its skeletons; a ValueError names them if it has no such one."""
    if skeleton not in sequence.skeletons:
        raise ValueError(f"no skeleton '{skeleton}' here; there is {', '.join(sequence.skeletons)}")
    chosen = sequence.skeletons[skeleton]
    indices = np.array(chosen.indices, np.int32)
    everything = Selection(tuple(range(len(indices))), chosen.joint_names, chosen.edges)
    return sequence._replace(
        joint_names=chosen.joint_names,
        edges=chosen.edges,
        poses_mm=sequence.poses_mm[:, indices],
        poses_px=sequence.poses_px[:, indices],
        uncertainty_mm=sequence.uncertainty_mm[:, indices],
        skeletons={skeleton: everything},
    )


# --------------------------------------------------------------------------------------------- npz


def write_npz(path: str | Path, sequence: Sequence, sources: Iterable[str] = ()) -> None:
    """Write all of it; `sources` are the files of a sequence of images, by frame."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(
            file,
            about=np.array(json.dumps({"format": FORMAT} | ABOUT)),
            joint_names=np.array(sequence.joint_names, np.str_),
            edges=np.array(sequence.edges, np.int32).reshape(-1, 2),
            skeletons=np.array(json.dumps(skeletons_to_json(sequence.skeletons))),
            sources=np.array(list(sources), np.str_),
            fps=np.float64(sequence.fps),
            frame_count=np.int64(sequence.frame_count),
            frame=sequence.frame,
            time_s=sequence.time_s,
            track=sequence.track,
            box=sequence.boxes,
            pose3d_mm=sequence.poses_mm,
            pose2d_px=sequence.poses_px,
            uncertainty_mm=sequence.uncertainty_mm,
        )
    part.replace(path)


def read_npz(path: str | Path) -> Sequence:
    """Read what `write_npz` wrote; a ValueError if the file is something else or damaged.

    Times are as `rising_times` says.
    """
    try:
        joint_names, edges, fps, frame_count, *entries, skeletons = numpy_files.arrays(
            Path(path), ARRAYS, MAX_BYTES, {"time_s": np.array(np.nan)}
        )
        frame, time_s, track, boxes, poses_mm, poses_px, uncertainty_mm = entries
        return Sequence(
            tuple(joint_names.tolist()),
            edges_of_json(edges.tolist()),
            float(fps),
            int(frame_count),
            frame,
            rising_times(frame, time_s.astype(np.float64), float(fps)),
            track,
            boxes,
            poses_mm,
            poses_px,
            uncertainty_mm,
            skeletons_of_json(json.loads(str(skeletons))),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no poses as acae_jax writes them: {error}") from None


# ------------------------------------------------------------------------------------------- parts


def skeletons_to_json(skeletons: Mapping[str, Selection]) -> dict[str, dict[str, list]]:
    """Skeletons as JSON's types."""
    return {
        name: {
            "indices": [int(index) for index in one.indices],
            "joint_names": list(one.joint_names),
            "edges": [[int(a), int(b)] for a, b in one.edges],
        }
        for name, one in skeletons.items()
    }


def skeletons_of_json(plain: Mapping[str, Mapping[str, list]]) -> dict[str, Selection]:
    """Skeletons from decoded JSON."""
    return {
        name: Selection(
            tuple(one["indices"]), tuple(one["joint_names"]), edges_of_json(one["edges"])
        )
        for name, one in plain.items()
    }


def edges_of_json(pairs: Iterable[Iterable[int]]) -> tuple[tuple[int, int], ...]:
    """Edges from lists."""
    return tuple((int(a), int(b)) for a, b in pairs)
