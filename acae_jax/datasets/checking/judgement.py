"""What a reader should think of a dataset's numbers: one sentence for each that is unusual.

The limits are wide: what real datasets show is no warning. They find wrong units, joints, sides,
cameras and boxes, and releases that are not complete.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from acae_jax.datasets.checking.measures import Measures
from acae_jax.datasets.release import Release

LARGEST_COUNT_OFF = 0.1  # of the published number
LARGEST_LEFT_OUT = 0.1  # of the people
HEIGHTS_M = (0.8, 2.3)
UNITS = {"metres": 1e-3, "decimetres": 1e-2, "inches": 1 / 25.4, "centimetres": 1e-1}
LEAST_BONE_MM = 100.0  # shorter ones vary much in proportion
LARGEST_SPREAD = 0.3  # of a bone's length within a subject
LARGEST_ASYMMETRY = 0.05
LEAST_IN_BOX = 0.75
LEAST_MASKS = 0.5
LARGEST_ERROR_PX = 1.0  # of reprojection; a build stops at 2
MOST_NAMED = 5


def warnings(
    facts: Release, report: dict[str, Any], found: Measures, unreadable_count: int
) -> tuple[str, ...]:
    """The sentences about one dataset, the most important first."""
    return (
        *_of_size(found),
        *_of_bones(found),
        *_of_pictures(facts, found),
        *_of_report(facts, report),
        *_of_records(report, unreadable_count),
    )


def _of_size(found: Measures) -> Iterator[str]:
    if found.height_m is None:
        return
    height, (low, high) = found.height_m.middle, HEIGHTS_M
    if low <= height <= high:
        return
    units = [name for name, mm in UNITS.items() if low <= height / mm <= high]
    guess = f"; the labels seem to be in {units[0]}, not in millimetres" if units else ""
    yield f"people are {height:.3g} m tall: units are wrong{guess}"


def _of_bones(found: Measures) -> Iterator[str]:
    is_long = found.bones.spread_mm[1] >= LEAST_BONE_MM
    varied = _worst(found, np.where(is_long, found.within, np.nan), LARGEST_SPREAD, "")
    if varied:
        yield (
            f"lengths of bones vary by more than {LARGEST_SPREAD:.0%} within a subject: {varied}; "
            "joints may be confused, or people taken for one"
        )
    off = np.where(is_long, found.bones.left_right - 1, np.nan)
    uneven = _worst(found, off, LARGEST_ASYMMETRY, "+")
    if uneven:
        yield (
            f"left bones differ from right ones by more than {LARGEST_ASYMMETRY:.0%}: {uneven}; "
            "joints may be confused"
        )
    if found.knees_forward is not None and found.knees_forward < 0.5:
        yield (
            f"only {found.knees_forward:.0%} of the bent knees are bent forwards: left and right "
            "joints may be confused, or the world is mirrored"
        )


def _worst(found: Measures, values: Float[np.ndarray, " b"], limit: float, sign: str) -> str:
    """The bones whose values are further from 0 than a limit, the worst first."""
    sizes = np.nan_to_num(np.abs(values))
    numbers = [int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] > limit]
    named = [f"{found.bone_names[i]} {values[i]:{sign}.0%}" for i in numbers[:MOST_NAMED]]
    more = len(numbers) - len(named)
    return ", ".join([*named, f"{more} more"] if more else named)


def _of_pictures(facts: Release, found: Measures) -> Iterator[str]:
    if found.upright is not None and found.upright < 0.5:
        yield (
            f"the head is above the feet in only {found.upright:.0%} of the crops: cameras may be "
            "wrong, or which way is up"
        )
    if found.in_box < LEAST_IN_BOX:
        yield (
            f"only {found.in_box:.0%} of the labelled joints are in their box: boxes, cameras and "
            "frames may not belong together"
        )
    never = [name for name, share in found.labelled.items() if share == 0]
    if never:
        yield f"joints that are never labelled: {', '.join(never)}"
    if found.masks < LEAST_MASKS and (facts.finds_masks or found.masks > 0):
        yield f"only {found.masks:.0%} of the records have a mask"


def _of_report(facts: Release, report: dict[str, Any]) -> Iterator[str]:
    if facts.published is not None:
        expected, splits = facts.published
        records = sum(unit["records"] for unit in report["units"] if unit["split"] in splits)
        off = records / expected - 1
        if abs(off) > LARGEST_COUNT_OFF:
            yield (
                f"{records:,} records of {' and '.join(splits)} are {abs(off):.0%} "
                f"{'more' if off > 0 else 'fewer'} than the {expected:,} that are published"
            )
    records = report["total"]["records"]
    left_out = report["total"]["left_out"]
    count = sum(left_out.values())
    if count > LARGEST_LEFT_OUT * (records + count):
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in left_out.items())
        yield f"{count / (records + count):.0%} of what was there is left out: {reasons}"


def _of_records(report: dict[str, Any], unreadable_count: int) -> Iterator[str]:
    if unreadable_count:
        yield f"{unreadable_count:,} records cannot be read: prepare the dataset again"
    empty = [unit["unit"] for unit in report["units"] if not unit["records"]]
    if empty:
        named = ", ".join(empty[:MOST_NAMED])
        more = f" and {len(empty) - MOST_NAMED:,} more" if len(empty) > MOST_NAMED else ""
        yield f"{len(empty):,} of {len(report['units']):,} units have no record: {named}{more}"
    error_px, unit = max(
        (unit["reprojection_error_px"] or 0.0, unit["unit"]) for unit in report["units"]
    )
    if error_px > LARGEST_ERROR_PX:
        yield f"3D labels miss the release's 2D labels by {error_px:.2f} px in {unit}"
