"""Poses of people over frames, and the two files that hold them: npz for arrays, JSON-lines to
stream.

Both hold the same and need nothing of this package to be read; both say it in themselves (`ABOUT`).
An entry is one person in one frame. Nothing here is ever unpickled.

    NAME.npz     np.load(path): joint_names (J,), edges (e, 2), fps, frame_count, skeletons, sources
                 and per entry frame, track, box, pose3d_mm, pose2d_px, uncertainty_mm
    NAME.jsonl   a line that describes, then a line a frame, each a JSON object, then one that ends
"""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32

from acae_jax.inference.facts import Selection

FORMAT = "acae_jax poses 1"
MAX_BYTES = 8 << 30  # what an npz may unpack to
ABOUT = {
    "frame": "index of the image or video frame, from 0; its time is frame / fps in seconds",
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
    track: Int32[np.ndarray, " n"]
    boxes: Float32[np.ndarray, "n 5"]
    poses_mm: Float32[np.ndarray, "n J 3"]
    poses_px: Float32[np.ndarray, "n J 2"]
    uncertainty_mm: Float32[np.ndarray, "n J"]
    skeletons: dict[str, Selection]


class Frame(NamedTuple):
    """The people of one frame, and for images the file it came from."""

    index: int
    track: Int32[np.ndarray, " n"]
    boxes: Float32[np.ndarray, "n 5"]
    poses_mm: Float32[np.ndarray, "n J 3"]
    poses_px: Float32[np.ndarray, "n J 2"]
    uncertainty_mm: Float32[np.ndarray, "n J"]
    source: str = ""


def blank(
    joint_names: tuple[str, ...],
    edges: tuple[tuple[int, int], ...],
    skeletons: Mapping[str, Selection],
    fps: float,
) -> Sequence:
    """A sequence without frames, which says what those to come will hold."""
    J = len(joint_names)
    return Sequence(
        joint_names, edges, fps, 0, np.zeros(0, np.int32), np.zeros(0, np.int32),
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
    last = int(indices[-1]) + 1 if frames else 0
    together = {
        name: np.concatenate([getattr(empty, name), *(getattr(frame, name) for frame in frames)])
        for name in ("track", "boxes", "poses_mm", "poses_px", "uncertainty_mm")
    }
    return empty._replace(
        frame_count=last if frame_count is None else frame_count,
        frame=np.repeat(indices, counts),
        **together,
    )


def at(sequence: Sequence, index: int) -> Frame:
    """The people of one frame; nobody, if the sequence has no entry there."""
    start, end = np.searchsorted(sequence.frame, [index, index + 1])
    return Frame(
        index,
        sequence.track[start:end],
        sequence.boxes[start:end],
        sequence.poses_mm[start:end],
        sequence.poses_px[start:end],
        sequence.uncertainty_mm[start:end],
    )


def keep(sequence: Sequence, wanted: Bool[np.ndarray, " n"]) -> Sequence:
    """Only some of the entries."""
    return sequence._replace(
        frame=sequence.frame[wanted],
        track=sequence.track[wanted],
        boxes=sequence.boxes[wanted],
        poses_mm=sequence.poses_mm[wanted],
        poses_px=sequence.poses_px[wanted],
        uncertainty_mm=sequence.uncertainty_mm[wanted],
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
            skeletons=np.array(json.dumps(_plain(sequence.skeletons))),
            sources=np.array(list(sources), np.str_),
            fps=np.float64(sequence.fps),
            frame_count=np.int64(sequence.frame_count),
            frame=sequence.frame,
            track=sequence.track,
            box=sequence.boxes,
            pose3d_mm=sequence.poses_mm,
            pose2d_px=sequence.poses_px,
            uncertainty_mm=sequence.uncertainty_mm,
        )
    part.replace(path)


def read_npz(path: str | Path) -> Sequence:
    """Read what `write_npz` wrote; a ValueError if the file is something else or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_BYTES:
            raise ValueError(f"it would unpack to {unpacked} bytes, the limit is {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as file:
            return Sequence(
                tuple(file["joint_names"].tolist()),
                _edges(file["edges"].tolist()),
                float(file["fps"]),
                int(file["frame_count"]),
                file["frame"],
                file["track"],
                file["box"],
                file["pose3d_mm"],
                file["pose2d_px"],
                file["uncertainty_mm"],
                _skeletons(json.loads(str(file["skeletons"]))),
            )
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path} holds no poses as acae_jax writes them: {error}") from None


# -------------------------------------------------------------------------------------- JSON-lines


class Recording(NamedTuple):
    """What a JSON-lines file holds: frames, the files of images, and `facts` about the run.

    `complete` if it was written to its end; `seen` are all frames, also those without people.
    """

    sequence: Sequence
    seen: Int32[np.ndarray, " f"]
    sources: tuple[str, ...]
    facts: dict[str, Any]
    complete: bool


class Lines:
    """Appends frames to a JSON-lines file; each is on its way to the disk when `write` returns.

    A file that is there already is continued: `recorded` is what it holds. A ValueError if it holds
    other joints, or was made from other facts, than what is to come.
    """

    def __init__(self, path: str | Path, empty: Sequence, facts: Mapping[str, Any]):
        path = Path(path)
        self.empty = empty
        self.recorded = read_jsonl(path) if _has_a_line(path) else None
        head = _head(empty, facts)
        if self.recorded is None:
            self._file = path.open("wb", buffering=0)
            self._put(head)
        else:
            if _head(self.recorded.sequence, self.recorded.facts) != json.loads(json.dumps(head)):
                raise ValueError(
                    f"{path} was made in another way or from another input; give another folder, "
                    "or delete it to begin anew"
                )
            _drop_unfinished_line(path)
            self._file = path.open("ab", buffering=0)

    def write(self, frame: Frame) -> None:
        """One more frame, after those before."""
        self._put(_frame_line(frame))

    def end(self, frame_count: int) -> None:
        """The last line: nothing is missing, and so many frames there are."""
        self._put({"frame_count": frame_count})

    def _put(self, line: Mapping[str, Any]) -> None:
        self._file.write((json.dumps(line, allow_nan=False) + "\n").encode())

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def write_jsonl(
    path: str | Path, sequence: Sequence, seen: Iterable[int], facts: Mapping[str, Any]
) -> None:
    """Write a finished sequence at once; `seen` are its frames, also those without people."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with Lines(part, sequence, facts) as lines:
        for index in seen:
            lines.write(at(sequence, int(index)))
        lines.end(sequence.frame_count)
    part.replace(path)


def read_jsonl(path: str | Path) -> Recording:
    """Read a JSON-lines file, up to a last line that a kill or a power cut left unfinished.

    A ValueError if it is something else, or damaged before its last line.
    """
    head, frames, frame_count, number = None, [], None, 0
    with Path(path).open("rb") as file:
        try:
            for line in file:
                number += 1
                if not line.endswith(b"\n"):
                    break
                row = json.loads(line)
                if head is None:
                    head = _checked_head(row)
                    empty = _blank_of_head(head)
                elif "frame_count" in row:
                    frame_count = int(row["frame_count"])
                else:
                    frames.append(_frame_of_line(row, len(empty.joint_names)))
            if head is None:
                raise ValueError("it is empty or cut short")
        except (ValueError, KeyError, TypeError) as error:
            text = f"{path}, line {number}, holds no poses as acae_jax writes them: {error}"
            raise ValueError(text) from None
    return Recording(
        join(empty, frames, frame_count),
        np.array([frame.index for frame in frames], np.int32),
        tuple(frame.source for frame in frames),
        head["facts"],
        frame_count is not None,
    )


def _checked_head(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or row.get("format") != FORMAT:
        raise ValueError(f'there is no "format": "{FORMAT}"')
    return row


def _blank_of_head(head: Mapping[str, Any]) -> Sequence:
    skeletons = _skeletons(head["skeletons"])
    return blank(tuple(head["joint_names"]), _edges(head["edges"]), skeletons, float(head["fps"]))


def _has_a_line(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        return file.readline().endswith(b"\n")


def _drop_unfinished_line(path: Path) -> None:
    """Cut the file behind its last whole line."""
    with path.open("r+b") as file:
        end = sum(len(line) for line in file if line.endswith(b"\n"))
        file.truncate(end)


def _head(empty: Sequence, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "about": ABOUT,
        "joint_names": list(empty.joint_names),
        "edges": [[int(a), int(b)] for a, b in empty.edges],
        "skeletons": _plain(empty.skeletons),
        "fps": empty.fps,
        "facts": dict(facts),
    }


def _frame_line(frame: Frame) -> dict[str, Any]:
    people = [
        {
            "track": int(track),
            "box": _numbers(box),
            "pose3d_mm": _numbers(pose_mm),
            "pose2d_px": _numbers(pose_px),
            "uncertainty_mm": _numbers(uncertainty_mm),
        }
        for track, box, pose_mm, pose_px, uncertainty_mm in zip(*frame[1:6], strict=True)
    ]
    source = {"source": frame.source} if frame.source else {}
    return {"frame": frame.index, **source, "people": people}


def _frame_of_line(row: Mapping[str, Any], J: int) -> Frame:
    people = row["people"]

    def numbers(name: str, *shape: int) -> Float32[np.ndarray, "..."]:
        # None becomes NaN.
        values = np.array([person[name] for person in people], np.float32)
        return values.reshape(len(people), *shape)

    return Frame(
        int(row["frame"]),
        np.array([person["track"] for person in people], np.int32),
        numbers("box", 5),
        numbers("pose3d_mm", J, 3),
        numbers("pose2d_px", J, 2),
        numbers("uncertainty_mm", J),
        row.get("source", ""),
    )


def _numbers(values: Float32[np.ndarray, "..."]) -> list:
    """Lists rounded to thousandths, with None for what is not finite."""
    rounded = np.round(values.astype(np.float64), 3)
    finite = np.isfinite(rounded)
    if not finite.all():
        rounded = rounded.astype(object)
        rounded[~finite] = None
    return rounded.tolist()


def _plain(skeletons: Mapping[str, Selection]) -> dict[str, dict[str, list]]:
    return {
        name: {
            "indices": [int(index) for index in one.indices],
            "joint_names": list(one.joint_names),
            "edges": [[int(a), int(b)] for a, b in one.edges],
        }
        for name, one in skeletons.items()
    }


def _skeletons(plain: Mapping[str, Mapping[str, list]]) -> dict[str, Selection]:
    return {
        name: Selection(tuple(one["indices"]), tuple(one["joint_names"]), _edges(one["edges"]))
        for name, one in plain.items()
    }


def _edges(pairs: Iterable[Iterable[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(a), int(b)) for a, b in pairs)
