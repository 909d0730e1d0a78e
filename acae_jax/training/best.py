"""The best state of a run by one score of its evaluation, kept beside the newest ones."""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from acae_jax.training.checkpoints import BEST, Checkpoints
from acae_jax.training.state import TrainState


class Best:
    """Keeps the state with the lowest score called `name` in WORKDIR/best; nothing without a name.

    Use as a context, which waits for the last save.
    """

    def __init__(self, workdir: Path, facts: Mapping[str, Any], name: str | None):
        self._name = name
        self._stack = ExitStack()
        if name is not None:
            opened = Checkpoints(workdir, facts, BEST, kept=1)
            self._checkpoints = self._stack.enter_context(opened)
            self._lowest = opened.newest_facts().get("score", math.inf)

    def offer(self, state: TrainState, scores: Mapping[str, float]) -> None:
        """Save the state if its score is the lowest so far; a ValueError if it has no such one."""
        if self._name is None:
            return
        if self._name not in scores:
            raise ValueError(f"loop.best is {self._name!r}; scores are {', '.join(scores)}")
        score = scores[self._name]
        if score < self._lowest:
            self._lowest = score
            self._checkpoints.save(state, score=score)

    def __enter__(self) -> "Best":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
