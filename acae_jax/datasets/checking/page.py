"""The page of one dataset: one HTML file that needs no other."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from string import Template

import numpy as np

from acae_jax.datasets.checking import figures, measures, tiles
from acae_jax.datasets.checking.looked_at import Dataset, Sample
from acae_jax.datasets.checking.measures import LEAST_RECORDS, Measures, Spread
from acae_jax.pages import charts, tables

MOST_ROWS = 30  # of subjects, cameras, broken frames
HEIGHTS = 8  # subjects, from which on a chart of heights tells more than the table


def html(dataset: Dataset, sample: Sample, found: Measures, warnings: Sequence[str]) -> str:
    """The whole page."""
    facts = dataset.release
    template = resources.files("acae_jax.datasets.checking").joinpath("page.html")
    sections = [
        _pictures(sample),
        _bones(found),
        _people(found),
        _labels(found),
        _counts(dataset, sample, found),
        _left_out(dataset, sample),
    ]
    return Template(template.read_text(encoding="utf-8")).substitute(
        style=style(),
        name=escape(facts.name),
        version=facts.version,
        title=f"{escape(facts.title)} <small>{escape(facts.name)} {facts.version}</small>",
        headline=_headline(dataset, warnings),
        warnings=listed(warnings, "warnings"),
        tiles=_tiles(dataset, found),
        basis=_basis(dataset, sample),
        sections="".join(sections),
    )


def style() -> str:
    """The style sheet of all pages."""
    return resources.files("acae_jax.pages").joinpath("style.css").read_text(encoding="utf-8")


def listed(texts: Iterable[str], kind: str = "") -> str:
    """Texts as a list; nothing without any."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def percent(share: float | None) -> str:
    """A share in words."""
    if share is None or not np.isfinite(share):
        return "–"
    return f"{100 * share:.1f} %".replace(".0 %", " %")


def _headline(dataset: Dataset, warnings: Sequence[str]) -> str:
    records = dataset.report["total"]["records"]
    what = "nothing unusual" if not warnings else "warning" if len(warnings) == 1 else "warnings"
    count = f"{len(warnings)} " if warnings else ""
    return f"{records:,} records; {count}{what}."


def _tiles(dataset: Dataset, found: Measures) -> str:
    """The most important numbers, in large type."""
    total, facts = dataset.report["total"], dataset.release
    published = "no number is published"
    if facts.published is not None:
        expected, splits = facts.published
        published = f"published are {expected:,} of {' and '.join(splits)}"
    error_px = total["worst_reprojection_px"]
    shown = {
        f"records; {published}": f"{total['records']:,}",
        "left out": f"{sum(total['left_out'].values()):,}",
        "of the records have a mask": percent(found.masks),
        "of the labelled joints are in the box": percent(found.in_box),
        "of the heads are above the feet": percent(found.upright),
        "3D labels miss the release's 2D labels by, worst unit": (
            "–" if error_px is None else f"{error_px:.2f} px"
        ),
    }
    if found.bone_names:
        shown |= {
            "median height of people, from their limbs": _metres(found.height_m),
            "a bone's length varies within a subject": percent(measures.typical(found.within)),
            "left bones differ from right ones": percent(measures.asymmetry(found.bones)),
            "of the bent knees are bent forwards": percent(found.knees_forward),
        }
    return "".join(f"<div><b>{value}</b>{escape(text)}</div>" for text, value in shown.items())


def _basis(dataset: Dataset, sample: Sample) -> str:
    records, seen = dataset.report["total"]["records"], len(sample.splits)
    which = f"all {seen:,} records"
    if seen + sample.unreadable_count < records:
        which = f"{seen:,} of the {records:,} records, evenly spread over each split"
    return (
        f"Measured are {which}. The numbers of records and of what was left out are those of the "
        "whole build. A published number is that of PosePile's public code, before it leaves out "
        "implausible poses."
    )


def _pictures(sample: Sample) -> str:
    return (
        "<h2>Pictures</h2><p>Records that are evenly spread over each split. Left joints and bones "
        "are blue, right ones orange, the others white. The box is yellow, the outline of the mask "
        f"green.</p>{tiles.html(sample.tiles, sample.joint_names, sample.edges)}"
    )


def _bones(found: Measures) -> str:
    if not found.bone_names:
        return ""
    low, middle, high = found.bones.spread_mm
    rows = [
        _row(
            name,
            [
                _number(middle[i]),
                "–" if np.isnan(low[i]) else f"{low[i]:.0f} – {high[i]:.0f}",
                percent(float(found.within[i])),
                _signed(found.bones.left_right[i] - 1),
            ],
        )
        for i, name in enumerate(found.bone_names)
    ]
    head = ["Bone", "Median, mm", "5 – 95 %, mm", "Varies within a subject", "Left against right"]
    shown = found.subjects[: figures.SHOWN]
    key = "".join(
        f'<li><i style="background:{colour}"></i>{escape(subject.name)}</li>'
        for subject, colour in zip(shown, charts.PALETTE, strict=False)
    )
    return (
        "<h2>Bones</h2><p>The bones of one person keep their lengths, and left ones are as long as "
        "right ones. In motion capture with a fitted skeleton they vary by a few percent, where "
        "keypoints of several cameras were triangulated by up to 20&nbsp;%, and between markers by "
        "more. Lines are ranges from the 5th to the 95th percentile, the grey ones of all records, "
        f'the coloured ones of the {len(shown)} people with most records.</p><ul class="key">{key}'
        f'</ul><div class="cards wide">{charts.html(figures.bones(found), "")}</div>'
        + tables.html(head, rows)
    )


def _people(found: Measures) -> str:
    """A row for each subject, or for those with most records."""
    if not found.bone_names:
        return ""
    if not found.subjects:
        return (
            f"<h2>People</h2><p>There are {found.subject_count:,} people, none of whom has "
            f"{LEAST_RECORDS} records among those that were looked at.</p>"
        )
    rows = [
        _row(
            one.name,
            [
                f"{one.records:,}",
                _number(one.height_m, 2),
                percent(measures.typical(measures.relative(one.bones))),
                percent(measures.asymmetry(one.bones)),
            ],
        )
        for one in found.subjects[:MOST_ROWS]
    ]
    head = ["Person", "Records", "Height, m", "Bones vary", "Left against right"]
    left = found.subject_count - len(rows)
    chart = ""
    if len(found.subjects) >= HEIGHTS:
        chart = charts.html(figures.heights(found), "Heights, from the lengths of limbs")
        chart = f'<div class="cards half">{chart}</div>'
    return (
        f"<h2>People</h2><p>{found.subject_count:,} people; where the release only numbers people, "
        "each clip has its own. "
        + (f"Not in the table are {left:,} with fewer records. " if left else "")
        + "For each, the medians of all bones.</p>"
        + tables.html(head, rows)
        + chart
    )


def _labels(found: Measures) -> str:
    missing = {name: share for name, share in found.labelled.items() if share < 1}
    title = f"<h2>Labels</h2><p>{len(found.labelled)} joints, "
    if not missing:
        return f"{title}each of them labelled in every record.</p>"
    rows = [
        f'<tr><td>{escape(name)}</td><td class="bar" style="--share:{100 * share:.1f}%">'
        f"{percent(share)}</td></tr>"
        for name, share in sorted(missing.items(), key=lambda item: item[1])
    ]
    others = len(found.labelled) - len(missing)
    text = f"{others} of them labelled in every record, the others in a share of the records.</p>"
    return title + text + tables.html(["Joint", "Labelled"], rows)


def _counts(dataset: Dataset, sample: Sample, found: Measures) -> str:
    """Records by split and by camera, and people's sizes."""
    splits = [_row(name, [f"{len(records):,}"]) for name, records in dataset.splits.items()]
    cameras = [
        _row(name or "not named", [f"{count:,}"])
        for name, count in list(found.cameras.items())[:MOST_ROWS]
    ]
    sizes = [_row("Height of the box, px", _spread(found.person_px, 0))]
    if found.distance_m is not None:
        sizes.append(_row("Distance from the camera, m", _spread(found.distance_m, 2)))
    if found.height_m is not None:
        sizes.append(_row("Height of people, m", _spread(found.height_m, 2)))
    more = len(found.cameras) - len(cameras)
    return (
        "<h2>Splits, sizes, cameras</h2>"
        + tables.html(["Split", "Records"], splits)
        + "<h3>Sizes</h3>"
        + tables.html(["", "5 %", "Median", "95 %"], sizes)
        + f"<h3>Cameras</h3><p>{len(found.cameras):,} in {len(sample.cameras):,} records"
        + (f"; {more:,} with fewer records are not in the table" if more else "")
        + ".</p>"
        + tables.html(["Camera", "Records looked at"], cameras)
    )


def _left_out(dataset: Dataset, sample: Sample) -> str:
    total, units = dataset.report["total"], dataset.report["units"]
    rows = [_row(reason, [f"{count:,}"]) for reason, count in total["left_out"].items()]
    broken = [text for unit in units for text in unit["broken"]]
    named = [*broken[:MOST_ROWS], *sample.unreadable]
    more = f"<p>and {len(broken) - MOST_ROWS:,} more</p>" if len(broken) > MOST_ROWS else ""
    text = f"{total['frames']:,} frames of {len(units):,} units became {total['records']:,} records"
    return (
        f"<h2>What was left out</h2><p>{text}.</p>"
        + (tables.html(["Reason", "Count"], rows) if rows else "<p>Nothing was left out.</p>")
        + (f"<h3>Broken</h3>{listed(named)}{more}" if named else "")
    )


def _row(name: str, cells: Iterable[str]) -> str:
    return f"<tr><td>{escape(name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _spread(values: Spread, digits: int) -> list[str]:
    return [_number(value, digits) for value in values]


def _number(value: float, digits: int = 0) -> str:
    return "–" if np.isnan(value) else f"{value:.{digits}f}"


def _signed(share: float) -> str:
    if np.isnan(share):
        return "–"
    return f"{100 * share:+.1f} %".replace("-0.0", "0.0").replace("+0.0", "0.0").replace("-", "−")


def _metres(values: Spread | None) -> str:
    return "–" if values is None else f"{values.middle:.3g} m"
