"""The best state of a run by one score of its evaluation, kept beside the newest ones."""

import math
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from acae_jax.training import logs
from acae_jax.training.checkpoints import BEST, Checkpoints, newest_facts
from acae_jax.training.state import TrainState


class Best:
    """Keeps the state with the best score called `name` in WORKDIR/best; nothing without a name.

    A state that was kept by another score is replaced by the first one that is offered. Use as a
    context, which waits for the last save.
    """

    def __init__(self, workdir: Path, facts: Mapping[str, Any], name: str | None):
        self._name = name
        self._stack = ExitStack()
        if name is not None:
            opened = Checkpoints(workdir, {**facts, "best": name}, BEST, kept=1)
            self._checkpoints = self._stack.enter_context(opened)
            kept = newest_facts(workdir, BEST)
            self._best = kept["score"] if kept.get("best") == name else None

    def offer(
        self,
        state: TrainState,
        scores: Mapping[str, float],
        higher_is_better: Collection[str] | None = None,
    ) -> None:
        """Save the state if its score is the best so far; a ValueError if it has no such one.

        `higher_is_better` names the scores that are best when high; without, names decide.
        """
        name = self._name
        if name is None:
            return
        if name not in scores:
            raise ValueError(f"loop.best is {name!r}; scores are {', '.join(scores)}")
        higher = logs.hits_by_name(name) if higher_is_better is None else name in higher_is_better
        score, best = scores[name], self._best
        if not math.isfinite(score):
            return
        if best is None or (score > best if higher else score < best):
            self._best = score
            # A run that went on from before its best state may reach that step again.
            self._checkpoints.forget_from(int(state.step))
            self._checkpoints.save(state, score=score)

    def __enter__(self) -> "Best":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
