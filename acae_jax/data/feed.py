"""Host batches, step after step: read the slots' records, make examples of them, stack those.

A batch is a pure function of its step, so the feed starts at any step at once, hosts read only
their own slots, and 0, 1 or 3 workers give the same bits. Worker w of W makes the whole batches of
steps start + w, start + w + W, …; they arrive in order. At most `prefetch` finished batches wait,
and each worker holds one more.

Workers are plain subprocesses that write their arrays into a pipe. Beside `grain`'s workers, on the
same batches of 64 crops, they were as fast (within the noise) and started sooner; they need no
parsed absl flags and no guarded `__main__`, and do not import the main module again with all that
it imports. Restoring `grain`'s iterator with another number of workers silently gives other data;
here there is no iterator to restore. The pipe takes the main process 4 ms for a batch of 12 MB.

A worker sees no accelerator, computes on one thread, and ends by itself when the main process is
gone.
"""

import io
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from acae_jax.data import mixture as mixtures
from acae_jax.data import sources as sources_
from acae_jax.data.mixture import Mixture
from acae_jax.data.record import Record
from acae_jax.data.sources import Records

Batch = dict[str, np.ndarray]
MakeExample = Callable[[Record, int, tuple[int, int, int]], Mapping[str, Any]]
"""(record, dataset index, (seed, step, slot)) → the arrays of one example."""

# The job is read before anything heavy is imported, so that workers start side by side.
_BOOT = (
    "import json, sys; stdin = sys.stdin.buffer; sys.path[:] = json.loads(stdin.readline());"
    "job = stdin.read(); from acae_jax.data import feed; feed._serve(job)"
)
_WORKER_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class _Job(NamedTuple):
    """All that the batches depend on."""

    mixture: Mixture
    sources: tuple[Records, ...]
    make_example: MakeExample
    slots: range


def batches(
    mixture: Mixture,
    sources: Sequence[Records],
    make_example: MakeExample,
    start_step: int = 0,
    *,
    stop_step: int | None = None,
    host: int = 0,
    hosts: int = 1,
    workers: int = 0,
    prefetch: int = 2,
) -> Iterator[Batch]:
    """Iterate over this host's part of the batches of steps start_step, start_step + 1, …

    Every array of a batch has the host's slots as its first axis. `make_example` must be picklable
    (a module's function, or a functools.partial of one) if there are `workers`; with 0 everything
    happens in this process when the next batch is asked for. Closing the iterator ends the workers.

    Raises ValueError for arguments that do not fit each other at once, and while iterating, naming
    dataset, index and cause, for a record that cannot be read or made an example of.
    """
    if start_step < 0 or workers < 0 or prefetch < 1:
        raise ValueError(
            "feed: start_step and workers must be at least 0 and prefetch at least 1, "
            f"got {start_step}, {workers} and {prefetch}"
        )
    lengths = tuple(len(source) for source in sources)
    if lengths != mixture.lengths:
        raise ValueError(
            f"feed: the mixture is made for {mixture.lengths} records, the sources hold {lengths}"
        )
    slots = mixtures.slots_of_host(mixture, host, hosts)
    job = _Job(mixture, tuple(sources), make_example, slots)
    if workers == 0:
        steps = _steps(start_step, stop_step)
        return (_host_batch(job, step) for step in steps)
    try:
        pickled = pickle.dumps(job)
    except Exception as error:
        raise ValueError(
            f"feed: sources or make_example cannot be sent to workers ({_one_line(error)}); "
            "give a function of an importable module, or workers=0"
        ) from error
    return _from_workers(pickled, start_step, stop_step, workers, prefetch)


def _steps(start: int, stop: int | None, stride: int = 1) -> Iterator[int]:
    """start, start + stride, …, for ever if there is no stop."""
    return iter(range(start, sys.maxsize if stop is None else stop, stride))


def _host_batch(job: _Job, step: int) -> Batch:
    """The batch of one step: each example is made and put in its place."""
    batch: Batch = {}
    for place, slot in enumerate(job.slots):
        dataset, _, index = mixtures.slot(job.mixture, step, slot)
        example = _example(job, step, slot, dataset, index)
        if place == 0:
            batch = {
                name: np.empty((len(job.slots), *value.shape), value.dtype)
                for name, value in example.items()
            }
        have = {name: (value.shape, value.dtype) for name, value in example.items()}
        want = {name: (value.shape[1:], value.dtype) for name, value in batch.items()}
        if have != want:
            different = {name for name in have | want if have.get(name) != want.get(name)}
            raise ValueError(
                f"dataset {job.mixture.names[dataset]!r}, record {index}: "
                f"{', '.join(sorted(different))} of its example differ in shape or type from the "
                "batch's first example; make all examples alike"
            )
        for name, value in example.items():
            batch[name][place] = value
    return batch


def _example(job: _Job, step: int, slot: int, dataset: int, index: int) -> Batch:
    """One example, as arrays; every failure names dataset, index and cause."""
    where = f"dataset {job.mixture.names[dataset]!r}, record {index}"
    try:
        record = job.sources[dataset][index]
        where += f" ({record.key})"
        example = job.make_example(record, dataset, (job.mixture.seed, step, slot))
        return {name: np.asarray(value) for name, value in example.items()}
    except sources_.UnreadableRecordError:
        raise  # says all this already
    except Exception as error:
        cause = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{where}: {cause}{_one_line(error)}") from error


def _from_workers(
    job: bytes, start: int, stop: int | None, workers: int, prefetch: int
) -> Iterator[Batch]:
    """Batches in order of steps from worker processes, which live as long as this generator."""
    done: queue.Queue[Batch | Exception | None] = queue.Queue(prefetch)
    closing = threading.Event()
    with ExitStack() as stack:
        processes = []
        for number in range(workers):
            processes.append(_start_worker(job, start + number, stop, workers))
            stack.callback(_end_worker, processes[-1])
        reader = threading.Thread(
            target=_read_all, args=(processes, _steps(start, stop), done, closing), daemon=True
        )
        reader.start()
        stack.callback(_end_reader, reader, processes, done, closing)
        while (item := done.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item


def _start_worker(job: bytes, start: int, stop: int | None, stride: int) -> subprocess.Popen:
    """Start the process that makes the batches of every stride-th step."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BOOT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **_WORKER_ENVIRONMENT},
        process_group=0,  # Ctrl-C reaches the main process only, which ends its workers
    )
    assert process.stdin is not None
    steps = pickle.dumps((start, stop, stride))
    try:
        with process.stdin as stdin:
            stdin.write(json.dumps([path or str(Path.cwd()) for path in sys.path]).encode() + b"\n")
            stdin.write(steps + job)
    except BrokenPipeError:
        pass  # it died at once, which the reader finds out and reports
    return process


def _end_worker(process: subprocess.Popen) -> None:
    """Kill a worker, which holds nothing to lose, and collect it."""
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _end_reader(
    reader: threading.Thread,
    processes: Sequence[subprocess.Popen],
    done: queue.Queue,
    closing: threading.Event,
) -> None:
    """Stop the reading thread wherever it waits: for a worker or for room in the queue."""
    closing.set()
    for process in processes:
        process.kill()
    while reader.is_alive():
        try:
            done.get(timeout=0.01)
        except queue.Empty:
            continue
    reader.join()


def _read_all(
    processes: Sequence[subprocess.Popen],
    steps: Iterator[int],
    done: queue.Queue,
    closing: threading.Event,
) -> None:
    """Read the workers' batches in turn into the queue; then None, or the error that ended it."""
    try:
        for turn, step in enumerate(steps):
            done.put(_read(processes[turn % len(processes)], step))
            if closing.is_set():
                return
        done.put(None)
    except Exception as error:
        done.put(error)


def _read(process: subprocess.Popen, step: int) -> Batch:
    """Read one batch as `_write` wrote it."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if line:
        header = json.loads(line)
        if "error" in header:
            error = ValueError(header["error"])
            if header["traceback"]:
                error.add_note(f"In the data worker:\n{header['traceback']}")
            raise error
        batch = {name: np.empty(shape, dtype) for name, shape, dtype in header["arrays"]}
        sizes = [_fill(process.stdout, value) for value in batch.values()]
        if all(size == value.nbytes for size, value in zip(sizes, batch.values(), strict=True)):
            return batch
    raise RuntimeError(
        f"feed: a data worker ended while making step {step} (exit status {process.wait()}, "
        "-9: killed, perhaps for memory); see its output above, or try fewer workers"
    )


def _fill(stream: Any, value: np.ndarray) -> int:
    """Read an array's bytes into it; return how many there were."""
    return stream.readinto(value.reshape(-1).view(np.uint8).data) if value.nbytes else 0


def _serve(message: bytes) -> None:
    """The life of a worker: make the batches of its steps and write them to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what others print must not get between
    try:
        try:
            stream = io.BytesIO(message)
            start, stop, stride = pickle.load(stream)  # from our own main process
            job = pickle.load(stream)
        except Exception as error:
            raise ValueError(
                f"feed: a worker cannot load its sources or make_example ({_one_line(error)}); "
                "give a function of an importable module, or workers=0"
            ) from error
        for step in _steps(start, stop, stride):
            _write(output, _host_batch(job, step))
    except BrokenPipeError:
        os._exit(0)  # the main process is gone
    except Exception as error:
        foreseen = error.__cause__ is None or isinstance(error.__cause__, ValueError)
        details = None if foreseen else "".join(traceback.format_exception(error))
        message = json.dumps({"error": str(error), "traceback": details}).encode() + b"\n"
        _write_all(output, message)


def _write(output: Any, batch: Batch) -> None:
    """Write a line of names, shapes and types, then the arrays' bytes."""
    arrays = [(name, value.shape, value.dtype.str) for name, value in batch.items()]
    _write_all(output, json.dumps({"arrays": arrays}).encode() + b"\n")
    for value in batch.values():
        if value.nbytes:
            _write_all(output, value.reshape(-1).view(np.uint8).data)


def _write_all(output: Any, data: bytes | memoryview) -> None:
    """Write all of the data to an unbuffered pipe, which takes it piece by piece."""
    view = memoryview(data)
    while len(view):
        view = view[output.write(view) :]


def _one_line(error: BaseException) -> str:
    """The message of an error, on one line, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
