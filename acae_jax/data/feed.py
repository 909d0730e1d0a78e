"""The batches of one host, step by step: read the records of the slots, make examples, stack them.

A batch is a pure function of its step. For `grain`, element i of the source is the finished batch
of step start + i. So quotas are exact, any step can be reached at once, each host reads only its
own slots, and the number of workers does not change a bit of the data. A run is resumed by its
step, never from a state of `grain`'s iterator, because that depends on the number of workers.

Batches are made ahead of time: by one thread if there are no workers, else by worker processes,
which pass the arrays in shared memory (/dev/shm). At most `prefetch` finished batches wait in the
thread, or 2 `prefetch` + 2 for each worker.

Workers compute on the CPU, with one thread of OpenCV each. Ctrl-C does not reach them; they end
when the main process ends. Each imports the main module again, so a script that uses workers needs
the guard `if __name__ == "__main__":`.
"""

import gc
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import cv2
import grain
import jax
import numpy as np
from absl import flags

from acae_jax import messages, worker_processes
from acae_jax.data import mixture as mixtures
from acae_jax.data import sources as sources_
from acae_jax.data.mixture import Mixture
from acae_jax.data.sources import Records

Batch = dict[str, np.ndarray]
MakeExample = Callable[[Any, int, tuple[int, int, int]], Mapping[str, Any]]
"""(record, dataset index, (seed, step, slot)) → the arrays of one example.

In place of an array there may be a function without arguments that makes it. It is called after
`MakeExample` was called for all examples of the batch (`examples` says why). Records may have any
schema with a `key`."""


class _Job(NamedTuple):
    """Everything that the batches depend on."""

    mixture: Mixture
    sources: tuple[Records, ...]
    make_example: MakeExample
    slots: tuple[int, ...]


class _Batches:
    """The batches of successive steps as a random-access source for `grain`."""

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
    """Iterate over this host's share of the batches of steps start_step, start_step + 1, …

    The first axis of every array is the host's slots: its share of the first of `parts` parts of
    the batch, then of the second, and so on. With `workers`, the sources and `make_example` are
    pickled. Closing the iterator ends the workers.

    Raises ValueError at once for arguments that do not fit each other. While iterating, raises
    ValueError for a record that gives no example, naming dataset, index and cause; RuntimeError if
    a worker dies.
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
    cv2.setNumThreads(0)  # a crop is too small for several threads, and waiting threads cost time
    source = _Batches(_Job(mixture, tuple(sources), make_example, slots), steps)
    # Workers have their own buffer and need no thread beside it.
    threads, waiting = (0, 0) if workers else (1, prefetch)
    if workers:
        # Python 3.13 warns if semaphores of earlier workers are freed while it registers new ones.
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
    """The dataset's elements; closing this generator ends `grain`'s threads and workers."""
    with closing(iter(dataset)) as iterator:
        try:
            yield from iterator
        except RuntimeError as error:
            error.add_note(
                "Code -9 means that memory ran out, -7 that /dev/shm is full: try fewer workers."
            )
            raise


def _begin_worker(worker: int, workers: int) -> None:
    """Prepare a new worker process: its devices, its threads and when it ends."""
    del worker, workers
    os.setpgrp()  # Ctrl-C reaches the main process only, which ends its workers
    cv2.setNumThreads(0)
    jax.config.update("jax_platforms", "cpu")
    worker_processes.end_with_main_process()


def _host_batch(job: _Job, step: int) -> Batch:
    """The batch of one step: read all records, prepare all examples, then finish each of them."""
    records = [_read(job, step, slot) for slot in job.slots]
    examples = [_prepare(job, step, slot, *r) for slot, r in zip(job.slots, records, strict=True)]
    batch: Batch = {}
    for place, ((where, _, _), arrays) in enumerate(zip(records, examples, strict=True)):
        with _named(where):
            example = {k: np.asarray(v() if callable(v) else v) for k, v in arrays.items()}
        if place == 0:
            batch = {
                name: np.empty((len(job.slots), *value.shape), value.dtype)
                for name, value in example.items()
            }
        types = {name: (value.shape, value.dtype) for name, value in example.items()}
        first = {name: (value.shape[1:], value.dtype) for name, value in batch.items()}
        if types != first:
            different = {name for name in types | first if types.get(name) != first.get(name)}
            raise ValueError(
                f"{where}: this example's arrays differ from the first one's in shape or dtype: "
                f"{', '.join(sorted(different))}; make all examples alike"
            )
        for name, value in example.items():
            batch[name][place] = value
    return batch


def _read(job: _Job, step: int, slot: int) -> tuple[str, int, Any]:
    """The words that name a slot's record in errors, the index of its dataset, and the record."""
    dataset, _, index = mixtures.slot(job.mixture, step, slot)
    where = f"dataset {job.mixture.names[dataset]!r}, record {index}"
    with _named(where):
        record = job.sources[dataset][index]
    return f"{where} ({record.key})", dataset, record


def _prepare(
    job: _Job, step: int, slot: int, where: str, dataset: int, record: Any
) -> Mapping[str, Any]:
    """One example: its arrays, or functions that make them."""
    with _named(where):
        return job.make_example(record, dataset, (job.mixture.seed, step, slot))


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Turn every failure into a ValueError that names dataset, index and cause."""
    try:
        yield
    except sources_.UnreadableRecordError:
        raise  # it names them already
    except ValueError as error:
        raise ValueError(f"{where}: {messages.one_line(error)}") from error
    except Exception as error:
        unforeseen = ValueError(f"{where}: {type(error).__name__}: {messages.one_line(error)}")
        if multiprocessing.parent_process():  # in a worker: `__cause__` would be lost on the way
            trace = "".join(traceback.format_exception(error))
            unforeseen.add_note(f"In the data worker:\n{trace}")
        raise unforeseen from error
