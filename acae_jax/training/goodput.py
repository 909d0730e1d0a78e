"""How a run spends its time: waiting for data, compiling, saving, evaluating, or training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import jax.monitoring

KINDS: tuple[str, ...] = ("data", "compile", "save", "evaluate")
_COMPILED = "/jax/core/compile/backend_compile_duration"


class Goodput:
    """Measures the time of each kind that is not training.

    Use it as a context: while it is open, it is told of every compilation in this process.
    Compiling within another kind of time counts as compiling only.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = dict.fromkeys(KINDS, 0.0)
        self._start = time.monotonic()

    @contextmanager
    def spent(self, kind: str) -> Iterator[None]:
        """Count the time of this block as time of this kind."""
        start, compiled = time.monotonic(), self._seconds["compile"]
        try:
            yield
        finally:
            elapsed = time.monotonic() - start
            self._seconds[kind] += max(elapsed - (self._seconds["compile"] - compiled), 0.0)

    def seconds(self) -> dict[str, float]:
        """Seconds since the run was started or continued: `spent_s` in all, and `spent_data_s`, …
        by kind.
        """
        parts = {f"spent_{kind}_s": round(value, 3) for kind, value in self._seconds.items()}
        return {"spent_s": round(time.monotonic() - self._start, 3), **parts}

    def summary(self) -> str:
        """Percentages as text, such as "data 3 %, compile 1 %", without kinds below 1 %."""
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
