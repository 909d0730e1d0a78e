"""Host batches, step after step: read the slots' records, make examples of them, stack those.

A batch is a pure function of its step. `grain` sees a source whose element i is the finished batch
of step start + i: quotas cannot break, any step is reached at once, hosts read only their own
slots, and 0, 1 or 3 workers give the same bits. A run is resumed by starting at a step and never
from a state of `grain`'s iterator, which gives other data with another number of workers.

Batches are made ahead: by one thread if there are no workers, else by worker processes, which hand
the arrays over in shared memory (/dev/shm). At most `prefetch` finished batches wait in a thread,
or 2 `prefetch` + 2 for each worker.

A worker computes on the CPU, with OpenCV on one thread, is not reached by Ctrl-C, and ends when the
main process is gone. It imports the main module once more, so that a script which uses workers
needs the guard `if __name__ == "__main__":`.
"""

import gc
import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import cv2
import grain
import jax
import numpy as np
from absl import flags

from acae_jax import messages
from acae_jax.data import mixture as mixtures
from acae_jax.data import sources as sources_
from acae_jax.data.mixture import Mixture
from acae_jax.data.sources import Records

Batch = dict[str, np.ndarray]
MakeExample = Callable[[Any, int, tuple[int, int, int]], Mapping[str, Any]]
"""(record, dataset index, (seed, step, slot)) → the arrays of one example, or functions without
arguments that make them: these are called after the other examples of the batch are begun, so that
small arithmetic stays together (see `examples`). Records are of any schema, and have a `key`."""


class _Job(NamedTuple):
    """All that the batches depend on."""

    mixture: Mixture
    sources: tuple[Records, ...]
    make_example: MakeExample
    slots: tuple[int, ...]


class _Batches:
    """The batches of consecutive steps as a random-access source for `grain`."""

    def __init__(self, job: _Job, steps: range):
        self._job = job
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> Batch:
        return _host_batch(self._job, self._steps[index])


def batches(
    mixture: Mixture,
    sources: Sequence[Records],
    make_example: MakeExample,
    start_step: int = 0,
    *,
    stop_step: int | None = None,
    host: int = 0,
    hosts: int = 1,
    parts: int = 1,
    workers: int = 0,
    prefetch: int = 2,
) -> Iterator[Batch]:
    """Iterate over this host's part of the batches of steps start_step, start_step + 1, …

    Every array of a batch has the host's slots as its first axis: its share of the first of `parts`
    parts of the batch, then of the second, and so on. With `workers` the sources and
    `make_example` are pickled. Closing the iterator ends the workers.

    Raises ValueError for arguments that do not fit each other at once, and while iterating, naming
    dataset, index and cause, for a record that cannot be read or made an example of; RuntimeError
    if a worker dies.
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
    slots = mixtures.slots_of_host(mixture, host, hosts, parts)
    steps = range(start_step, sys.maxsize if stop_step is None else stop_step)
    if workers and not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # `grain` reads its own flags when it starts workers
    cv2.setNumThreads(0)  # a crop is too small to share, and threads that wait for work burn time
    source = _Batches(_Job(mixture, tuple(sources), make_example, slots), steps)
    # A worker needs no thread of its own beside the process's buffer.
    threads, waiting = (0, 0) if workers else (1, prefetch)
    if workers:
        # Python 3.13 warns if the semaphores of earlier workers are freed while it notes new ones.
        gc.collect()
    return _iterate(
        grain.MapDataset.source(source)
        .to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=waiting))
        .mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=prefetch),
            worker_init_fn=_begin_worker,
        )
    )


def _iterate(dataset: grain.IterDataset[Batch]) -> Iterator[Batch]:
    """The dataset's elements; `grain`'s iterator, threads and workers end with this generator."""
    with closing(iter(dataset)) as iterator:
        try:
            yield from iterator
        except RuntimeError as error:
            error.add_note("Code -9: no memory left; -7: /dev/shm is full. Try fewer workers.")
            raise


def _begin_worker(worker: int, workers: int) -> None:
    """Settle a new worker process: its processors, and its end."""
    del worker, workers
    os.setpgrp()  # Ctrl-C reaches the main process only, which ends its workers
    cv2.setNumThreads(0)
    jax.config.update("jax_platforms", "cpu")
    threading.Thread(target=_end_with_main_process, daemon=True).start()


def _end_with_main_process() -> None:
    """End this worker when the main process is gone, even killed, which `grain` leaves undone."""
    main = multiprocessing.parent_process()
    assert main is not None
    main.join()
    os._exit(1)


def _host_batch(job: _Job, step: int) -> Batch:
    """The batch of one step: records are read, examples begun, then each made and put in place."""
    read = [_read(job, step, slot) for slot in job.slots]
    begun = [_begin(job, step, slot, *of) for slot, of in zip(job.slots, read, strict=True)]
    batch: Batch = {}
    for place, ((where, _, _), arrays) in enumerate(zip(read, begun, strict=True)):
        with _named(where):
            example = {k: np.asarray(v() if callable(v) else v) for k, v in arrays.items()}
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
                f"{where}: this example's arrays differ from the first one's in shape or dtype: "
                f"{', '.join(sorted(different))}; make all examples alike"
            )
        for name, value in example.items():
            batch[name][place] = value
    return batch


def _read(job: _Job, step: int, slot: int) -> tuple[str, int, Any]:
    """The record of a slot and its dataset, after the words that name them in errors."""
    dataset, _, index = mixtures.slot(job.mixture, step, slot)
    where = f"dataset {job.mixture.names[dataset]!r}, record {index}"
    with _named(where):
        record = job.sources[dataset][index]
    return f"{where} ({record.key})", dataset, record


def _begin(
    job: _Job, step: int, slot: int, where: str, dataset: int, record: Any
) -> Mapping[str, Any]:
    """One example, as arrays and functions that make them."""
    with _named(where):
        return job.make_example(record, dataset, (job.mixture.seed, step, slot))


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Let every failure name dataset, index and cause."""
    try:
        yield
    except sources_.UnreadableRecordError:
        raise  # says all this already
    except ValueError as error:
        raise ValueError(f"{where}: {messages.one_line(error)}") from error
    except Exception as error:
        unforeseen = ValueError(f"{where}: {type(error).__name__}: {messages.one_line(error)}")
        if multiprocessing.parent_process():  # the cause does not come along from a worker
            trace = "".join(traceback.format_exception(error))
            unforeseen.add_note(f"In the data worker:\n{trace}")
        raise unforeseen from error
