"""Tables of labels in CSV, in two forms. Commas separate, and an empty cell is a missing value.

A row for each joint, with its place in 3D (x, y, z), in the image (u, v), or both:

    frame,person,joint,x,y,z,u,v
    0,anna,pelv,12.0,-40.5,4310.2,501.2,377.0

A row for each person:

    frame,person,pelv_x,pelv_y,pelv_z,pelv_u,pelv_v,box_x,box_y,box_w,box_h
    0,anna,12.0,-40.5,4310.2,501.2,377.0,412,90,210,540

`image`, with the name of a file, may stand in place of `frame`; `person` may be left out.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from acae_jax import messages
from acae_jax.datasets.own.label_files import labels
from acae_jax.datasets.own.label_files.labels import Labels, Moment, Row

AXES, AXES_PX, BOX = ("x", "y", "z"), ("u", "v"), ("box_x", "box_y", "box_w", "box_h")
Columns = tuple[int, ...]


def read(path: Path) -> Labels:
    """The labels in a table; ValueError, in one line with the line of the file, if it is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.reader(file, strict=True)
            header = [name.strip() for name in next(table, [])]
            index = {name: place for place, name in enumerate(header)}
            if len(index) < len(header):
                twice = next(name for name in header if header.count(name) > 1)
                raise ValueError(f"line 1 names the column '{twice}' twice; rename one")
            if ("frame" in index) == ("image" in index):
                raise ValueError(
                    "line 1 must name either a column 'frame' or 'image', separated by commas"
                )
            rows = _of_joints if "joint" in index else _of_people
            return labels.of_rows(rows(_lines(table, len(header)), index))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"it is no CSV in UTF-8: {messages.one_line(error)}") from None


def _lines(table: Iterator[list[str]], width: int) -> Iterator[tuple[str, list[str]]]:
    """Each row with its place in the file."""
    for number, cells in enumerate(table, 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != width:
            raise ValueError(f"line {number} has {len(cells)} cells, not {width} as the first line")
        yield f"line {number}", [cell.strip() for cell in cells]


def _of_joints(lines: Iterator[tuple[str, list[str]]], index: Mapping[str, int]) -> Iterator[Row]:
    """People of a table that has a row for each joint."""
    known = ("frame", "image", "person", "joint", *AXES, *AXES_PX)
    for name in index:
        if name not in known:
            hint = messages.near_misses(name, known)
            raise ValueError(f"line 1: unknown column '{name}'; {hint}")
    groups = [group for group in (AXES, AXES_PX) if any(axis in index for axis in group)]
    columns = {group: _complete(group, index, "") for group in groups}
    if not columns:
        raise ValueError("line 1 must name columns x, y, z (3D) or u, v (px)")
    people: dict[tuple[Moment, str], Row] = {}
    for where, cells in lines:
        who = _moment(cells, index, where), _person(cells, index)
        row = people.setdefault(who, Row(*who, {}, {}))
        joint = cells[index["joint"]]
        for group, places in columns.items():
            given = row.joints if group is AXES else row.joints_px
            point = _numbers([cells[place] for place in places], f"{where}, joint '{joint}'")
            if joint in given:
                raise ValueError(f"{where}: joint '{joint}' is there twice in this frame")
            if point is not None:
                given[joint] = point
    yield from people.values()


def _of_people(lines: Iterator[tuple[str, list[str]]], index: Mapping[str, int]) -> Iterator[Row]:
    """People of a table that has a row for each."""
    box = _complete(BOX, index, "") if any(name in index for name in BOX) else ()
    points: dict[str, Columns] = {}
    points_px: dict[str, Columns] = {}
    for name in index:
        if name in ("frame", "image", "person", *BOX):
            continue
        joint, _, axis = name.rpartition("_")
        if not joint or axis not in (*AXES, *AXES_PX):
            raise ValueError(
                f"line 1: unknown column '{name}'; columns are frame or image, person, "
                "JOINT_x JOINT_y JOINT_z (3D), JOINT_u JOINT_v (px), or joint with x y z u v"
            )
        if axis in AXES:
            points[joint] = _complete(AXES, index, f"{joint}_")
        else:
            points_px[joint] = _complete(AXES_PX, index, f"{joint}_")
    for where, cells in lines:
        yield Row(
            _moment(cells, index, where),
            _person(cells, index),
            _chosen(cells, points, where),
            _chosen(cells, points_px, where),
            _numbers([cells[place] for place in box], f"{where}, box"),
        )


def _complete(axes: Sequence[str], index: Mapping[str, int], before: str) -> Columns:
    """The columns of all axes; ValueError if one is missing."""
    names = [before + axis for axis in axes]
    if missing := [name for name in names if name not in index]:
        hint = " (places in the image are u and v)" if missing == [f"{before}z"] else ""
        raise ValueError(f"line 1 lacks the column '{missing[0]}' of {', '.join(names)}{hint}")
    return tuple(index[name] for name in names)


def _chosen(
    cells: Sequence[str], points: Mapping[str, Columns], where: str
) -> dict[str, Sequence[float]]:
    """The joints of a row that are not missing."""
    found = {
        joint: _numbers([cells[place] for place in places], f"{where}, joint '{joint}'")
        for joint, places in points.items()
    }
    return {joint: point for joint, point in found.items() if point is not None}


def _moment(cells: Sequence[str], index: Mapping[str, int], where: str) -> Moment:
    if "image" in index:
        if not cells[index["image"]]:
            raise ValueError(f"{where}: the cell of 'image' is empty")
        return cells[index["image"]]
    text = cells[index["frame"]]
    if not text.isdecimal():
        raise ValueError(f"{where}: frame {text!r} is no whole number from 0")
    return int(text)


def _person(cells: Sequence[str], index: Mapping[str, int]) -> str:
    return cells[index["person"]] if "person" in index else ""


def _numbers(texts: Sequence[str], where: str) -> tuple[float, ...] | None:
    """The numbers of cells, or None if all are missing; ValueError for all else."""
    is_missing = [text == "" or text.lower() in ("nan", "null", "none") for text in texts]
    if all(is_missing):
        return None
    try:
        values = tuple(map(float, texts))
    except ValueError:
        values = (math.nan,)
    if not all(map(math.isfinite, values)):
        raise ValueError(
            f"{where}: {', '.join(texts)!r} must be {len(texts)} numbers, or all empty if missing"
        )
    return values
