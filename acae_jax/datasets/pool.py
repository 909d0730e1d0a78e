"""Work of several processes, whose results come as they are ready.

Workers end when the main process does, leave Ctrl-C to it, and compute on one thread each: linear
algebra is faster so, and gives the same bits everywhere.
"""

import concurrent.futures
import concurrent.futures.process
import contextlib
import errno
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.synchronize import Event
from typing import Any

import cv2

from acae_jax import cores, worker_processes

_stop: Event | None = None  # in a worker: set when its result is wanted no more


def run(
    function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], workers: int | None
) -> Iterator[Any]:
    """Yield what a function returns for each of some arguments, in the order of being finished.

    `workers` defaults to the number of cores. The first error ends the run, when the work that has
    begun is done: functions that ask `is_stopped` now and then can end it at once. ValueError
    without workers; OSError if a worker was killed.
    """
    if not arguments:
        return
    count = min(cores.allowed() if workers is None else workers, len(arguments))
    if count < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    # What cannot be pickled must fail here: later, the executor would wait for ever.
    pickle.dumps([(function, *values) for values in arguments])
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    settings = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    with _environment(**settings, JAX_PLATFORMS="cpu"):
        executor = concurrent.futures.ProcessPoolExecutor(
            count, context, initializer=_start_worker, initargs=(stop,)
        )
        try:
            futures = [executor.submit(function, *values) for values in arguments]
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise OSError(
                errno.ENOMEM,
                "a worker was killed, perhaps because memory ran out; run again with fewer "
                "--workers (finished parts are kept)",
            ) from error
        finally:
            stop.set()
            executor.shutdown(wait=True, cancel_futures=True)


def is_stopped() -> bool:
    """Whether this is a worker whose result nobody waits for any more."""
    return _stop is not None and _stop.is_set()


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_worker(stop: Event) -> None:
    global _stop
    _stop = stop
    worker_processes.end_with_main_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process stops its workers
    cv2.setNumThreads(0)
