"""Builds the embedded datasets in parallel, with the same bits for any number of workers.

A dataset is made in chunks of whole takes. A worker writes a chunk beside the dataset, under a
temporary name that it then changes, so a chunk is complete or absent. When all chunks are there,
they become one TFDS dataset and are removed. A stopped build continues from its chunks.
"""

import concurrent.futures
import concurrent.futures.process
import contextlib
import errno
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow_datasets as tfds
import tqdm

from acae_jax import cores, messages
from acae_jax.data import crop_record
from acae_jax.datasets import writer
from acae_jax.datasets.synthetic import scenes, studios, takes
from acae_jax.files import paths
from acae_jax.skeletons import catalogue

VERSION = "1.1.0"
_TAKES_PER_CHUNK = 5
_BYTES_PER_RECORD = 2 * 11_000  # as a chunk and in the dataset
_SHAPES = {"intrinsics": (3, 3), "rotation": (3, 3), "joints_mm": (-1, 3), "joints_px": (-1, 2)}


class _Chunk(NamedTuple):
    """What a worker is told: which records, and where they go."""

    path: str
    studio: str
    seed: int
    start: int
    stop: int


def names() -> tuple[str, ...]:
    """Names of the embedded datasets."""
    return tuple(studios.STUDIOS)


def split(name: str) -> str:
    """The one split that a dataset has."""
    return "test" if studios.STUDIOS[name].format == studios.EVERY else "train"


def folder(out: str | Path, name: str) -> Path:
    """Where a built dataset lies, for tfds.builder_from_directory."""
    return writer.folder(out, name, VERSION)


def build(
    out: str | Path,
    *,
    size: str = "quick",
    seed: int = 0,
    workers: int | None = None,
    datasets: Sequence[str] | None = None,
) -> list[Path]:
    """Builds the embedded datasets (all by default) into a folder; returns theirs.

    Finished datasets stay as they are, unfinished ones are continued. Raises ValueError for an
    unknown dataset or size, and if the folder holds another version, size or seed of a dataset;
    OSError if the disk is full.
    """
    out = paths.local(out)
    selection = _choose(datasets)
    counts = {studio.name: studios.count(studio, size) for studio in selection}
    missing = [s for s in selection if not _is_finished(out, s.name, counts[s.name], seed)]
    todo = {s.name: _chunks(out, s, counts[s.name], seed) for s in missing}
    _check_space(out, todo)
    waiting = {name: {c.path for c in chunks} for name, chunks in todo.items()}
    work = [c for chunks in todo.values() for c in chunks if not Path(c.path).exists()]
    done = sum(c.stop - c.start for chunks in todo.values() for c in chunks) - sum(
        c.stop - c.start for c in work
    )
    total = sum(counts[name] for name in todo)
    with tqdm.tqdm(total=total, initial=done, unit="images", disable=not total) as bar:
        for name in todo:
            waiting[name] -= {p for p in waiting[name] if Path(p).exists()}
            if not waiting[name]:
                _assemble(out, name, todo[name], size, seed)
        for chunk in _run(work, workers):
            bar.set_description(chunk.studio)
            bar.update(chunk.stop - chunk.start)
            waiting[chunk.studio].discard(chunk.path)
            if not waiting[chunk.studio]:
                _assemble(out, chunk.studio, todo[chunk.studio], size, seed)
    return [folder(out, studio.name) for studio in selection]


def _choose(datasets: Sequence[str] | None) -> list[studios.Studio]:
    if not datasets:
        return list(studios.STUDIOS.values())
    for name in datasets:
        if name not in studios.STUDIOS:
            hint = messages.near_misses(name, names())
            raise ValueError(f"no embedded dataset '{name}'; {hint}")
    return [studios.STUDIOS[name] for name in dict.fromkeys(datasets)]


def _is_finished(out: Path, name: str, count: int, seed: int) -> bool:
    """Whether exactly this dataset is there; ValueError if something else is in its place."""
    for other in sorted((out / name).glob("[0-9]*.[0-9]*.[0-9]*")):
        if other.name != VERSION and "incomplete" not in other.name:
            raise ValueError(
                f"{out / name} holds version {other.name}, but this code makes {VERSION}; "
                "choose another --out or delete that folder"
            )
    place = folder(out, name)
    if not (place / "dataset_info.json").exists():
        return False
    info = tfds.builder_from_directory(place).info
    built = info.splits[split(name)].num_examples, (info.metadata or {}).get("seed")
    if built != (count, seed):
        raise ValueError(
            f"{place} holds {built[0]} records of seed {built[1]}, not {count} of seed {seed}; "
            "choose another --out or delete that folder"
        )
    return True


def _chunks(out: Path, studio: studios.Studio, count: int, seed: int) -> list[_Chunk]:
    step = takes.FRAMES * _TAKES_PER_CHUNK
    # The folder's name has no number of records: a larger dataset can use a smaller one's chunks.
    place = _partial(out, studio.name, seed)
    chunks = []
    for start in range(0, count, step):
        stop = min(start + step, count)
        path = place / f"{start:06d}-{stop:06d}.npz"
        chunks.append(_Chunk(str(path), studio.name, seed, start, stop))
    return chunks


def _partial(out: Path, name: str, seed: int) -> Path:
    return out / name / f".partial-{VERSION}-{seed}"


def _check_space(out: Path, todo: dict[str, list[_Chunk]]) -> None:
    """Raises OSError before any work if the disk cannot hold the result."""
    needed = _BYTES_PER_RECORD * sum(chunks[-1].stop for chunks in todo.values())
    place = next(p for p in (out, *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free on the disk of {out}",
        )


def _run(work: list[_Chunk], workers: int | None) -> Iterator[_Chunk]:
    """Makes chunks in worker processes and yields them as they finish."""
    if not work:
        return
    count = min(workers or cores.allowed(), len(work))
    if count < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    # Linear algebra stays on one thread, which is faster here and gives the same bits everywhere.
    settings = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    with _environment(**settings, JAX_PLATFORMS="cpu"):
        executor = concurrent.futures.ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), initializer=_start_worker
        )
        try:
            futures = [executor.submit(_make_chunk, chunk) for chunk in work]
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise OSError(
                errno.ENOMEM,
                "a worker was killed, perhaps for memory; run again with fewer --workers "
                "(finished parts are kept)",
            ) from error
        finally:
            # Chunks take about a second: those under way are finished and kept.
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops its workers
    cv2.setNumThreads(0)


def _make_chunk(chunk: _Chunk) -> _Chunk:
    """Makes and stores the records of a chunk: a pure function of its description."""
    studio = studios.STUDIOS[chunk.studio]
    chunk_records = []
    for number in range(chunk.start // takes.FRAMES, -(-chunk.stop // takes.FRAMES)):
        take = takes.make(studio, chunk.seed, number)
        first = number * takes.FRAMES
        last = min(first + takes.FRAMES, chunk.stop)
        chunk_records += [
            scenes.make(studio, chunk.seed, take, index) for index in range(first, last)
        ]
    _save(Path(chunk.path), chunk_records)
    return chunk


def _save(path: Path, chunk_records: Sequence[crop_record.CropRecord]) -> None:
    """Stores records as flat arrays and their sizes, atomically."""
    arrays = {}
    for field in crop_record.CropRecord._fields:
        values = [getattr(record, field) for record in chunk_records]
        if isinstance(values[0], str | int):
            arrays[field] = np.array(values)
            continue
        flat = [np.frombuffer(v, np.uint8) if isinstance(v, bytes) else v.ravel() for v in values]
        arrays[field] = np.concatenate(flat)
        arrays[f"{field}/sizes"] = np.array([len(v) for v in flat])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _load(path: Path) -> Iterator[crop_record.CropRecord]:
    with np.load(path, allow_pickle=False) as arrays:
        columns = {}
        for field in crop_record.CropRecord._fields:
            column = arrays[field]
            if f"{field}/sizes" in arrays:
                parts = np.split(column, np.cumsum(arrays[f"{field}/sizes"])[:-1])
                column = [part.reshape(_SHAPES.get(field, -1)) for part in parts]
                if field == "image":
                    column = [part.tobytes() for part in column]
            else:
                column = column.tolist()
            columns[field] = column
    for values in zip(*columns.values(), strict=True):
        yield crop_record.CropRecord(**dict(zip(columns, values, strict=True)))


def _assemble(out: Path, name: str, chunks: Sequence[_Chunk], size: str, seed: int) -> None:
    """Turns a dataset's complete chunks into the dataset and removes them."""
    studio = studios.STUDIOS[name]

    def stored() -> Iterator[crop_record.CropRecord]:
        for chunk in chunks:
            yield from _load(Path(chunk.path))

    writer.write(
        out,
        name,
        VERSION,
        {split(name): stored},
        description=f"Embedded synthetic people, labelled as {studio.format}.",
        joint_names={
            name: catalogue.load(name).joint_names
            for name in crop_record.formats(scenes.label_format(studio))
        },
        metadata={"seed": seed, "size": size, "format": studio.format, "side_px": scenes.SIDE_PX},
    )
    shutil.rmtree(_partial(out, name, seed))
