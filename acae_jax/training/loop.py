"""The one training loop.

Order within a step: take a batch, start the update, and only then wait for the metrics of the step
*before*. So the host prepares the next batch while the device computes, and is never more than one
step ahead. If a step evaluates and saves, it evaluates first. After a kill the log is cut at the
checkpoint's step, so the scores of that step are then already in it.

If a run is killed at any moment and started again with the same command, it ends in the same state,
to the bit, as a run that was never stopped: state and data position are saved together, and
randomness is a function of (seed, step).
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
    """The result of an evaluation: scores such as "test/mpjpe_mm", and a picture as PNG.

    `higher_is_better` names the scores for which higher is better; for all others lower is. None
    leaves that to `logs.hits_by_name`.
    """

    scores: Mapping[str, float]
    picture: bytes | None = None
    higher_is_better: Collection[str] | None = None


class Task(NamedTuple):
    """What a system gives to the loop.

    init        (key) → the first state; it may read earlier runs.
    update      (number of finished updates, state, batch) → (next state, metrics). The number is on
                the host, so that it can choose between compiled programs. The state may be donated.
                Metrics are scalars on the device; one of them is "loss".
    batches     (step) → an endless iterator of this process's share of the batches from that step
                on; each batch is a pure function of its step. It is called once, unless the run is
                finished, and opens all data, so that missing data is reported before training.
    evaluate    (state) → its scores; every process calls it.
    group_size  the size of a ghost group; a group is never split over devices.
    parts       if more than 1, each batch is cut in as many parts, see `parallel.place_batch`.
    shapes      () → shapes and types of the state, for a run that is continued; reads no files.
                Without it, `init` is traced.
    metadata    JSON to store with every checkpoint, such as the names of the outputs.
    """

    init: Callable[[jax.Array], TrainState]
    update: Callable[[int, TrainState, dict[str, jax.Array]], tuple[TrainState, Metrics]]
    batches: Callable[[int], Iterator[Batch]]
    evaluate: Callable[[TrainState], Evaluated] | None = None
    group_size: int = 1
    parts: int = 1
    shapes: Callable[[], TrainState] | None = None
    metadata: Mapping[str, Any] = MappingProxyType({})


class Interrupted(Exception):  # noqa: N818 - not an error: the run was asked to stop
    """Training was stopped by a signal and has saved its state.

    `signal` is the number of the signal; SIGTERM if another process received it.
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
    evaluate_first: bool = False,
    log_every: int = 50,
    best: str | None = None,
    profile: Sequence[int] = (),
    unit: str = "step",
    devices: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    listeners: Sequence[Listener] = (),
    on_start: Callable[[], None] | None = None,
) -> TrainState:
    """Train until `steps` updates are finished, and return the final state.

    Training continues from the newest checkpoint in `workdir`, if there is one; a finished run
    returns at once.

    evaluate_every  0 never evaluates. Pictures go to WORKDIR/pictures/STEP.png.
    evaluate_first  whether the first state is evaluated too, as step 0.
    best            a score such as "test/mpjpe_mm": its best state is also kept in WORKDIR/best.
    profile         the first step of a trace for WORKDIR/profile, and the step after its last.
    devices         how many devices to use; None uses all.
    metadata        JSON to store with every checkpoint.
    listeners       called with each row of the log.
    on_start        called by the first process once state and data are open, unless the run is
                    finished.

    Raises ValueError for impossible settings and for a checkpoint of another task or seed;
    Interrupted on Ctrl-C or SIGTERM, after saving; FloatingPointError if the loss or a parameter is
    not finite (the last good checkpoint stays); OSError if the disk is full.
    """
    every = {"save_every": save_every, "evaluate_every": evaluate_every, "log_every": log_every}
    _check_settings(task, steps, every, best)
    workdir = paths.local(workdir)
    mesh = parallel.mesh(devices)
    workdir.mkdir(parents=True, exist_ok=True)
    metadata = {**(metadata or {}), **task.metadata, "seed": seed, "steps": steps}
    with Checkpoints(workdir, metadata) as checkpoints, Best(workdir, metadata, best) as best_one:
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
            if on_start and jax.process_index() == 0:
                on_start()
            watch = _Watch(log, progress, goodput, log_every, steps)

            def evaluate(state: TrainState, step: int) -> None:
                assert task.evaluate
                with goodput.spent("evaluate"):
                    scores, picture, higher = task.evaluate(state)
                    _show(workdir, step, picture)
                    log.write(step, scores, higher)
                    best_one.offer(state, scores, higher)

            if evaluate_first and task.evaluate and start == 0:
                evaluate(state, 0)
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
                    evaluate(state, step + 1)
                if last or stop or (step + 1) % save_every == 0:
                    with goodput.spent("save"):
                        checkpoints.save(state, wait=last or stop is not None)
                if stop and not last:
                    raise Interrupted(stop, step + 1, workdir)
    return state


def _check_settings(task: Task, steps: int, every: Mapping[str, int], best: str | None) -> None:
    """Raise ValueError, in the words of the config, for impossible settings."""
    for name, value in {"steps": steps, **{f"loop.{k}": v for k, v in every.items()}}.items():
        least = 0 if name == "loop.evaluate_every" else 1
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")
    if best is not None and not (every["evaluate_every"] and task.evaluate):
        raise ValueError(
            f"loop.best is {best!r}, but nothing is evaluated: set loop.evaluate_every, and name a "
            "dataset in evals"
        )


@contextmanager
def _tracer(
    workdir: Path, steps: range, profile: Sequence[int]
) -> Iterator[Callable[[int, "_Watch"], None]]:
    """A function that starts and stops the profiler's trace; call it before each of `steps`.

    If the run ends early, so does the trace.
    """
    traced = range(*profile) if profile else range(0)
    running = False

    def trace(step: int, watch: "_Watch") -> None:
        nonlocal running
        if (step in traced) == running:
            return
        if running:
            watch.settle()  # so that the trace holds these steps completely
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
    """Write the picture to WORKDIR/pictures/STEP.png, in the first process."""
    if picture is not None and jax.process_index() == 0:
        folder = workdir / "pictures"
        folder.mkdir(exist_ok=True)
        (folder / f"{step}.png").write_bytes(picture)


def _check_finite(state: TrainState) -> None:
    """Raise FloatingPointError if the state is not finite, so that it is not saved."""
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
    """Waits for the metrics of the previous step; checks, logs and shows them."""

    def __init__(self, log: Log, progress: Progress, goodput: Goodput, log_every: int, steps: int):
        self._log = log
        self._progress = progress
        self._goodput = goodput
        self._log_every = log_every
        self._steps = steps
        self._pending: tuple[int, Metrics] | None = None

    def launched(self, step: int, metrics: Metrics) -> None:
        """A step was started; wait for the one before it."""
        before, self._pending = self._pending, (step, metrics)
        if before is not None:
            self._read(*before)

    def settle(self) -> None:
        """Wait for the last step that was started, too."""
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
    """Close the iterator at the end, if it can be closed; that ends its worker processes."""
    try:
        yield batches
    finally:
        close: Any = getattr(batches, "close", None)
        if close is not None:
            close()


@contextmanager
def _stop_signal() -> Iterator[Callable[[int], int | None]]:
    """A function from a step to the signal that asks to stop after it, or None.

    A second signal has its usual effect. If there are several processes, all stop after the same
    step: JAX's runtime listens for SIGTERM in each process and agrees on the step. Ctrl-C is turned
    into SIGTERM for it.
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
