"""The one training loop.

Order within a step: take a batch, launch the update, and only then look at the metrics of the step
*before*, so that the host prepares the next batch while the device works, and never runs more than
one step ahead. At a step that is due, evaluation comes before saving: the log of a killed run is
cut at its checkpoint, and nothing is missing from it.

A run killed at any moment and started again with the same command ends in the same state, to the
bit, as one that was never stopped: state and data position are saved together, randomness is a
function of (seed, step).
"""

import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from acae_jax.files import paths
from acae_jax.training import parallel
from acae_jax.training.best import Best
from acae_jax.training.checkpoints import Checkpoints
from acae_jax.training.goodput import Goodput
from acae_jax.training.logs import Listener, Log, Progress
from acae_jax.training.state import TrainState, all_finite

LOG = "metrics.jsonl"

Batch = Mapping[str, np.ndarray | jax.Array]
Metrics = Mapping[str, jax.Array | float]


class Evaluated(NamedTuple):
    """What is said of a state: scores such as "test/mpjpe_mm", and a PNG to look at.

    `higher_is_better` names the scores that are best when high; all others are best when low.
    Without it the names decide, see `logs.hits_by_name`.
    """

    scores: Mapping[str, float]
    picture: bytes | None = None
    higher_is_better: Collection[str] | None = None


class Task(NamedTuple):
    """What a system gives to the loop.

    init        from a key to the first state; may read the runs before this one.
    update      from the number of finished updates (on the host, so that it may choose between
                compiled programs), the state, which it may donate, and a batch to the next state
                and its metrics: scalars on the device, of which one is "loss".
    batches     from a step to the endless batches from there on: this process's part, a pure
                function of the step. It is called once, unless the run is finished, and opens all
                data, so that what is missing is said before training.
    evaluate    what is said of a state; every process calls it.
    group_size  the ghost batch.
    parts       if more than 1, batches are cut along a first axis, see `parallel.place_batch`.
    shapes      shapes and types of the state, for a run that is continued; reads nothing. Without
                it `init` is traced.
    facts       told by every checkpoint, such as the names of the outputs, as JSON has them.
    """

    init: Callable[[jax.Array], TrainState]
    update: Callable[[int, TrainState, dict[str, jax.Array]], tuple[TrainState, Metrics]]
    batches: Callable[[int], Iterator[Batch]]
    evaluate: Callable[[TrainState], Evaluated] | None = None
    group_size: int = 1
    parts: int = 1
    shapes: Callable[[], TrainState] | None = None
    facts: Mapping[str, Any] = MappingProxyType({})


class Interrupted(Exception):  # noqa: N818 - not an error: the run was asked to stop
    """Training stopped on a signal after saving; `signal` is its number, SIGTERM if it came from
    another process.
    """

    def __init__(self, number: int, step: int, workdir: Path):
        super().__init__(
            f"stopped by {signal.Signals(number).name} after step {step}, saved in {workdir}; "
            "the same command continues from there"
        )
        self.signal = number


def fit(
    task: Task,
    workdir: str | Path,
    *,
    steps: int,
    seed: int,
    save_every: int,
    evaluate_every: int = 0,
    log_every: int = 50,
    best: str | None = None,
    profile: Sequence[int] = (),
    unit: str = "step",
    devices: int | None = None,
    facts: Mapping[str, Any] | None = None,
    listeners: Sequence[Listener] = (),
    begun: Callable[[], None] | None = None,
) -> TrainState:
    """Train until `steps` updates are finished, from the newest checkpoint in `workdir` if any.

    A finished run is returned at once. With `evaluate_every` 0 nothing is evaluated; the picture of
    an evaluation goes to WORKDIR/pictures/STEP.png. The state with the best score `best`, such as
    "test/mpjpe_mm", is kept apart in WORKDIR/best. `profile` is
    the first step of a trace for WORKDIR/profile, and the step after its last. `devices` defaults
    to all. `facts` are stored with every checkpoint. `listeners` hear each row of the log. `begun`
    is called by the first process once state and data are there, unless the run is finished.

    Raises ValueError for settings that make no sense, or a checkpoint of another task or seed;
    Interrupted on Ctrl-C or SIGTERM (after saving), FloatingPointError when the loss or a
    parameter is no longer finite (the last good checkpoint stays), OSError when the disk is full.
    """
    every = {"save_every": save_every, "evaluate_every": evaluate_every, "log_every": log_every}
    _check_settings(task, steps, every, best)
    workdir = paths.local(workdir)
    mesh = parallel.mesh(devices)
    workdir.mkdir(parents=True, exist_ok=True)
    facts = {**(facts or {}), **task.facts, "seed": seed, "steps": steps}
    with Checkpoints(workdir, facts) as checkpoints, Best(workdir, facts, best) as best_one:
        state = _start(task, checkpoints, seed, mesh)
        start = int(state.step)
        if start >= steps:
            return state
        with (
            _closed(task.batches(start)) as batches,
            Log(workdir / LOG, start, listeners) as log,
            closing(Progress(steps, start, unit)) as progress,
            _stop_signal() as stopping,
            Goodput() as goodput,
            _tracer(workdir, range(start, steps), profile) as trace,
        ):
            if begun and jax.process_index() == 0:
                begun()
            watch = _Watch(log, progress, goodput, log_every, steps)
            for step in range(start, steps):
                trace(step, watch)
                with goodput.spent("data"):
                    host_batch = _next(batches, step)
                batch = parallel.place_batch(host_batch, mesh, task.group_size, task.parts)
                state, metrics = task.update(step, state, batch)
                watch.launched(step + 1, metrics)
                last, stop = step + 1 == steps, stopping(step)
                evaluates = evaluate_every and (last or (step + 1) % evaluate_every == 0)
                if not (last or evaluates or stop or (step + 1) % save_every == 0):
                    continue
                watch.settle()
                _check_finite(state)
                if evaluates and task.evaluate:
                    with goodput.spent("evaluate"):
                        scores, picture, higher = task.evaluate(state)
                        _show(workdir, step + 1, picture)
                        log.write(step + 1, scores, higher)
                        best_one.offer(state, scores, higher)
                if last or stop or (step + 1) % save_every == 0:
                    with goodput.spent("save"):
                        checkpoints.save(state, wait=last or stop is not None)
                if stop and not last:
                    raise Interrupted(stop, step + 1, workdir)
    return state


def _check_settings(task: Task, steps: int, every: Mapping[str, int], best: str | None) -> None:
    """A ValueError in the config's words."""
    for name, value in {"steps": steps, **{f"loop.{k}": v for k, v in every.items()}}.items():
        least = 0 if name == "loop.evaluate_every" else 1
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")
    if best is not None and not (every["evaluate_every"] and task.evaluate):
        raise ValueError(
            f"loop.best is {best!r}, but nothing is evaluated: that takes a test set and "
            "loop.evaluate_every"
        )


@contextmanager
def _tracer(
    workdir: Path, steps: range, profile: Sequence[int]
) -> Iterator[Callable[[int, "_Watch"], None]]:
    """A function that begins or ends the profiler's trace if it is time, to be called before each
    of `steps`; what ends the run ends its trace.
    """
    traced = range(*profile) if profile else range(0)
    running = False

    def trace(step: int, watch: "_Watch") -> None:
        nonlocal running
        if (step in traced) == running:
            return
        if running:
            watch.settle()  # so that the trace holds these steps whole
            jax.profiler.stop_trace()
        else:
            jax.profiler.start_trace(str(workdir / "profile"))
        running = not running

    if traced and (traced[-1] < steps[0] or traced[0] > steps[-1]):
        logging.warning(
            "nothing will be traced: this run goes from step %d to %d", steps.start, steps.stop
        )
    try:
        yield trace
    finally:
        if running:
            jax.profiler.stop_trace()


def _start(task: Task, checkpoints: Checkpoints, seed: int, mesh: Mesh) -> TrainState:
    """The newest checkpoint, or a fresh state."""
    key = jax.random.key(seed)
    if checkpoints.latest_step() is None:
        return parallel.replicate(task.init(key), mesh)
    like = task.shapes() if task.shapes else jax.eval_shape(task.init, key)
    state = checkpoints.restore(like, parallel.replicated(mesh))
    assert state is not None
    return state


def _show(workdir: Path, step: int, picture: bytes | None) -> None:
    """The picture as WORKDIR/pictures/STEP.png, by the first process."""
    if picture is not None and jax.process_index() == 0:
        folder = workdir / "pictures"
        folder.mkdir(exist_ok=True)
        (folder / f"{step}.png").write_bytes(picture)


def _check_finite(state: TrainState) -> None:
    """A FloatingPointError rather than a checkpoint that cannot be trained on."""
    if not all_finite((state.params, state.collections, state.opt_state, state.extra)):
        raise FloatingPointError(_not_finite("a parameter or statistic is", int(state.step)))


def _not_finite(what: str, step: int) -> str:
    return (
        f"{what} not finite after step {step}; the last checkpoint is good: "
        "continue from it with a lower learning rate, or look at that step's batch"
    )


def _next(batches: Iterator[Batch], step: int) -> Batch:
    try:
        return next(batches)
    except StopIteration:
        raise ValueError(f"the batches ended before step {step}: they must be endless") from None


class _Watch:
    """Reads the metrics of the step before the one in flight: checks, logs and shows them."""

    def __init__(self, log: Log, progress: Progress, goodput: Goodput, log_every: int, steps: int):
        self._log = log
        self._progress = progress
        self._goodput = goodput
        self._log_every = log_every
        self._steps = steps
        self._pending: tuple[int, Metrics] | None = None

    def launched(self, step: int, metrics: Metrics) -> None:
        """A step is in flight; wait for the one before it."""
        before, self._pending = self._pending, (step, metrics)
        if before is not None:
            self._read(*before)

    def settle(self) -> None:
        """Wait for the step in flight too."""
        if self._pending is not None:
            self._read(*self._pending)
            self._pending = None

    def _read(self, step: int, metrics: Metrics) -> None:
        loss = float(metrics["loss"])
        if not math.isfinite(loss):
            values = jax.device_get(dict(metrics))
            wrong = sorted(name for name, value in values.items() if not math.isfinite(value))
            raise FloatingPointError(_not_finite(f"{', '.join(wrong)} (loss {loss}) is", step))
        if step % self._log_every == 0 or step in (1, self._steps):
            values = jax.device_get(dict(metrics))
            self._log.write(step, {**values, **self._goodput.seconds()})
        self._progress.advance(loss, self._goodput.summary())


@contextmanager
def _closed(batches: Iterator[Batch]) -> Iterator[Iterator[Batch]]:
    """Closes an iterator that can be closed, and with it its worker processes."""
    try:
        yield batches
    finally:
        close: Any = getattr(batches, "close", None)
        if close is not None:
            close()


@contextmanager
def _stop_signal() -> Iterator[Callable[[int], int | None]]:
    """A function that tells at each step which signal asks to stop after it, if any.

    A second signal acts as usual. Several processes stop after the same step: JAX's runtime listens
    for SIGTERM in each and agrees on it; Ctrl-C is passed on to it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: None  # signals reach the main thread only
        return
    received: list[int] = []
    several = jax.process_count() > 1
    numbers = (signal.SIGINT,) if several else (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)
        restore()
        if several:
            os.kill(os.getpid(), signal.SIGTERM)

    def stopping(step: int) -> int | None:
        if several and not multihost_utils.reached_preemption_sync_point(step):
            return None
        return received[0] if received else signal.SIGTERM if several else None

    for number in numbers:
        signal.signal(number, receive)
    try:
        yield stopping
    finally:
        restore()
