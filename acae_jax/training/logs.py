"""The log of a run: metrics.jsonl for programs, and a progress bar for people.

Each line is a JSON object: `step` (finished updates), `time` (Unix seconds), `seconds` (of training
up to this line, without interruptions) and the metrics. Numbers that are not finite are written as
null. A line of scores may hold `higher_is_better`: the names of the scores for which higher is
better.
"""

import errno
import json
import math
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
from tqdm import tqdm

QUIET_SECONDS = 30.0  # between two lines, if there is no terminal for a bar
HIGHER = "higher_is_better"
ABOUT = ("step", "time", "seconds", HIGHER)  # the names in a row that are not metrics

Row = dict[str, Any]
Listener = Callable[[Row], None]


def read(path: str | Path) -> list[Row]:
    """The rows of a log, without the last line if a kill or a power cut left it unfinished.

    Raises ValueError if another line is damaged.
    """
    lines = Path(path).read_bytes().splitlines(keepends=True)
    if lines and _row(lines[-1]) is None:
        lines.pop()
    rows = []
    for number, line in enumerate(lines, 1):
        row = _row(line)
        if row is None:
            raise ValueError(f"{path}, line {number}, is damaged: delete that line")
        rows.append(row)
    return rows


def _row(line: bytes) -> Row | None:
    """The row of a complete line; None if it is damaged."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    whole = line.endswith(b"\n") and isinstance(row, dict) and {"step", "seconds"} <= row.keys()
    return row if whole else None


def higher_is_better(rows: Sequence[Row], name: str) -> bool:
    """Whether higher is better for a score, by the newest row that says so, else by its name."""
    for row in reversed(rows):
        if name in row and HIGHER in row:
            return name in row[HIGHER]
    return hits_by_name(name)


def hits_by_name(name: str) -> bool:
    """Whether a score counts hits, by its name: a part of it begins with "pck" or "auc".

    This is the rule for evaluations that do not say it, and for all logs of version 0.1.
    """
    return any(part.startswith(("pck", "auc")) for part in name.split("/"))


def truncate(path: str | Path, step: int) -> list[Row]:
    """Remove the rows after `step`, so that a resumed run does not write them twice; and all rows
    at step 0, because such a run begins anew.

    Returns the remaining rows; none if there is no log.
    """
    path = Path(path)
    if not path.exists():
        return []
    rows = [row for row in read(path) if step and row["step"] <= step]
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    part.replace(path)
    return rows


class Log:
    """Appends rows to metrics.jsonl, each as soon as `write` is called.

    `listeners` are called with every row of the log, also with those from before the run was
    continued. If a run has several processes, only the first one writes and calls listeners.
    """

    def __init__(self, path: str | Path, resumed_step: int = 0, listeners: Sequence[Listener] = ()):
        first = jax.process_index() == 0
        earlier = truncate(path, resumed_step) if first else []
        self._start = time.monotonic() - max((row["seconds"] for row in earlier), default=0.0)
        self._listeners = listeners if first else ()
        for row in earlier:
            self._tell(row)
        # Without a buffer, `write` knows whether a row was written, also when the disk is full.
        self._file = Path(path if first else os.devnull).open("ab", buffering=0)  # noqa: SIM115 - closed in __exit__

    def write(
        self, step: int, metrics: Mapping[str, Any], higher: Collection[str] | None = None
    ) -> None:
        """Write one row. Metrics are scalars; `higher` names those for which higher is better.

        Raises ValueError if it names others.
        """
        unknown = sorted(set(higher or ()) - metrics.keys())
        if unknown:
            raise ValueError(
                f"higher_is_better names {', '.join(unknown)}; scores are {', '.join(metrics)}"
            )
        seconds = round(time.monotonic() - self._start, 3)
        row = {"step": step, "time": round(time.time(), 3), "seconds": seconds}
        row |= {name: _number(value) for name, value in metrics.items()}
        row |= {} if higher is None else {HIGHER: sorted(higher)}
        line = (json.dumps(row, allow_nan=False) + "\n").encode()
        try:
            complete = self._file.write(line) == len(line)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file.name) from error
        if not complete:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        self._tell(row)

    def _tell(self, row: Row) -> None:
        for listener in self._listeners:
            listener(row)

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _number(value: Any) -> float | int | None:
    number = value.item() if hasattr(value, "item") else value
    return number if math.isfinite(number) else None


class Progress:
    """Shows rate, remaining time and loss: as a bar on a terminal, else as a line now and then."""

    def __init__(self, steps: int, start: int, unit: str):
        self._quiet = not sys.stderr.isatty()
        # Without a terminal the bar is still needed for its arithmetic, so it is not disabled.
        self._bar = tqdm(
            total=steps,
            initial=start,
            unit=unit,
            dynamic_ncols=True,
            file=_Nowhere() if self._quiet else sys.stderr,
            smoothing=0.05,
        )
        self._spoke = time.monotonic()

    def advance(self, loss: float, besides: str) -> None:
        """Count one more finished step; `besides` is text about the time that was not training."""
        self._bar.set_postfix_str(", ".join(filter(None, (f"loss {loss:.4g}", besides))), False)
        self._bar.update()
        now = time.monotonic()
        if self._quiet and (now - self._spoke > QUIET_SECONDS or self._bar.n == self._bar.total):
            self._spoke = now
            print(str(self._bar), file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        with self._bar.external_write_mode(file=sys.stderr):
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is, and go to the next line."""
        self._bar.close()


class _Nowhere:
    """A stream that drops what is written to it."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass
