"""One training run, read from its folder; it may be still running.

Nothing here asks JAX for a device, because the device may be busy with that run.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from acae_jax import config as configs
from acae_jax.pages import charts
from acae_jax.training import checkpoints, goodput, logs, loop

_OTHER = tuple(f"spent_{kind}_s" for kind in goodput.KINDS)


class Series(NamedTuple):
    """The finite values that were logged under one name."""

    steps: Int[np.ndarray, " n"]
    seconds: Float[np.ndarray, " n"]
    values: Float[np.ndarray, " n"]


class Run(NamedTuple):
    """A run: `config` maps dotted names to values, `rows` is the log."""

    name: str
    config: Mapping[str, Any]
    version: str | None
    rows: Sequence[logs.Row]


def is_run(folder: Path) -> bool:
    """Whether this is the folder of one training run."""
    return (folder / "config.json").is_file() or (folder / loop.LOG).is_file()


def read(folders: Sequence[Path]) -> list[Run]:
    """Read the runs of these folders; each is named by the part of its path that differs.

    Raises ValueError for a folder that is given twice or holds no run, and for damaged files.
    """
    paths = [folder.resolve() for folder in folders]
    twice = [path for path in paths if paths.count(path) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given twice")
    shared = os.path.commonpath([path.parent for path in paths])
    return [_read(path, path.relative_to(shared).as_posix()) for path in paths]


def _read(folder: Path, name: str) -> Run:
    log = folder / loop.LOG
    return Run(
        name=name,
        config=dict(configs.flat(configs.read(folder).to_dict())),
        version=checkpoints.newest_metadata(folder).get("version"),
        # A new run writes its config first, and its log only after it has compiled.
        rows=logs.read(log) if log.is_file() else (),
    )


def series(run: Run, name: str) -> Series:
    """The values under one name; empty if there are none."""
    rows = [row for row in run.rows if row.get(name) is not None]
    steps, seconds, values = ([row[key] for row in rows] for key in ("step", "seconds", name))
    return Series(np.array(steps, int), np.array(seconds, float), np.array(values, float))


def score_names(run: Run) -> list[str]:
    """Names of the evaluations' scores, in the order of the log."""
    return _names(row for row in run.rows if "loss" not in row)


def higher_is_better(group: Sequence[Run], name: str) -> bool:
    """Whether the value is better when it is higher, by the newest row that says so."""
    return logs.higher_is_better([row for run in group for row in run.rows], name)


def training_names(run: Run) -> list[str]:
    """Names of the training metrics, the loss first: its terms, gradient norm, datasets' losses."""
    names = _names(row for row in run.rows if "loss" in row)
    others = [name for name in names if name != "loss" and not name.startswith("spent_")]
    return ["loss", *others] if names else []


def _names(rows: Any) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row if name not in logs.ABOUT))


def smoothed(run: Run, name: str) -> Series:
    """Scores as they were logged; running means of training metrics (of single batches)."""
    logged = series(run, name)
    if name in score_names(run) or not len(logged.values):
        return logged
    return logged._replace(values=charts.running_mean(logged.values))


def steps_per_second(run: Run) -> Series:
    """The rate between successive rows of training, at the later row of each pair."""
    losses = series(run, "loss")
    seconds = np.diff(losses.seconds)
    timed = seconds > 0
    rate = np.diff(losses.steps)[timed] / seconds[timed]
    return Series(losses.steps[1:][timed], losses.seconds[1:][timed], rate)


def training_share(run: Run) -> Series:
    """Percent of the time that went into training steps, between successive rows.

    Each value stands at the later row of its pair.
    """
    points = []
    for rows in _sessions(run):
        before: logs.Row = {}
        for row in rows:
            spent = {key: row[key] - before.get(key, 0.0) for key in ("spent_s", *_OTHER)}
            if spent["spent_s"] > 0:
                other = sum(spent[key] for key in _OTHER) / spent["spent_s"]
                points.append((row["step"], row["seconds"], 100 * min(max(1 - other, 0.0), 1.0)))
            before = row
    steps, seconds, shares = zip(*points, strict=True) if points else ((), (), ())
    return Series(np.array(steps, int), np.array(seconds, float), np.array(shares, float))


def time_spent(run: Run) -> dict[str, float]:
    """Seconds by kind, "train" first, summed over all sessions; empty if none were logged."""
    last = [rows[-1] for rows in _sessions(run)]
    if not last:
        return {}
    whole = sum(row["spent_s"] for row in last)
    others = {kind: sum(row[f"spent_{kind}_s"] for row in last) for kind in goodput.KINDS}
    return {"train": max(whole - sum(others.values()), 0.0), **others}


def _sessions(run: Run) -> list[list[logs.Row]]:
    """The rows that say how time was spent, grouped by session (each start of the run is one).

    In a new session `spent_s` starts from 0, while `seconds` goes on: their difference grows by the
    time that the previous session took.
    """
    sessions: list[list[logs.Row]] = []
    for row in run.rows:
        if row.get("spent_s") is None:
            continue
        before = sessions[-1][-1] if sessions else None
        if before is None or _offset(row) - _offset(before) > before["spent_s"] / 2:
            sessions.append([])
        sessions[-1].append(row)
    return sessions


def _offset(row: logs.Row) -> float:
    return row["seconds"] - row["spent_s"]


def differences(group: Sequence[Run]) -> dict[str, list[Any]]:
    """Config values that differ between runs, by dotted name; None where a run has none."""
    names = dict.fromkeys(name for run in group for name in run.config)
    values = {name: [run.config.get(name) for run in group] for name in names}
    return {name: each for name, each in values.items() if any(v != each[0] for v in each)}
