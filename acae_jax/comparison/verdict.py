"""Which run is best by one score, and the result in two or three sentences."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from acae_jax.comparison import runs
from acae_jax.comparison.runs import Run


class Point(NamedTuple):
    """A value and its step."""

    value: float
    step: int


def best(run: Run, name: str, higher: bool | None = None) -> Point | None:
    """The best value of a run (the best running mean of a training metric); None if it has none.

    `higher` says whether higher is better; None takes that from the run's log.
    """
    steps, _, values = runs.smoothed(run, name)
    if not len(values):
        return None
    higher = runs.higher_is_better([run], name) if higher is None else higher
    index = int(np.argmax(values) if higher else np.argmin(values))
    return Point(float(values[index]), int(steps[index]))


def last(run: Run, name: str) -> Point | None:
    """The last value of a run (the last running mean of a training metric); None if it has none."""
    steps, _, values = runs.smoothed(run, name)
    return Point(float(values[-1]), int(steps[-1])) if len(values) else None


def at_step(run: Run, name: str, step: int) -> float | None:
    """The value of a run at one step; None if there is none."""
    steps, _, values = runs.smoothed(run, name)
    at = values[steps == step]
    return float(at[-1]) if len(at) else None


def common_step(group: Sequence[Run], name: str) -> int | None:
    """The last step at which every run has this value, without runs that never have it; None if
    there is no such step.
    """
    steps = [set(runs.series(run, name).steps.tolist()) for run in group]
    return max(set.intersection(*filter(None, steps)), default=None) if any(steps) else None


def ranking_value(group: Sequence[Run], by: str | None) -> str | None:
    """The name of the value that ranks the runs, which is the first of these that exists:

    `by`; the score in `loop.best`, if it is the same for all runs; the first score that all
    evaluated runs have; the loss, if it has the same terms in all runs. None if none of them does.
    Raises ValueError if no run has `by`.
    """
    every = [[*runs.score_names(run), *runs.training_names(run)] for run in group]
    if by is not None:
        if not any(by in names for names in every):
            logged = ", ".join(dict.fromkeys(name for names in every for name in names))
            raise ValueError(f"no run has {by!r}; there are {logged or 'no values yet'}")
        return by
    best_by = {run.config.get("loop.best") for run in group}
    scores = [names for run in group if (names := runs.score_names(run))]
    shared = [name for name in (scores[0] if scores else []) if all(name in s for s in scores)]
    if len(best_by) == 1 and best_by <= set(shared):
        return best_by.pop()
    terms = {frozenset(names) for run in group if (names := runs.training_names(run))}
    return shared[0] if shared else "loss" if len(terms) == 1 else None


def ranked(group: Sequence[Run], name: str | None) -> list[Run]:
    """The runs in the order of this value, the best first, runs without it last; unchanged if the
    name is None.
    """
    if name is None:
        return list(group)
    higher = runs.higher_is_better(group, name)
    points = {run.name: best(run, name, higher) for run in group}
    sign = -1 if higher else 1
    return sorted(group, key=lambda run: sign * p.value if (p := points[run.name]) else np.inf)


def headline(group: Sequence[Run], name: str | None) -> str:
    """The result in two or three sentences; `group` must be in the order of `ranked`."""
    return " ".join(filter(None, (_ahead(group, name), _apart(group))))


def _ahead(group: Sequence[Run], name: str | None) -> str:
    higher = runs.higher_is_better(group, name) if name else None
    tops = [(run, best(run, name, higher)) for run in group] if name else []
    points = [(run, point) for run, point in tops if point is not None]
    if not name or not points:
        return "No logged value can rank the runs."
    (first, top), *others = points
    text = f"{first.name} reached the best {name}: {number(top.value)} at step {top.step}"
    if not others:
        return f"{text}."
    second, next_best = others[0]
    text += f", {_against(top.value, next_best.value)} {second.name} ({number(next_best.value)})."
    step = common_step(group, name)
    if step is None or {point.step for _, point in points} == {step}:
        return text
    values = {run.name: at_step(run, name, step) for run, _ in points[:2]}
    both = " against ".join(f"{number(value)} ({run})" for run, value in values.items())
    return f"{text} At step {step}, the last that all of them have: {both}."


def _against(value: float, other: float) -> str:
    if value == other or not other:
        return "as did" if value == other else "against"
    percent = 100 * abs(value - other) / abs(other)
    return f"{percent:.1f} % {'below' if value < other else 'above'}"


def _apart(group: Sequence[Run]) -> str:
    names = list(runs.differences(group))
    if len(group) < 2:
        return ""
    if not names:
        return "Their configs are equal."
    if len(names) > 4:
        return f"Their configs differ in {len(names)} values."
    *most, end = names
    return f"They differ in {', '.join(most)}{' and ' if most else ''}{end}."


def number(value: float | None) -> str:
    """A number with four digits."""
    return "–" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
