"""What fine-tuning changed: the scores of each run before its first step and after its last."""

import json
from pathlib import Path
from typing import NamedTuple

from acae_jax.pages import tables
from acae_jax.training import logs, loop

SHOWN = ("mpjpe_mm/", "disagreement_")  # scores whose names have such a part


class Change(NamedTuple):
    """A score of the model that training began with, and of the one that it made."""

    before: float
    after: float

    @property
    def percent(self) -> float:
        """By how much it grew."""
        return 100.0 * (self.after / self.before - 1.0)


def report(folder: Path, seconds: float) -> str:
    """Write report.json to a folder of runs of fine-tuning; returns the text.

    Raises ValueError if a run has no scores from before and after.
    """
    del seconds
    runs = sorted(path.parent for path in folder.glob("*/config.json"))
    changed = {run.name: changes(run) for run in runs}
    content = {
        name: {score: {**one._asdict(), "percent": one.percent} for score, one in scores.items()}
        for name, scores in changed.items()
    }
    (folder / "report.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    parts = [f"{name}\n\n{table(scores)}" for name, scores in changed.items()]
    return "\n\n".join([*parts, f"Figures: {folder / 'report.json'}"])


def changes(run: Path) -> dict[str, Change]:
    """The errors of each format and the disagreement, before and after a run."""
    rows = [row for row in logs.read(run / loop.LOG) if "loss" not in row]
    if len(rows) < 2 or rows[0]["step"] > 0:
        raise ValueError(
            f"{run} has no scores from before and after training: evals and loop.evaluate_first "
            "must be set"
        )
    first, last = rows[0], rows[-1]
    names = [name for name in first if any(part in name for part in SHOWN) and name in last]
    return {name: Change(first[name], last[name]) for name in names}


def table(scores: dict[str, Change]) -> str:
    """One line for each score."""
    lines = [
        (name, f"{one.before:.1f}", f"{one.after:.1f}", f"{one.percent:+.1f} %")
        for name, one in scores.items()
    ]
    return tables.text(("", "before", "after", "change"), lines)
