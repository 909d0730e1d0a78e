"""A built dataset as arrays: its report, and what is numbers in an even sample of its records.

A sample is at most MOST records of each split, in runs of RUN records that follow one another, so
that there are several records of a person. Nothing else of a record is kept, and so a dataset of
millions takes no more memory than a small one. A record that cannot be read is named and left out.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tqdm
from jaxtyping import Bool, Float

from acae_jax import messages
from acae_jax.data import crop_record, sources
from acae_jax.data.crop_record import CropRecord
from acae_jax.data.sources import Records
from acae_jax.datasets import record_pictures, writer
from acae_jax.datasets import release as releases
from acae_jax.datasets.release import Release
from acae_jax.files import json_files

MOST, RUN = 20_000, 20
TILES = 24  # of the contact sheet
MOST_NAMED = 20  # records that cannot be read


class Dataset(NamedTuple):
    """A built dataset: the content of its report.json, and its records by split."""

    release: Release
    folder: Path
    report: dict[str, Any]
    splits: Mapping[str, Records]


class Sample(NamedTuple):
    """The numbers of some records.

    subjects    who it is, by name; people who only have numbers by clip and number
    joints_mm   in the world; NaN = not labelled; n × 0 × 3 for 2D datasets
    joints_px   in the stored crop; NaN = not labelled
    distances_m of the middle of the joints from the camera, along its axis; NaN for 2D datasets
    tiles       the records of the contact sheet
    unreadable  why some records could not be read, the first MOST_NAMED of `unreadable_count`
    """

    joint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    splits: tuple[str, ...]
    subjects: tuple[str, ...]
    cameras: tuple[str, ...]
    joints_mm: Float[np.ndarray, "n j 3"]
    joints_px: Float[np.ndarray, "n k 2"]
    distances_m: Float[np.ndarray, " n"]
    boxes: Float[np.ndarray, "n 4"]
    has_mask: Bool[np.ndarray, " n"]
    tiles: tuple[CropRecord, ...]
    unreadable: tuple[str, ...] = ()
    unreadable_count: int = 0


def open_dataset(facts: Release, out: Path) -> Dataset:
    """Open a built dataset; ValueError, in one line, if it is missing or damaged."""
    folder = writer.folder(out, facts.name, facts.version)
    if not (folder / "dataset_info.json").is_file():
        raise ValueError(
            f"{facts.name}: {folder} holds no finished dataset; "
            f"run: acae prepare {facts.name} --raw … --out {out}"
        )
    sources.check_platform()
    sources.allow_many_files()
    report = json_files.read_object(folder / "report.json")
    try:
        counts = {unit["split"]: 0 for unit in report["units"]}
        for unit in report["units"]:
            counts[unit["split"]] += unit["records"]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{facts.name}: {folder / 'report.json'} is no report of a build "
            f"({messages.one_line(error)}); delete {folder} and prepare the dataset again"
        ) from error
    splits = {
        split: sources.Source(facts.name, folder, split) for split, count in counts.items() if count
    }
    return Dataset(facts, folder, report, splits)


def chosen(count: int, most: int, run: int = 1) -> list[int]:
    """At most `most` indices below `count`: all, or evenly spread runs of `run` each."""
    if count <= most:
        return list(range(count))
    starts = np.linspace(0, count - run, most // run).round().astype(int)
    return [int(start) + i for start in starts for i in range(run)]


def look(dataset: Dataset, most: int = MOST, run: int = RUN) -> Sample:
    """The sample of a dataset, at most `most` records of each split.

    ValueError, in one line, if none of them can be read.
    """
    _, names, edges = releases.skeleton(dataset.release)
    unreadable: list[str] = []
    rows = []
    indices = {split: chosen(len(all_), most, run) for split, all_ in dataset.splits.items()}
    total = sum(map(len, indices.values()))
    with tqdm.tqdm(total=total, unit="record", desc=f"{dataset.release.name}: check") as bar:
        for split, records in dataset.splits.items():
            for index in indices[split]:
                try:
                    rows.append((split, *_numbers(records[index], len(names))))
                except ValueError as error:
                    unreadable.append(messages.one_line(error))
                bar.update()
    if not rows:
        raise ValueError(f"{dataset.release.name}: no record can be read; {unreadable[0]}")
    splits, people, clips, cameras, mm, px, depths, found_boxes, masks = zip(*rows, strict=True)
    return Sample(
        names,
        edges,
        splits,
        subjects_of(people, clips),
        cameras,
        np.stack(mm),
        np.stack(px),
        np.array(depths, np.float32) / 1000,
        np.stack(found_boxes),
        np.array(masks),
        _tiles(dataset.splits),
        tuple(unreadable[:MOST_NAMED]),
        len(unreadable),
    )


def subjects_of(people: Sequence[str], clips: Sequence[str]) -> tuple[str, ...]:
    """Who is who: a name holds in the whole dataset, a number within its clip only."""
    if all(person.isdecimal() or not person for person in people):
        return tuple(
            f"{clip}/{person}" if person else clip
            for person, clip in zip(people, clips, strict=True)
        )
    return tuple(people)


def _numbers(record: CropRecord, joint_count: int) -> tuple[Any, ...]:
    """What `look` keeps of a record; ValueError if it has other joints than its dataset."""
    points_px = record_pictures.joints_px(record)
    if len(points_px) != joint_count:
        raise ValueError(
            f"record {record.key!r} has {len(points_px)} joints, but {record.format} has "
            f"{joint_count}; prepare the dataset again"
        )
    depth_mm = np.float32(np.nan)
    depths_mm = crop_record.in_camera_mm(record)[:, 2]
    if np.isfinite(depths_mm).any():
        depth_mm = np.nanmedian(depths_mm)
    has_mask = len(record.mask_rle) > 1  # a single run is background
    return (
        *(record.person, record.clip, record.camera),
        *(record.joints_mm, points_px, depth_mm, record.box, has_mask),
    )


def _tiles(splits: Mapping[str, Records]) -> tuple[CropRecord, ...]:
    """TILES evenly spread records, as many of each split, or more where another has too few."""
    counts: dict[str, int] = {}
    for split, records in sorted(splits.items(), key=lambda item: len(item[1])):
        share = (TILES - sum(counts.values())) // (len(splits) - len(counts))
        counts[split] = min(share, len(records))
    found: list[CropRecord] = []
    for split, records in splits.items():
        for i in range(counts[split]):
            with contextlib.suppress(ValueError):  # unreadable ones are counted elsewhere
                found.append(records[int((i + 0.5) * len(records) / counts[split])])
    return tuple(found)
