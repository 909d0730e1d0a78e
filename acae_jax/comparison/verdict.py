"""Which run is ahead, by one score; the result in two sentences."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from acae_jax.comparison import runs
from acae_jax.comparison.runs import Run


class Reached(NamedTuple):
    """A value and the step at which it was reached."""

    value: float
    step: int


def best(run: Run, name: str, higher: bool | None = None) -> Reached | None:
    """The best value of a run, of training metrics the best running mean; None if it has none.

    `higher` says whether it is best when high; without, the run's log does.
    """
    steps, _, values = runs.smoothed(run, name)
    if not len(values):
        return None
    higher = runs.higher_is_better([run], name) if higher is None else higher
    index = int(np.argmax(values) if higher else np.argmin(values))
    return Reached(float(values[index]), int(steps[index]))


def last(run: Run, name: str) -> Reached | None:
    """The newest value of a run, of training metrics the running mean; None if it has none."""
    steps, _, values = runs.smoothed(run, name)
    return Reached(float(values[-1]), int(steps[-1])) if len(values) else None


def at_step(run: Run, name: str, step: int) -> float | None:
    """The value at one step; None if it has none there."""
    steps, _, values = runs.smoothed(run, name)
    there = values[steps == step]
    return float(there[-1]) if len(there) else None


def common_step(group: Sequence[Run], name: str) -> int | None:
    """The last step at which all runs that have this value have one; None if there is none."""
    steps = [set(runs.series(run, name).steps.tolist()) for run in group]
    return max(set.intersection(*filter(None, steps)), default=None) if any(steps) else None


def chosen(group: Sequence[Run], by: str | None) -> str | None:
    """The name of what runs are ranked by: `by`, else the score by which all keep their best
    state, else the first score that all evaluated runs have, else the loss.

    None if there is none of these, or if losses are sums of different terms. A ValueError if no run
    has `by`.
    """
    every = [[*runs.score_names(run), *runs.training_names(run)] for run in group]
    if by is not None:
        if not any(by in names for names in every):
            known = ", ".join(dict.fromkeys(name for names in every for name in names))
            raise ValueError(f"no run has {by!r}; there are {known or 'no values yet'}")
        return by
    kept = {run.config.get("loop.best") for run in group}
    scores = [names for run in group if (names := runs.score_names(run))]
    shared = [name for name in (scores[0] if scores else []) if all(name in s for s in scores)]
    if len(kept) == 1 and kept <= set(shared):
        return kept.pop()
    terms = {frozenset(names) for run in group if (names := runs.training_names(run))}
    return shared[0] if shared else "loss" if len(terms) == 1 else None


def ranked(group: Sequence[Run], name: str | None) -> list[Run]:
    """The runs, best first, those without a value last; as they are without a name."""
    if name is None:
        return list(group)
    higher = runs.higher_is_better(group, name)
    reached = {run.name: best(run, name, higher) for run in group}
    sign = -1 if higher else 1
    return sorted(group, key=lambda run: sign * r.value if (r := reached[run.name]) else np.inf)


def headline(group: Sequence[Run], name: str | None) -> str:
    """The result in two or three sentences, of runs in the order of `ranked`."""
    return " ".join(filter(None, (_ahead(group, name), _apart(group))))


def _ahead(group: Sequence[Run], name: str | None) -> str:
    higher = runs.higher_is_better(group, name) if name else None
    reached = [(run, best(run, name, higher)) for run in group] if name else []
    valued = [(run, value) for run, value in reached if value is not None]
    if not name or not valued:
        return "No value is logged that all runs could be ranked by."
    (first, top), *others = valued
    text = f"{first.name} reached the best {name}: {number(top.value)} at step {top.step}"
    if not others:
        return f"{text}."
    second, next_best = others[0]
    text += f", {_against(top.value, next_best.value)} {second.name} ({number(next_best.value)})."
    step = common_step(group, name)
    if step is None or {value.step for _, value in valued} == {step}:
        return text
    values = {run.name: at_step(run, name, step) for run, _ in valued[:2]}
    told = " against ".join(f"{number(value)} ({run})" for run, value in values.items())
    return f"{text} At step {step}, the last that all have: {told}."


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
    """Four digits, as many as a comparison needs."""
    return "–" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
