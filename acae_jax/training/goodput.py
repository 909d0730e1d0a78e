"""Where the time of a run goes: waiting for data, compiling, saving, evaluating, or training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import jax.monitoring

KINDS: tuple[str, ...] = ("data", "compile", "save", "evaluate")
_COMPILED = "/jax/core/compile/backend_compile_duration"


class Goodput:
    """A clock with one hand for each kind of time that is not training.

    Use as a context: while it is open it hears of every compilation in this process. What is
    compiled within another kind of time counts as compiling only.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = dict.fromkeys(KINDS, 0.0)
        self._start = time.monotonic()

    @contextmanager
    def spent(self, kind: str) -> Iterator[None]:
        """The time of this block is of that kind."""
        start, compiled = time.monotonic(), self._seconds["compile"]
        try:
            yield
        finally:
            elapsed = time.monotonic() - start
            self._seconds[kind] += max(elapsed - (self._seconds["compile"] - compiled), 0.0)

    def seconds(self) -> dict[str, float]:
        """Seconds of each kind since the run was started or continued, as `spent_data_s`, …, and
        the whole as `spent_s`.
        """
        parts = {f"spent_{kind}_s": round(value, 3) for kind, value in self._seconds.items()}
        return {"spent_s": round(time.monotonic() - self._start, 3), **parts}

    def summary(self) -> str:
        """Percentages for people, such as "data 3 %, compile 1 %"; kinds below 1 % are left out."""
        whole = max(time.monotonic() - self._start, 1e-9)
        shares = {kind: 100 * value / whole for kind, value in self._seconds.items()}
        return ", ".join(f"{kind} {share:.0f} %" for kind, share in shares.items() if share >= 1)

    def _hear(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        del kwargs
        if event == _COMPILED:
            self._seconds["compile"] += duration_secs

    def __enter__(self) -> "Goodput":
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._hear)
