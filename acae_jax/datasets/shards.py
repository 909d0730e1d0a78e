"""Official datasets built unit by unit: some units make a file, and the files make the dataset.

A unit's records are written to an ArrayRecord file, which gets its name only when it is complete,
with a report of what was left out beside it. So a build that was stopped continues, and several
machines can build into one folder, each its share of the files. Readers keep every file open, so a
dataset has at most FILES or so: if there are more units, the files of some of them become one as
soon as they are complete. Whoever finds all files complete gives them the names that TFDS expects,
and writes the description: then nothing is copied any more.

A dataset lies in <out>/<name>/<version>/ as those of `writer` do, with `report.json` about its
units. Before that its parts are in <out>/<name>/.building-<version>/.
"""

import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
import tqdm

from acae_jax.data import crop_record, sources
from acae_jax.datasets import frames_to_records, outliers, pool, record_files, release, writer
from acae_jax.datasets.frames_to_records import Networks
from acae_jax.datasets.release import Frame, Release, Unit
from acae_jax.files import plain_names

FILES = 200
TRAIN = "train"  # the split from which implausible examples are left out
PARTS = "parts"
RECORDS, REPORT = ".array_record", ".json"


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
    """Build a dataset, or the share (i, n) of its files: those with numbers i - 1, i - 1 + n, …

    What is there is kept. Returns the folder of the dataset, or None if files of other shares are
    missing. `workers` defaults to the number of cores; with workers=1, this process does the work.
    Raises ValueError if 3D labels miss the release's 2D labels, if there is no record at all, and
    if the folder holds another dataset; OSError if the disk is full or a worker was killed.
    Finished units stay.
    """
    sources.check_platform()
    plain_names.check_utf8(plan.out)
    number, count = share
    if not 1 <= number <= count:
        raise ValueError(f"--shard is {number}/{count}; it must be i/n with 1 ≤ i ≤ n")
    final = writer.folder(plan.out, plan.release.name, plan.release.version)
    if _is_there(plan, final):
        return final
    (_building(plan) / PARTS).mkdir(parents=True, exist_ok=True)
    mine = groups(plan.units)[number - 1 :: count]
    missing = [group for group in mine if not _path(plan, group, REPORT).exists()]
    total, left = (sum(map(len, some)) for some in (mine, missing))
    with tqdm.tqdm(
        total=total, initial=total - left, unit="unit", desc=plan.release.name, disable=not left
    ) as bar:
        records = left_out = 0
        for reports in _made(plan, missing, workers):
            sums = total_of(reports)
            records += sums["records"]
            left_out += sum(sums["left_out"].values())
            bar.set_postfix_str(f"{records} records, {left_out} left out")
            bar.update(len(reports))
    return finish(plan)


def groups(units: Sequence[Unit]) -> list[tuple[Unit, ...]]:
    """The units of each file, in their order: one each, or as many as it takes."""
    size = -(-len(units) // FILES)
    found = []
    for split in dict.fromkeys(unit.split for unit in units):
        members = [unit for unit in units if unit.split == split]
        found += [tuple(members[i : i + size]) for i in range(0, len(members), size)]
    return found


def _made(
    plan: Plan, missing: Sequence[tuple[Unit, ...]], workers: int | None
) -> Iterator[list[dict[str, Any]]]:
    if workers == 1:
        yield from (make_group(plan, group) for group in missing)
    else:
        yield from pool.run(make_group, [(plan, group) for group in missing], workers)


def make_group(plan: Plan, group: tuple[Unit, ...]) -> list[dict[str, Any]]:
    """Make the file of some units and the list of their reports; errors as of `build`."""
    paths = [_path(plan, (unit,), RECORDS) for unit in group]
    reports = []
    for unit, path in zip(group, paths, strict=True):
        report = path.with_suffix(REPORT)
        reports += _read_reports(report) if report.exists() else make_unit(plan, unit)
    if len(group) > 1:
        together = _path(plan, group, RECORDS)
        counts = [report["records"] for report in reports]
        parts = (record_files.read(p, range(n)) for p, n in zip(paths, counts, strict=True))
        record_files.write(together, (example for part in parts for example in part))
        record_files.write_text(together.with_suffix(REPORT), json.dumps(reports))
        for path in paths:
            path.unlink(missing_ok=True)
            path.with_suffix(REPORT).unlink(missing_ok=True)
    return reports


def make_unit(plan: Plan, unit: Unit) -> list[dict[str, Any]]:
    """Make the file of a unit and its report, the only one of a list."""
    path = _path(plan, (unit,), RECORDS)
    tally = frames_to_records.Tally(plan.release)
    frames = _until_stopped(plan.frames(unit))
    made = frames_to_records.records(
        plan.release, frames, plan.networks, tally, unit.split == TRAIN
    )
    try:
        record_files.write(path, record_files.serialised(made, crop_record.SCHEMA))
    except ValueError as error:
        raise ValueError(f"{plan.release.name}, {unit.name}: {error}") from error
    reports = [{"unit": unit.name, "split": unit.split, **tally.summary()}]
    record_files.write_text(path.with_suffix(REPORT), json.dumps(reports))
    return reports


def _until_stopped(frames: Iterator[Frame]) -> Iterator[Frame]:
    for frame in frames:
        if pool.is_stopped():
            raise Stopped
        yield frame


def finish(plan: Plan) -> Path | None:
    """Make the dataset of its units; None if some are missing. Can be repeated when stopped."""
    final = writer.folder(plan.out, plan.release.name, plan.release.version)
    building = _building(plan)
    files = groups(plan.units)
    if not all(_path(plan, group, REPORT).exists() for group in files):
        return None
    kept = _kept(plan, files)
    reports = [{**report} for part in kept for report in part.reports]
    for report in reports:
        del report["bones"]
    if not any(report["records"] for report in reports):
        reasons = [reason for report in reports for reason in report["broken"]]
        raise ValueError(
            f"{plan.release.name}: {len(reports)} units have no record at all"
            + (f"; the first that is broken: {reasons[0]}" if reasons else "")
        )
    try:
        facts = plan.release
        record_files.describe(
            building,
            facts.name,
            facts.version,
            _name_files(plan, building, files, kept),
            description=f"{facts.title} ({facts.url})",
            schema=crop_record.SCHEMA,
            metadata=_metadata(plan),
        )
        summary = json.dumps({"total": total_of(reports), "units": reports}, indent=1)
        (building / "report.json").write_text(summary, encoding="utf-8")
        building.rename(final)
    except FileNotFoundError:  # another machine has just done the same
        if not (final / "dataset_info.json").is_file():
            raise
    shutil.rmtree(final / PARTS, ignore_errors=True)
    if plan.release.content:
        for left_over in building.parent.glob(f".building-{plan.release.version}-*"):
            shutil.rmtree(left_over)  # of content that has changed since
    return final


def _kept(plan: Plan, files: Sequence[tuple[Unit, ...]]) -> list[outliers.Kept]:
    """What stays of each file: of training files, the records without implausible bones."""
    by_file = [_read_reports(_path(plan, group, REPORT)) for group in files]
    is_checked = [plan.release.drops_implausible and group[0].split == TRAIN for group in files]
    bones = release.bones(plan.release)
    checked = (r for reports, c in zip(by_file, is_checked, strict=True) if c for r in reports)
    usual_mm = outliers.mean_mm(checked, len(bones))
    return [
        outliers.kept(_path(plan, group, RECORDS), reports, bones, usual_mm)
        if is_one
        else outliers.all_of(reports)
        for group, reports, is_one in zip(files, by_file, is_checked, strict=True)
    ]


def _read_reports(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))


def total_of(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The sums of units' reports, and the largest reprojection error."""
    left_out: dict[str, int] = {}
    for report in reports:
        for reason, count in report["left_out"].items():
            left_out[reason] = left_out.get(reason, 0) + count
    sums = {name: sum(r[name] for r in reports) for name in ("frames", "records", "masks")}
    errors = [r["reprojection_error_px"] for r in reports if r["reprojection_error_px"] is not None]
    return {**sums, "left_out": left_out, "worst_reprojection_px": max(errors, default=None)}


def _name_files(
    plan: Plan,
    building: Path,
    files: Sequence[tuple[Unit, ...]],
    kept: Sequence[outliers.Kept],
) -> list[tfds.core.SplitInfo]:
    """Give files the names of a dataset's files; those without records are left behind.

    A file of which not all records stay is written anew, and left behind too.
    """
    name = plan.release.name
    splits = []
    for split in dict.fromkeys(group[0].split for group in files):
        stays = {
            _path(plan, group, RECORDS): part
            for group, part in zip(files, kept, strict=True)
            if group[0].split == split and part.places
        }
        size = 0
        for index, (path, part) in enumerate(stays.items()):
            named = (
                building / f"{name}-{split}.{record_files.FORMAT}-{index:05d}-of-{len(stays):05d}"
            )
            if not part.is_all:
                record_files.write(named, record_files.read(path, part.places))
            elif path.exists():
                path.rename(named)
            size += named.stat().st_size
        if stays:
            counts = [len(part.places) for part in stays.values()]
            splits.append(tfds.core.SplitInfo(split, counts, size))
    return splits


def _metadata(plan: Plan) -> dict[str, str | int]:
    """What the content depends on, and the names of the joints."""
    named = {plan.release.format: list(release.joint_names(plan.release))}
    units = json.dumps([[unit.name, unit.split] for unit in plan.units])
    return {
        "joint_names": json.dumps(named),
        "unit_count": len(plan.units),
        "units_crc32": zlib.crc32(units.encode()),
        **({"content": plan.release.content} if plan.release.content else {}),
    }


def _is_there(plan: Plan, final: Path) -> bool:
    """Whether the dataset is complete; ValueError if its place holds another one."""
    if not (final / "dataset_info.json").is_file():
        return False
    path = final / "metadata.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if before == _metadata(plan):
        return True
    count = before.get("unit_count", "unknown")
    if count == len(plan.units) and plan.release.content:
        raise ValueError(
            f"{final} holds a dataset of other labels or pictures: delete that folder, or raise "
            "'version' in the description"
        )
    raise ValueError(
        f"{final} holds a dataset of {count} units, not of these {len(plan.units)}: delete that "
        "folder, or choose another --out"
    )


def _building(plan: Plan) -> Path:
    name = "-".join(filter(None, (".building", plan.release.version, plan.release.content)))
    return plan.out / plan.release.name / name


def _path(plan: Plan, group: tuple[Unit, ...], suffix: str) -> Path:
    """The file of some units: readable, and another one for other units."""
    readable = re.sub(r"[^A-Za-z0-9-]+", "_", group[0].name)[-80:]
    crc = zlib.crc32("\n".join(f"{unit.split}/{unit.name}" for unit in group).encode())
    return _building(plan) / PARTS / f"{readable}-{crc:08x}{suffix}"


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
