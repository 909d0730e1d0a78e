"""The page of all datasets that were checked, and the same table for a terminal.

Each dataset's check leaves its row in check.json beside its page, so that datasets can be checked
one by one, and on several machines.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from acae_jax.datasets.checking import measures, page
from acae_jax.datasets.checking.looked_at import Dataset
from acae_jax.datasets.checking.measures import Measures
from acae_jax.files import json_files
from acae_jax.pages import tables

ROW, PAGE = "check.json", "check.html"
FIELDS = (
    "name", "version", "records", "published", "left_out", "masks", "joints_in_box", "height_m",
    "bones_vary", "left_right", "worst_reprojection_px", "warnings",
)  # fmt: skip
HEAD = (
    "dataset", "records", "published", "left out", "masks", "joints in box", "height",
    "bones vary", "left/right", "2D off", "warnings",
)  # fmt: skip


def row(dataset: Dataset, found: Measures, warnings: Sequence[str]) -> dict[str, Any]:
    """The content of check.json: a dataset's numbers, None where the labels do not tell them."""
    total, published = dataset.report["total"], dataset.release.published
    return {
        "name": dataset.release.name,
        "version": dataset.release.version,
        "records": total["records"],
        "published": None if published is None else published.records,
        "left_out": sum(total["left_out"].values()),
        "masks": found.masks,
        "joints_in_box": _known(found.in_box),
        "height_m": None if found.height_m is None else found.height_m.middle,
        "bones_vary": _known(measures.typical(found.within)),
        "left_right": _known(measures.asymmetry(found.bones)),
        "worst_reprojection_px": total["worst_reprojection_px"],
        "warnings": list(warnings),
    }


def read_rows(out: Path) -> list[dict[str, Any]]:
    """The rows of all datasets in a folder that were checked, by name and version.

    ValueError, in one line, for a file with other numbers.
    """
    rows = {path: json_files.read_object(path) for path in sorted(out.glob(f"*/*/{ROW}"))}
    for path, one in rows.items():
        if missing := [field for field in FIELDS if field not in one]:
            raise ValueError(f"{path} has no {missing[0]}; delete it and check that dataset again")
    return list(rows.values())


def text(rows: Sequence[dict[str, Any]]) -> str:
    """The table for a terminal, with the warnings below it."""
    table = tables.text(HEAD, [cells(one) for one in rows])
    below = [f"{one['name']}: {warning}" for one in rows for warning in one["warnings"]]
    return "\n".join([table, *below])


def html(rows: Sequence[dict[str, Any]]) -> str:
    """The whole page."""
    shown = []
    for one in rows:
        link = f"{one['name']}/{one['version']}/{PAGE}"
        _, *others = cells(one)
        first = f'<a href="{escape(link)}">{escape(one["name"])} {escape(one["version"])}</a>'
        shown.append(f"<tr><td>{first}</td>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>")
    head = [title[:1].upper() + title[1:] for title in HEAD]
    told = "".join(
        f"<h3>{escape(one['name'])}</h3>{page.listed(one['warnings'])}"
        for one in rows
        if one["warnings"]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Datasets</title><style>{page.style()}body {{ max-width: 84rem; }}</style></head>"
        f"<body><h1>Datasets</h1><p>{EXPLAINED}</p>{tables.html(head, shown)}"
        f"<h2>Warnings</h2>{told or '<p>None.</p>'}</body></html>\n"
    )


EXPLAINED = (
    "Published: how many records PosePile's public code makes of the splits that a dataset's page "
    "names, before it leaves out implausible poses. Height: of people, from the lengths of their "
    "limbs. Bones vary: the spread (5 – 95 %) of a bone's length within a person. Left/right: how "
    "far left bones differ from right ones. 2D off: the largest median distance of 3D labels from "
    "the release's 2D labels, of the units."
)


def cells(one: dict[str, Any]) -> list[str]:
    """A dataset's row in words."""
    published, height, error_px = one["published"], one["height_m"], one["worst_reprojection_px"]
    return [
        one["name"],
        f"{one['records']:,}",
        "–" if published is None else f"{published:,}",
        f"{one['left_out']:,}",
        page.percent(one["masks"]),
        page.percent(one["joints_in_box"]),
        "–" if height is None else f"{height:.3g} m",
        page.percent(one["bones_vary"]),
        page.percent(one["left_right"]),
        "–" if error_px is None else f"{error_px:.2f} px",
        str(len(one["warnings"])),
    ]


def _known(value: float) -> float | None:
    return None if value != value else value
