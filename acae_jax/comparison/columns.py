"""The tables of a comparison as columns of text: each column has one cell for each run."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from acae_jax.comparison import runs, verdict
from acae_jax.comparison.runs import Run
from acae_jax.pages import tables

Columns = dict[str, list[str]]
SHORT = 28  # characters; longer values are shortened on a terminal
NONE = verdict.number(None)


class Values(NamedTuple):
    """Columns, and by column name the index of the best run, where runs can be compared."""

    texts: Columns
    best: Mapping[str, int]


def overview(group: Sequence[Run], name: str | None) -> Columns:
    """The value that ranks the runs (called `name`), steps, time and speed of each run."""
    ends = [run.rows[-1] if run.rows else None for run in group]
    columns: Columns = {}
    if name is not None:
        higher = runs.higher_is_better(group, name)
        columns[f"{name}, best"] = [_with_step(verdict.best(run, name, higher)) for run in group]
        columns["last"] = [verdict.number(_value(verdict.last(run, name))) for run in group]
        step = verdict.common_step(group, name) if len(group) > 1 else None
        if step is not None:
            values = [verdict.at_step(run, name, step) for run in group]
            columns[f"at step {step}"] = [verdict.number(value) for value in values]
    columns |= {
        "step": [_progress(run, end) for run, end in zip(group, ends, strict=True)],
        "time": [duration(end["seconds"]) if end else NONE for end in ends],
        "of it training": [_percent(runs.time_spent(run), "train") for run in group],
        "steps/s": [verdict.number(_rate(run)) for run in group],
        "version": [run.version or NONE for run in group],
    }
    return {key: cells for key, cells in columns.items() if set(cells) != {NONE}}


def time_shares(group: Sequence[Run]) -> Columns:
    """How each run spent its time, in percent by kind; empty if no run logged it."""
    spent = [runs.time_spent(run) for run in group]
    kinds = dict.fromkeys(kind for each in spent for kind in each)
    return {kind: [_percent(each, kind) for each in spent] for kind in kinds}


def config(group: Sequence[Run]) -> Columns:
    """The config values that differ."""
    return {
        name: [NONE if value is None else str(value) for value in values]
        for name, values in runs.differences(group).items()
    }


def values(group: Sequence[Run]) -> Values:
    """The last value of every score and training metric; the best one in brackets, if it differs.

    Also which run has the best score.
    """
    scores = [name for run in group for name in runs.score_names(run)]
    names = [*scores, *(name for run in group for name in runs.training_names(run))]
    texts, best = {}, {}
    for name in dict.fromkeys(names):
        higher = runs.higher_is_better(group, name)
        lasts = [verdict.last(run, name) for run in group]
        tops = [verdict.best(run, name, higher) for run in group]
        texts[name] = [
            verdict.number(_value(last)) + ("" if last == top else f" ({_with_step(top)})")
            for last, top in zip(lasts, tops, strict=True)
        ]
        sign = -1 if higher else 1
        costs = [sign * top.value if top else float("inf") for top in tops]
        # Losses of different recipes are sums of different terms: only scores can be compared.
        if name in scores and len(set(costs)) > 1:
            best[name] = costs.index(min(costs))
    return Values(texts, best)


def text(group: Sequence[Run], columns: Columns, best: Mapping[str, int] | None = None) -> str:
    """Columns as a table for a terminal: runs or columns become rows, whichever are more.

    The best values have a star.
    """
    marked = {
        name: [
            ("*" if (best or {}).get(name) == index else "") + cell
            for index, cell in enumerate(shortened(cells))
        ]
        for name, cells in columns.items()
    }
    names = [run.name for run in group]
    if len(columns) > len(names):
        return tables.text(["", *names], [[name, *cells] for name, cells in marked.items()])
    rows = zip(names, *marked.values(), strict=True)
    return tables.text(["", *marked], [list(row) for row in rows])


def shortened(cells: Sequence[str]) -> list[str]:
    """The texts, long ones without their common beginning and cut at the end."""
    if max(map(len, cells)) <= SHORT:
        return list(cells)
    begin = len(os.path.commonprefix(cells)) if len(cells) > 1 else 0  # noqa: RUF071 - of texts
    begin = begin if begin > SHORT // 2 else 0
    cut = [("…" if begin else "") + cell[begin:] for cell in cells]
    return [cell if len(cell) <= SHORT else cell[: SHORT - 1] + "…" for cell in cut]


def duration(seconds: float) -> str:
    """A time as text, in seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _progress(run: Run, end: Mapping[str, Any] | None) -> str:
    return f"{end['step'] if end else 0} of {run.config.get('steps', '?')}"


def _rate(run: Run) -> float | None:
    """Steps per second between the first and the last row of training."""
    steps, seconds, _ = runs.series(run, "loss")
    if not len(steps) or seconds[-1] <= seconds[0]:
        return None
    return float((steps[-1] - steps[0]) / (seconds[-1] - seconds[0]))


def _percent(spent: Mapping[str, float], kind: str) -> str:
    whole = sum(spent.values())
    return f"{100 * spent.get(kind, 0.0) / whole:.0f} %" if whole else NONE


def _value(point: verdict.Point | None) -> float | None:
    return point.value if point else None


def _with_step(point: verdict.Point | None) -> str:
    return f"{verdict.number(point.value)} at {point.step}" if point else NONE
