"""The record of a run: metrics.jsonl for programs, a progress bar for people.

One JSON object a line: `step` (finished updates), `time` (Unix seconds), `seconds` (of training up
to this line, interruptions left out) and the metrics. A number that is not finite is written as
null. A line of scores may hold `higher_is_better`, the names of those that are best when high.
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

QUIET_SECONDS = 30.0  # between two lines where there is no terminal to draw a bar on
HIGHER = "higher_is_better"
ABOUT = ("step", "time", "seconds", HIGHER)  # what a row holds besides metrics

Row = dict[str, Any]
Listener = Callable[[Row], None]


def read(path: str | Path) -> list[Row]:
    """The rows of a log; a last line that a kill or a power cut left unfinished is left out.

    A ValueError if another line is damaged.
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
    """What a whole line says; None if it is damaged."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    whole = line.endswith(b"\n") and isinstance(row, dict) and {"step", "seconds"} <= row.keys()
    return row if whole else None


def higher_is_better(rows: Sequence[Row], name: str) -> bool:
    """Whether a score is best when high: what the newest row that says so says, else its name."""
    for row in reversed(rows):
        if name in row and HIGHER in row:
            return name in row[HIGHER]
    return hits_by_name(name)


def hits_by_name(name: str) -> bool:
    """Whether a score's name tells that it counts hits: a part of it begins with "pck" or "auc".

    The rule for evaluations that do not tell directions, and for all logs of version 0.1.
    """
    return any(part.startswith(("pck", "auc")) for part in name.split("/"))


def truncate(path: str | Path, step: int) -> list[Row]:
    """Drop the rows after `step`, so that a resumed run does not write them twice.

    Returns the kept rows; none if there is no log.
    """
    path = Path(path)
    if not path.exists():
        return []
    rows = [row for row in read(path) if row["step"] <= step]
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    part.replace(path)
    return rows


class Log:
    """Appends rows to metrics.jsonl; every row is on its way to the disk when `write` returns.

    `listeners` hear every row that is in the log, also those from before the run was continued. Of
    the processes of one run, only the first one writes and has listeners.
    """

    def __init__(self, path: str | Path, resumed_step: int = 0, listeners: Sequence[Listener] = ()):
        first = jax.process_index() == 0
        earlier = truncate(path, resumed_step) if first else []
        self._start = time.monotonic() - max((row["seconds"] for row in earlier), default=0.0)
        self._listeners = listeners if first else ()
        for row in earlier:
            self._tell(row)
        # Unbuffered: a row is out or it is not, also when the disk is full.
        self._file = Path(path if first else os.devnull).open("ab", buffering=0)  # noqa: SIM115 - closed in __exit__

    def write(
        self, step: int, metrics: Mapping[str, Any], higher: Collection[str] | None = None
    ) -> None:
        """One row; metrics are scalars, `higher` names those of them that are best when high.

        A ValueError if it names others.
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
    """Rate, time left and loss: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, steps: int, start: int, unit: str):
        self._quiet = not sys.stderr.isatty()
        # The bar also does the arithmetic of the quiet form, hence no `disable`.
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
        """One more step is finished; `besides` says where time went that did not train."""
        self._bar.set_postfix_str(", ".join(filter(None, (f"loss {loss:.4g}", besides))), False)
        self._bar.update()
        now = time.monotonic()
        if self._quiet and (now - self._spoke > QUIET_SECONDS or self._bar.n == self._bar.total):
            self._spoke = now
            print(str(self._bar), file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line above the bar."""
        with self._bar.external_write_mode(file=sys.stderr):
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        self._bar.close()


class _Nowhere:
    """A stream that forgets."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass
