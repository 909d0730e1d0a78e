"""The best state of a run by one score of its evaluations, stored beside the newest states."""

import math
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from acae_jax.training import logs
from acae_jax.training.checkpoints import BEST, Checkpoints, newest_metadata
from acae_jax.training.state import TrainState


class Best:
    """Keeps the state with the best score `name` in WORKDIR/best; does nothing if `name` is None.

    If the folder holds a state that was chosen by another score, the first offer replaces it. Use
    this as a context; leaving it waits for the last save.
    """

    def __init__(self, workdir: Path, metadata: Mapping[str, Any], name: str | None):
        self._name = name
        self._stack = ExitStack()
        if name is not None:
            checkpoints = Checkpoints(workdir, {**metadata, "best": name}, BEST, keep=1)
            self._checkpoints = self._stack.enter_context(checkpoints)
            before = newest_metadata(workdir, BEST)
            self._best = before["score"] if before.get("best") == name else None

    def offer(
        self,
        state: TrainState,
        scores: Mapping[str, float],
        higher_is_better: Collection[str] | None = None,
    ) -> None:
        """Save the state if its score is the best so far; ValueError if it lacks this score.

        `higher_is_better` names the scores for which higher is better; None leaves that to
        `logs.hits_by_name`.
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
            # A run that resumed from an older state may reach the step of its best state again.
            self._checkpoints.forget_from(int(state.step))
            self._checkpoints.save(state, score=score)

    def __enter__(self) -> "Best":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
