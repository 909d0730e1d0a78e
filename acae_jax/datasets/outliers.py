"""Training records with a bone that no body has are left out, when a dataset's units are all there.

The usual length of a bone is its mean over the whole training set, known only at the end. So each
unit's report holds sums and extremes of its bones, and only files whose extremes are implausible
are read again. The rule is the recipe's (`steps.plausible.MERGE`).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from acae_jax.data import crop_record
from acae_jax.datasets import record_files
from acae_jax.datasets.steps import plausible
from acae_jax.datasets.steps.plausible import Bones

LEFT_OUT = "implausible bones"


class Lengths:
    """Sums and extremes of the lengths of bones, over the poses of a unit."""

    def __init__(self, bones: Bones) -> None:
        self.bones = bones
        self.count = np.zeros(len(bones), int)
        self.sum_mm = np.zeros(len(bones))
        self.shortest_mm = np.full(len(bones), np.inf)
        self.longest_mm = np.zeros(len(bones))

    def note(self, joints_mm: Float[np.ndarray, "j 3"]) -> None:
        """Count a pose in."""
        lengths_mm = plausible.bone_lengths_mm(joints_mm.astype(np.float64), self.bones)
        is_known = np.isfinite(lengths_mm)
        self.count += is_known
        self.sum_mm += np.where(is_known, lengths_mm, 0)
        self.shortest_mm = np.fmin(self.shortest_mm, lengths_mm)
        self.longest_mm = np.fmax(self.longest_mm, lengths_mm)

    def summary(self) -> dict[str, list[Any]]:
        """All of it, for a JSON file; extremes are 0 where nothing was counted."""
        shortest_mm = np.where(self.count, self.shortest_mm, 0)
        return {
            "count": self.count.tolist(),
            "sum_mm": self.sum_mm.tolist(),
            "shortest_mm": shortest_mm.tolist(),
            "longest_mm": self.longest_mm.tolist(),
        }


class Kept(NamedTuple):
    """The places of a file's records that stay, and its reports without the others."""

    places: Sequence[int]
    is_all: bool
    reports: list[dict[str, Any]]


def mean_mm(reports: Iterable[dict[str, Any]], bone_count: int) -> Float[np.ndarray, " b"]:
    """The mean length of each bone over units; NaN for bones that none has."""
    count, total_mm = np.zeros(bone_count), np.zeros(bone_count)
    for report in reports:
        count += report["bones"]["count"]
        total_mm += report["bones"]["sum_mm"]
    return np.where(count, total_mm, np.nan) / np.maximum(count, 1)


def kept(
    path: Path, reports: Sequence[dict[str, Any]], bones: Bones, usual_mm: Float[np.ndarray, " b"]
) -> Kept:
    """What stays of the file with the records of some units; it is read only if it must be."""
    if not any(_may_be_implausible(report["bones"], usual_mm) for report in reports):
        return all_of(reports)
    total = sum(report["records"] for report in reports)
    records = record_files.parsed(record_files.read(path, range(total)), crop_record.SCHEMA)
    places: list[int] = []
    changed = []
    start = 0
    for report in reports:
        before, masks = len(places), 0
        for place in range(start, start + report["records"]):
            record = next(records)
            poses_mm = record.joints_mm.astype(np.float64)
            if not plausible.implausible_bones(poses_mm, bones, usual_mm).any():
                places.append(place)
                masks += len(record.mask_rle) > 0
        start += report["records"]
        changed.append(_without(report, len(places) - before, masks))
    return Kept(places, len(places) == total, changed)


def all_of(reports: Sequence[dict[str, Any]]) -> Kept:
    """The whole file of these units."""
    return Kept(range(sum(report["records"] for report in reports)), True, list(reports))


def _may_be_implausible(lengths: dict[str, list[Any]], usual_mm: Float[np.ndarray, " b"]) -> bool:
    """Whether the extremes are; bones that were never seen have none."""
    is_known = np.array(lengths["count"], int) > 0
    ends_mm = np.array([lengths["shortest_mm"], lengths["longest_mm"]])
    return bool((plausible.are_implausible(ends_mm, usual_mm) & is_known).any())


def _without(report: dict[str, Any], records: int, masks: int) -> dict[str, Any]:
    dropped = report["records"] - records
    left_out = {**report["left_out"], LEFT_OUT: dropped} if dropped else report["left_out"]
    return {**report, "records": records, "masks": masks, "left_out": left_out}
