"""Results as JSON-lines, which are written while poses are predicted and continued after a stop.

The first line is the description: joints, skeletons, fps, units, metadata of the run. Each other
line is a frame with its people. The last line is the number of frames; without it, the file is not
complete. If a frame is there twice, it was predicted again, and the later one counts. Numbers are
rounded to thousandths; null is an unknown number.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int32

from acae_jax.recordings.results import (
    ABOUT,
    FORMAT,
    Frame,
    Sequence,
    at,
    blank,
    edges_of_json,
    join,
    rising_times,
    skeletons_of_json,
    skeletons_to_json,
)


class Recording(NamedTuple):
    """The content of a JSON-lines file: frames, files of images and their stamps, metadata.

    `metadata` say everything that the poses depend on. `complete` tells whether the file was
    written to its end. `seen` are all frames, also those without people, and `seen_s` their times.
    """

    sequence: Sequence
    seen: Int32[np.ndarray, " f"]
    seen_s: Float64[np.ndarray, " f"]
    sources: tuple[str, ...]
    stamps: tuple[str, ...]
    metadata: dict[str, Any]
    complete: bool


class Lines:
    """Appends frames to a JSON-lines file; each is on its way to the disk when `write` returns.

    A file that is there already is continued: `recorded` is what it holds. A ValueError if it holds
    other joints, or was made from other metadata, than what is to come.
    """

    def __init__(self, path: str | Path, empty: Sequence, metadata: Mapping[str, Any]):
        path = Path(path)
        self.empty = empty
        self.recorded = read_jsonl(path) if _has_a_line(path) else None
        head = _head(empty, metadata)
        if self.recorded is None:
            self._file = path.open("wb", buffering=0)
            self._put(head)
        else:
            if _head(self.recorded.sequence, self.recorded.metadata) != json.loads(
                json.dumps(head)
            ):
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
        rest = memoryview((json.dumps(line, allow_nan=False) + "\n").encode())
        while rest:  # a nearly full disk may take a part
            rest = rest[self._file.write(rest) :]

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def write_jsonl(
    path: str | Path,
    sequence: Sequence,
    seen: Iterable[int],
    seen_s: Iterable[float],
    metadata: Mapping[str, Any],
) -> None:
    """Write a finished sequence at once; `seen` are its frames, also those without people, and
    `seen_s` their times."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with Lines(part, sequence, metadata) as lines:
        for index, time_s in zip(seen, seen_s, strict=True):
            lines.write(at(sequence, int(index), float(time_s)))
        lines.end(sequence.frame_count)
    part.replace(path)


def change_metadata(path: str | Path, metadata: Mapping[str, Any]) -> None:
    """Give a finished file other metadata; its frames stay as they are."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with path.open("rb") as old, part.open("wb") as new:
        head = json.loads(old.readline()) | {"facts": dict(metadata)}
        new.write((json.dumps(head, allow_nan=False) + "\n").encode())
        shutil.copyfileobj(old, new)
    part.replace(path)


def read_jsonl(path: str | Path) -> Recording:
    """Read a JSON-lines file, up to a last line that a kill or a power cut left unfinished.

    A ValueError if it is something else, or damaged before its last line. Times are as
    `results.rising_times` says.
    """
    head, frame_count, number = None, None, 0
    frames: dict[int, Frame] = {}
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
                    frame = _frame_of_line(row, len(empty.joint_names))
                    frames[frame.index] = frame
            if head is None:
                raise ValueError("it is empty or cut short")
        except (ValueError, KeyError, TypeError) as error:
            text = f"{path}, line {number}, holds no poses as acae_jax writes them: {error}"
            raise ValueError(text) from None
    indices = np.array(list(frames), np.int32)
    stated_s = np.array([frame.time_s for frame in frames.values()], np.float64)
    times_s = rising_times(indices, stated_s, empty.fps)
    timed = [
        frame._replace(time_s=time_s)
        for frame, time_s in zip(frames.values(), times_s.tolist(), strict=True)
    ]
    return Recording(
        join(empty, timed, frame_count),
        indices,
        times_s,
        tuple(frame.source for frame in frames.values()),
        tuple(frame.stamp for frame in frames.values()),
        head["facts"],
        frame_count is not None,
    )


def _checked_head(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or row.get("format") != FORMAT:
        raise ValueError(f'there is no "format": "{FORMAT}"')
    return row


def _blank_of_head(head: Mapping[str, Any]) -> Sequence:
    return blank(
        tuple(head["joint_names"]),
        edges_of_json(head["edges"]),
        skeletons_of_json(head["skeletons"]),
        float(head["fps"]),
    )


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


def _head(empty: Sequence, metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "about": ABOUT,
        "joint_names": list(empty.joint_names),
        "edges": [[int(a), int(b)] for a, b in empty.edges],
        "skeletons": skeletons_to_json(empty.skeletons),
        "fps": empty.fps,
        "facts": dict(metadata),
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
        for track, box, pose_mm, pose_px, uncertainty_mm in zip(*frame[2:7], strict=True)
    ]
    if frame.source:
        origin: dict[str, Any] = {"source": frame.source, "stamp": frame.stamp}
    else:
        origin = {"time_s": round(frame.time_s, 6)}
    return {"frame": frame.index, **origin, "people": people}


def _frame_of_line(row: Mapping[str, Any], J: int) -> Frame:
    people = row["people"]

    def numbers(name: str, *shape: int) -> Float32[np.ndarray, "..."]:
        # None becomes NaN.
        values = np.array([person[name] for person in people], np.float32)
        return values.reshape(len(people), *shape)

    return Frame(
        int(row["frame"]),
        float(row.get("time_s", np.nan)),
        np.array([person["track"] for person in people], np.int32),
        numbers("box", 5),
        numbers("pose3d_mm", J, 3),
        numbers("pose2d_px", J, 2),
        numbers("uncertainty_mm", J),
        row.get("source", ""),
        row.get("stamp", ""),
    )


def _numbers(values: Float32[np.ndarray, "..."]) -> list:
    """Lists rounded to thousandths, with None for what is not finite."""
    rounded = np.round(values.astype(np.float64), 3)
    finite = np.isfinite(rounded)
    if not finite.all():
        rounded = rounded.astype(object)
        rounded[~finite] = None
    return rounded.tolist()
