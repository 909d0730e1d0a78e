"""Builds the embedded datasets in parallel, with the same bits for any number of workers.

A chunk holds whole takes; `datasets.chunks` makes the chunks and continues builds that were
stopped.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import tensorflow_datasets as tfds

from acae_jax import messages
from acae_jax.data import crop_record
from acae_jax.data.crop_record import CropRecord
from acae_jax.datasets import chunks, writer
from acae_jax.datasets.synthetic import scenes, studios, takes
from acae_jax.files import paths
from acae_jax.skeletons import catalogue

VERSION = "1.1.0"
_TAKES_PER_CHUNK = 5
_BYTES_PER_PX = 2 * 0.53  # of a record, in its chunk and in the dataset


def names() -> tuple[str, ...]:
    """The names of the embedded datasets."""
    return tuple(studios.STUDIOS)


def split(name: str) -> str:
    """The only split of a dataset."""
    return "test" if studios.STUDIOS[name].format == studios.EVERY else "train"


def folder(out: str | Path, name: str) -> Path:
    """The folder of a built dataset, for tfds.builder_from_directory."""
    return writer.folder(out, name, VERSION)


def build(
    out: str | Path,
    *,
    size: str = "quick",
    seed: int = 0,
    person_px: int = scenes.PERSON_PX,
    workers: int | None = None,
    datasets: Sequence[str] | None = None,
) -> list[Path]:
    """Build the embedded datasets (all by default) in a folder; returns their folders.

    `person_px` is the longer side of the people's boxes. Finished datasets stay as they are;
    unfinished ones are continued. Raises ValueError for an unknown dataset or size, for people of
    another size than 32 to 512 px, and if the folder holds a dataset of another version, size, seed
    or size of people; OSError if the disk is full or a worker was killed.
    """
    if not 32 <= person_px <= 512:
        raise ValueError(f"people of {person_px} px: they can be 32 to 512 px high")
    out = paths.local(out)
    selection = _choose(datasets)
    counts = {studio.name: studios.count(studio, size) for studio in selection}
    side_px = scenes.side_px(person_px)
    missing = [s for s in selection if not _is_finished(out, s.name, counts[s.name], seed, side_px)]
    plans = [
        chunks.Plan(
            name=studio.name,
            count=counts[studio.name],
            chunk_size=takes.FRAMES * _TAKES_PER_CHUNK,
            folder=out / studio.name / f".chunks-{VERSION}-{seed}-{side_px}",
            make=partial(_make, studio.name, seed, person_px),
            write=partial(_write, out, studio, size, seed, side_px),
        )
        for studio in missing
    ]
    bytes_per_record = round(_BYTES_PER_PX * side_px**2)
    chunks.check_space(out, bytes_per_record * sum(plan.count for plan in plans))
    chunks.build(plans, workers)
    return [folder(out, studio.name) for studio in selection]


def _choose(datasets: Sequence[str] | None) -> list[studios.Studio]:
    if not datasets:
        return list(studios.STUDIOS.values())
    for name in datasets:
        if name not in studios.STUDIOS:
            hint = messages.near_misses(name, names())
            raise ValueError(f"no embedded dataset '{name}'; {hint}")
    return [studios.STUDIOS[name] for name in dict.fromkeys(datasets)]


def _is_finished(out: Path, name: str, count: int, seed: int, side_px: int) -> bool:
    """Whether exactly this dataset is there; ValueError if its place holds something else."""
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
    facts = info.metadata or {}
    built = info.splits[split(name)].num_examples, facts.get("seed"), facts.get("side_px")
    if built != (count, seed, side_px):
        raise ValueError(
            f"{place} holds {built[0]} records of seed {built[1]} in crops of {built[2]} px, not "
            f"{count} of seed {seed} in {side_px} px; choose another --out or delete that folder"
        )
    return True


def _make(name: str, seed: int, person_px: int, start: int, stop: int) -> list[CropRecord]:
    """The records of a dataset from `start`, at which a take begins, to `stop`."""
    studio = studios.STUDIOS[name]
    records = []
    for number in range(start // takes.FRAMES, -(-stop // takes.FRAMES)):
        take = takes.make(studio, seed, number)
        first = number * takes.FRAMES
        last = min(first + takes.FRAMES, stop)
        records += [
            scenes.make(studio, seed, take, index, person_px) for index in range(first, last)
        ]
    return records


def _write(
    out: Path,
    studio: studios.Studio,
    size: str,
    seed: int,
    side_px: int,
    records: Callable[[], Iterator[CropRecord]],
) -> None:
    """Write the dataset of a studio."""
    writer.write(
        out,
        studio.name,
        VERSION,
        {split(studio.name): records},
        description=f"Embedded synthetic people, labelled as {studio.format}.",
        joint_names={
            name: catalogue.load(name).joint_names
            for name in crop_record.formats(scenes.label_format(studio))
        },
        metadata={"seed": seed, "size": size, "format": studio.format, "side_px": side_px},
    )
