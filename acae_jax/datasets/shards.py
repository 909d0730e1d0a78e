"""Official datasets built unit by unit: every unit is a file, and the files together the dataset.

A unit's records are written to an ArrayRecord file, which gets its name only when it is complete,
with a report of what was left out beside it. So a build that was stopped continues, and several
machines can build into one folder, each its share of the units. Whoever finds all units complete
gives the files the names that TFDS expects, and writes the description: nothing is copied.

A dataset lies in <out>/<name>/<version>/ as those of `writer` do, with `report.json` about its
units. Before that its parts are in <out>/<name>/.building-<version>/.
"""

import errno
import json
import os
import re
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
import tqdm
from tensorflow_datasets.core import dataset_info, example_serializer
from tensorflow_datasets.core import splits as tfds_splits

from acae_jax.data import crop_record, schema, sources
from acae_jax.datasets import frames_to_records, pool, release, writer
from acae_jax.datasets.frames_to_records import Networks
from acae_jax.datasets.release import Frame, Release, Unit
from acae_jax.files import plain_names

UNITS = "units"
RECORDS, REPORT = ".array_record", ".json"
FORMAT = "array_record"


class Plan(NamedTuple):
    """A dataset to build.

    frames      (unit) → its frames: a function that worker processes can unpickle
    networks    detector and person masks, likewise
    """

    release: Release
    units: tuple[Unit, ...]
    frames: Callable[[Unit], Iterator[Frame]]
    out: Path
    networks: Networks = Networks()


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The result of this worker is wanted no more."""


def build(plan: Plan, workers: int | None = None, share: tuple[int, int] = (1, 1)) -> Path | None:
    """Build a dataset, or the share (i, n) of its units: those with numbers i - 1, i - 1 + n, …

    Units that are there are kept. Returns the folder of the dataset, or None if units of other
    shares are missing. `workers` defaults to the number of cores; one unit at a time is made in
    this process for workers=1. Raises ValueError if 3D labels miss the release's 2D labels, if
    there is no record at all, and if the folder holds another dataset; OSError if the disk is full
    or a worker was killed. Finished units stay.
    """
    sources.check_platform()
    plain_names.check_utf8(plan.out)
    number, count = share
    if not 1 <= number <= count:
        raise ValueError(f"--shard is {number}/{count}; it must be i/n with 1 ≤ i ≤ n")
    final = writer.folder(plan.out, plan.release.name, plan.release.version)
    if _is_there(plan, final):
        return final
    (_building(plan) / UNITS).mkdir(parents=True, exist_ok=True)
    mine = plan.units[number - 1 :: count]
    missing = [unit for unit in mine if not _path(plan, unit, REPORT).exists()]
    with tqdm.tqdm(
        total=len(mine), initial=len(mine) - len(missing), unit="unit", desc=plan.release.name
    ) as bar:
        records = left_out = 0
        for report in _made(plan, missing, workers):
            records += report["records"]
            left_out += sum(report["left_out"].values())
            bar.set_postfix_str(f"{records} records, {left_out} left out")
            bar.update()
    return finish(plan)


def _made(plan: Plan, missing: Sequence[Unit], workers: int | None) -> Iterator[dict[str, Any]]:
    if workers == 1:
        yield from (make_unit(plan, unit) for unit in missing)
    else:
        yield from pool.run(make_unit, [(plan, unit) for unit in missing], workers)


def make_unit(plan: Plan, unit: Unit) -> dict[str, Any]:
    """Make a unit's file and its report, and return this; errors as of `build`."""
    features = schema.features(crop_record.SCHEMA)
    serializer = example_serializer.ExampleSerializer(
        features.get_serialized_info()  # pyright: ignore - its type is recursive
    )
    path = _path(plan, unit, RECORDS)
    temporary = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")
    tally = frames_to_records.Tally()
    frames = _until_stopped(plan.frames(unit))
    made = frames_to_records.records(plan.release, frames, plan.networks, tally)
    try:
        _write(temporary, _serialised(made, features, serializer))
        report = {"unit": unit.name, "split": unit.split, **tally.summary()}
        temporary.replace(path)
        temporary.write_text(json.dumps(report), encoding="utf-8")
        temporary.replace(_path(plan, unit, REPORT))
    except ValueError as error:
        raise ValueError(f"{plan.release.name}, {unit.name}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return report


def _until_stopped(frames: Iterator[Frame]) -> Iterator[Frame]:
    for frame in frames:
        if pool.is_stopped():
            raise Stopped
        yield frame


def _serialised(made, features, serializer) -> Iterator[bytes]:
    for record in made:
        values = schema.to_dict(crop_record.SCHEMA, record)
        example = serializer.get_tf_example(features.encode_example(values))
        # A protocol buffer's map has an order of its own in every process.
        yield example.SerializeToString(deterministic=True)


def _write(path: Path, examples: Iterator[bytes]) -> None:
    # Imported late: there is no array_record on Windows.
    from array_record.python import array_record_module  # pyright: ignore

    try:
        file = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
        try:
            for example in examples:
                file.write(example)
        finally:
            file.close()
    except RuntimeError as error:  # the type of all errors of ArrayRecord
        if "No space left" not in str(error):
            raise
        raise OSError(errno.ENOSPC, f"no space left in {path.parent}") from error


def finish(plan: Plan) -> Path | None:
    """Make the dataset of its units; None if some are missing. Can be repeated when stopped."""
    final = writer.folder(plan.out, plan.release.name, plan.release.version)
    building = _building(plan)
    paths = [_path(plan, unit, REPORT) for unit in plan.units]
    if not all(path.exists() for path in paths):
        return None
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    if not any(report["records"] for report in reports):
        reasons = [reason for report in reports for reason in report["broken"]]
        raise ValueError(
            f"{plan.release.name}: {len(reports)} units have no record at all"
            + (f"; the first that is broken: {reasons[0]}" if reasons else "")
        )
    try:
        _describe(plan, building, _name_files(plan, building, reports))
        summary = json.dumps({"total": total(reports), "units": reports}, indent=1)
        (building / "report.json").write_text(summary, encoding="utf-8")
        building.rename(final)
    except FileNotFoundError:  # another machine has just done the same
        if not (final / "dataset_info.json").is_file():
            raise
    shutil.rmtree(final / UNITS, ignore_errors=True)
    return final


def total(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The sums of units' reports, and the largest reprojection error."""
    left_out: dict[str, int] = {}
    for report in reports:
        for reason, count in report["left_out"].items():
            left_out[reason] = left_out.get(reason, 0) + count
    sums = {name: sum(r[name] for r in reports) for name in ("frames", "records", "masks")}
    errors = [r["reprojection_error_px"] for r in reports if r["reprojection_error_px"] is not None]
    return {**sums, "left_out": left_out, "worst_reprojection_px": max(errors, default=None)}


def _name_files(
    plan: Plan, building: Path, reports: Sequence[dict[str, Any]]
) -> list[tfds.core.SplitInfo]:
    """Give units' files the names of a dataset's files; those without records are left behind."""
    name = plan.release.name
    splits = []
    for split in dict.fromkeys(unit.split for unit in plan.units):
        shards = [
            (_path(plan, unit, RECORDS), report["records"])
            for unit, report in zip(plan.units, reports, strict=True)
            if unit.split == split and report["records"]
        ]
        size = 0
        for index, (path, _) in enumerate(shards):
            named = building / f"{name}-{split}.{FORMAT}-{index:05d}-of-{len(shards):05d}"
            if path.exists():
                path.rename(named)
            size += named.stat().st_size
        if shards:
            splits.append(tfds.core.SplitInfo(split, [count for _, count in shards], size))
    return splits


def _describe(plan: Plan, building: Path, splits: list[tfds.core.SplitInfo]) -> None:
    """Write TFDS's description of a dataset."""
    facts = plan.release
    identity = dataset_info.DatasetIdentity(
        name=facts.name,
        version=tfds.core.Version(facts.version),
        data_dir=str(building),
        module_name="",
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        description=f"{facts.title} ({facts.url})",
        features=schema.features(crop_record.SCHEMA),
        metadata=tfds.core.MetadataDict(_metadata(plan)),
    )
    info.set_file_format(FORMAT)
    info.set_splits(tfds_splits.SplitDict(splits))
    info.write_to_directory(building)


def _metadata(plan: Plan) -> dict[str, str | int]:
    """What the content depends on, and the names of the joints."""
    named = {plan.release.format: list(release.joint_names(plan.release))}
    units = json.dumps([[unit.name, unit.split] for unit in plan.units])
    return {
        "joint_names": json.dumps(named),
        "unit_count": len(plan.units),
        "units_crc32": zlib.crc32(units.encode()),
    }


def _is_there(plan: Plan, final: Path) -> bool:
    """Whether the dataset is complete; ValueError if its place holds another one."""
    if not (final / "dataset_info.json").is_file():
        return False
    path = final / "metadata.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if before == _metadata(plan):
        return True
    raise ValueError(
        f"{final} holds a dataset of {before.get('unit_count', 'unknown')} units, not of these "
        f"{len(plan.units)}: delete that folder, or choose another --out"
    )


def _building(plan: Plan) -> Path:
    return plan.out / plan.release.name / f".building-{plan.release.version}"


def _path(plan: Plan, unit: Unit, suffix: str) -> Path:
    """A unit's file: readable, and distinct for distinct names."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", unit.name)[-80:]
    crc = zlib.crc32(f"{unit.split}/{unit.name}".encode())
    return _building(plan) / UNITS / f"{readable}-{crc:08x}{suffix}"


def told(folder: Path) -> str:
    """A dataset's report in one line."""
    sums = json.loads((folder / "report.json").read_text(encoding="utf-8"))["total"]
    left_out = ", ".join(f"{count} {reason}" for reason, count in sums["left_out"].items())
    error_px = sums["worst_reprojection_px"]
    parts = [
        f"{sums['records']} records of {sums['frames']} frames",
        f"left out: {left_out or 'nothing'}",
        "no 2D labels to check" if error_px is None else f"reprojection ≤ {error_px:.2f} px",
    ]
    return f"{folder}: {'; '.join(parts)}"
