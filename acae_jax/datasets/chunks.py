"""Datasets built in chunks by several processes, with the same records for any number of them.

The records of a dataset are cut into chunks. A worker process makes the records of a chunk and
writes them to a file, which gets its final name only when it is complete. When all chunks of a
dataset are there, the dataset is written from them, and they are deleted. So a build that was
stopped continues from its chunks.
"""

import concurrent.futures
import concurrent.futures.process
import contextlib
import errno
import multiprocessing
import os
import pickle
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tqdm

from acae_jax import cores, worker_processes
from acae_jax.data import crop_record, schema
from acae_jax.data.schema import Schema


class Plan(NamedTuple):
    """A dataset to build.

    make        (start, stop) → the records with these numbers: a pure function, which the workers
                can unpickle
    write       (function that returns a fresh iterator of all records) → writes the dataset
    folder      for the chunks; its name must say on what the records depend, such as version and
                seed. It is deleted at the end.
    """

    name: str
    count: int  # of records
    chunk_size: int
    folder: Path
    make: Callable[[int, int], Sequence[Any]]
    write: Callable[[Callable[[], Iterator[Any]]], object]
    schema: Schema = crop_record.SCHEMA


class Chunk(NamedTuple):
    """The records from `start` to `stop` of a dataset, and their file."""

    dataset: str
    start: int
    stop: int
    path: Path


def build(plans: Sequence[Plan], workers: int | None = None) -> None:
    """Build these datasets; `workers` defaults to the number of cores.

    Chunks that are there already are used. Raises OSError if a worker was killed or the disk is
    full; the finished chunks are kept.
    """
    chunks = {plan.name: chunks_of(plan) for plan in plans}
    missing = [c for parts in chunks.values() for c in parts if not c.path.exists()]
    waiting = {name: {c.path for c in missing if c.dataset == name} for name in chunks}
    by_name = {plan.name: plan for plan in plans}
    total = sum(plan.count for plan in plans)
    done = total - sum(chunk.stop - chunk.start for chunk in missing)
    with tqdm.tqdm(total=total, initial=done, unit="records", disable=not total) as bar:
        for plan in plans:
            if not waiting[plan.name]:
                _finish(plan, chunks[plan.name])
        for chunk in _run(by_name, missing, workers):
            bar.set_description(chunk.dataset)
            bar.update(chunk.stop - chunk.start)
            waiting[chunk.dataset].discard(chunk.path)
            if not waiting[chunk.dataset]:
                _finish(by_name[chunk.dataset], chunks[chunk.dataset])


def chunks_of(plan: Plan) -> list[Chunk]:
    """The chunks of a dataset.

    Their names do not depend on the number of records, so a larger dataset can use the chunks of a
    smaller one.
    """
    chunks = []
    for start in range(0, plan.count, plan.chunk_size):
        stop = min(start + plan.chunk_size, plan.count)
        chunks.append(Chunk(plan.name, start, stop, plan.folder / f"{start:06d}-{stop:06d}.npz"))
    return chunks


def check_space(out: Path, needed_bytes: int) -> None:
    """Raise OSError if the disk of a folder, which need not exist yet, lacks this much space."""
    place = next(p for p in (out, *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < needed_bytes:
        raise OSError(
            errno.ENOSPC,
            f"{needed_bytes / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free on the disk of {out}",
        )


def save(path: Path, records: Sequence[Any], record_schema: Schema) -> None:
    """Write records to a file: for each field the values of all records, one behind the other.

    The file is complete or absent.
    """
    arrays = {}
    for name, field in record_schema.fields.items():
        values = [getattr(record, name) for record in records]
        if field.kind in (schema.TEXT, schema.NUMBER):
            arrays[name] = np.array(values)
            continue
        if field.kind == schema.JPEG:
            values = [np.frombuffer(value, np.uint8) for value in values]
        arrays[name] = np.concatenate([value.ravel() for value in values])
        arrays[f"{name}/shapes"] = np.array([value.shape for value in values], np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path, record_schema: Schema) -> Iterator[Any]:
    """Read the records of such a file."""
    with np.load(path, allow_pickle=False) as arrays:
        columns = {}
        for name, field in record_schema.fields.items():
            if field.kind in (schema.TEXT, schema.NUMBER):
                columns[name] = arrays[name].tolist()
                continue
            shapes = arrays[f"{name}/shapes"]
            ends = np.cumsum(shapes.prod(axis=1))
            values = [
                flat.reshape(shape)
                for flat, shape in zip(np.split(arrays[name], ends[:-1]), shapes, strict=True)
            ]
            columns[name] = [v.tobytes() for v in values] if field.kind == schema.JPEG else values
    for values in zip(*columns.values(), strict=True):
        yield record_schema.record(**dict(zip(columns, values, strict=True)))


def _finish(plan: Plan, chunks: Iterable[Chunk]) -> None:
    """Write a dataset from its chunks, and delete them."""

    def records() -> Iterator[Any]:
        for chunk in chunks:
            yield from load(chunk.path, plan.schema)

    plan.write(records)
    shutil.rmtree(plan.folder)


def _run(plans: dict[str, Plan], missing: Sequence[Chunk], workers: int | None) -> Iterator[Chunk]:
    """Make chunks in worker processes, and yield each when it is finished."""
    if not missing:
        return
    count = min(cores.allowed() if workers is None else workers, len(missing))
    if count < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    # What cannot be pickled must fail here: later, the executor would wait for ever.
    pickle.dumps([(plans[chunk.dataset].make, plans[chunk.dataset].schema) for chunk in missing])
    # Linear algebra on one thread is faster here, and gives the same bits everywhere.
    settings = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    with _environment(**settings, JAX_PLATFORMS="cpu"):
        executor = concurrent.futures.ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), initializer=_start_worker
        )
        try:
            futures = []
            for chunk in missing:
                plan = plans[chunk.dataset]
                futures.append(executor.submit(_make, chunk, plan.make, plan.schema))
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise OSError(
                errno.ENOMEM,
                "a worker was killed, perhaps because memory ran out; run again with fewer "
                "--workers (finished parts are kept)",
            ) from error
        finally:
            # Workers complete the chunks that they have begun, so that these are kept.
            executor.shutdown(wait=True, cancel_futures=True)


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


def _start_worker() -> None:
    worker_processes.end_with_main_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process stops its workers
    cv2.setNumThreads(0)


def _make(chunk: Chunk, make: Callable[[int, int], Sequence[Any]], record_schema: Schema) -> Chunk:
    """Make the records of a chunk, and write them to its file."""
    save(chunk.path, make(chunk.start, chunk.stop), record_schema)
    return chunk
