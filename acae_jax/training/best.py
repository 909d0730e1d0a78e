"""The best state of a run by one score of its evaluation, kept beside the newest ones."""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from acae_jax import metrics
from acae_jax.training.checkpoints import BEST, Checkpoints, newest_facts
from acae_jax.training.state import TrainState


class Best:
    """Keeps the state with the best score called `name` in WORKDIR/best; nothing without a name.

    Errors are best when low, hits such as PCK when high. A state that was kept by another score is
    replaced by the first one that is offered. Use as a context, which waits for the last save.
    """

    def __init__(self, workdir: Path, facts: Mapping[str, Any], name: str | None):
        self._name = name
        self._stack = ExitStack()
        if name is not None:
            opened = Checkpoints(workdir, {**facts, "best": name}, BEST, kept=1)
            self._checkpoints = self._stack.enter_context(opened)
            self._sign = -1 if metrics.higher_is_better(name) else 1
            kept = newest_facts(workdir, BEST)
            same = kept.get("best") == name
            self._lowest = self._sign * kept["score"] if same else math.inf

    def offer(self, state: TrainState, scores: Mapping[str, float]) -> None:
        """Save the state if its score is the best so far; a ValueError if it has no such one."""
        if self._name is None:
            return
        if self._name not in scores:
            raise ValueError(f"loop.best is {self._name!r}; scores are {', '.join(scores)}")
        score = scores[self._name]
        if self._sign * score < self._lowest:
            self._lowest = self._sign * score
            # A run that went on from before its best state may reach that step again.
            self._checkpoints.forget_from(int(state.step))
            self._checkpoints.save(state, score=score)

    def __enter__(self) -> "Best":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
