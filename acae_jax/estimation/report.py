"""The report of a finished workflow: report.html for people, report.json for programs, a table for the terminal."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template

from acae_jax.estimation import latent_pictures, outcome, pictures
from acae_jax.estimation.outcome import BASELINE, MEAN, PROPOSED, Run

# Metric, its heading, and whether its values are drawn as bars.
COLUMNS = {
    "mpjpe_mm": "MPJPE, mm",
    "pa_mpjpe_mm": "PA-MPJPE, mm",
    "pck150": "PCK@150, %",
    "auc150": "AUC@150, %",
    "disagreement_depth_mm": "Disagreement in depth, mm",
    "disagreement_plane_mm": "Disagreement in the image plane, mm",
}
BARS = ("mpjpe_mm", "disagreement_depth_mm", "disagreement_plane_mm")
# Rows of a log that are drawn; a page needs no more.
CURVE_ROWS = 400


def write(run: Run, folder: Path) -> None:
    """Write report.html (self-contained) and report.json (the same numbers) into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps(figures(run), indent=1)
    (folder / "report.json").write_text(f"{numbers}\n", encoding="utf-8")
    (folder / "report.html").write_text(page(run), encoding="utf-8")


def figures(run: Run) -> dict:
    """The content of report.json: for each variant its metrics averaged over formats, and those of each format."""
    variants = {}
    for name, scored in run.scores.items():
        per_format = {key: dict(found) for key, found in scored.items() if key != MEAN}
        variants[name] = {**scored[MEAN], "per_format": per_format}
    return {
        "seconds": run.seconds,
        "mean_pose_mpjpe_mm": run.mean_pose_mpjpe_mm,
        "variants": variants,
    }


def summary(run: Run) -> str:
    """A plain-text table of the variants, and the headline under it."""
    heads = ["variant", *(heading.replace(", ", " ") for heading in COLUMNS.values())]
    heads = [head.replace("Disagreement in ", "").replace("the ", "") for head in heads]
    heads[-2:] = ["Δ depth mm", "Δ plane mm"]
    rows = [heads]
    for name, scored in run.scores.items():
        rows.append([name, *(_number(scored[MEAN].get(metric)) for metric in COLUMNS)])
    rows.append(["mean pose", _number(run.mean_pose_mpjpe_mm), *[""] * (len(COLUMNS) - 1)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    note = (
        "Averages over formats; Δ: disagreement between formats, in depth and in the image plane."
    )
    return "\n".join([*lines, "", note, headline(run)])


def headline(run: Run) -> str:
    """The result in one sentence, whichever way it went."""
    last = outcome.compared(run)[-1]
    error = run.scores[last][MEAN]["mpjpe_mm"]
    share = 100.0 * error / run.mean_pose_mpjpe_mm
    against = (
        f"{error:.1f} mm, {share:.0f} % of what always predicting the mean pose gives "
        f"({run.mean_pose_mpjpe_mm:.1f} mm)"
    )
    if last != PROPOSED or BASELINE not in run.predictions_mm:
        return f"{pictures.title(last)}: joint error (MPJPE, averaged over formats) {against}."
    depth = [run.scores[name][MEAN]["disagreement_depth_mm"] for name in (BASELINE, PROPOSED)]
    return (
        f"Regularisation {_moved(outcome.change_percent(run, 'disagreement_depth_mm'))} the formats' "
        f"disagreement in depth ({depth[0]:.1f} → {depth[1]:.1f} mm) and "
        f"{_moved(outcome.change_percent(run, 'mpjpe_mm'))} the joint error (MPJPE) to {against}."
    )


def _moved(percent: float) -> str:
    return f"{'raised' if percent > 0 else 'lowered'} by {abs(percent):.1f} %".replace(
        "lowered by 0.0 %", "did not change"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def page(run: Run) -> str:
    """The whole of report.html."""
    sections = [
        _head(run),
        _variants(run),
        _formats(run),
        _examples(run),
        _curves(run),
        _autoencoder(run),
        _relations(run),
    ]
    template = resources.files("acae_jax.estimation").joinpath("report.html")
    return Template(template.read_text(encoding="utf-8")).substitute(
        title="One network, every skeleton format",
        columns=1 + len(outcome.compared(run)),
        body="\n".join(sections),
    )


def _head(run: Run) -> str:
    last = outcome.compared(run)[-1]
    mean = run.scores[last][MEAN]
    tiles = [
        (f"{mean['mpjpe_mm']:.1f} mm", f"joint error (MPJPE), {pictures.title(last).lower()}"),
        (f"{run.mean_pose_mpjpe_mm:.1f} mm", "joint error of always predicting the mean pose"),
    ]
    if last == PROPOSED and BASELINE in run.predictions_mm:
        for metric, text in (
            ("disagreement_depth_mm", "disagreement in depth"),
            ("mpjpe_mm", "joint error"),
        ):
            change = f"{outcome.change_percent(run, metric):+.1f} %".replace("-", "−")
            tiles.append((change, f"{text}, regularised against separate heads"))
    tiles.append((f"{run.seconds / 60:.1f} min", "for the whole workflow"))
    shown = "".join(f"<div><b>{value}</b>{text}</div>" for value, text in tiles)
    return (
        "<h1>One network, every skeleton format</h1>"
        f'<p class="lead">{html.escape(headline(run))}</p><div class="tiles">{shown}</div>'
        f"<p>The network saw training sets that each label only their own format. It was tested on "
        f"{len(run.images)} images of unseen people, labelled in all {len(run.union.members)} formats "
        f"({len(run.union.joint_names)} joints).</p>"
    )


def _table(head: Sequence[str], rows: Iterable[str]) -> str:
    cells = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    return f'<div class="scroll"><table><tr>{cells}</tr>{"".join(rows)}</table></div>'


def _cell(value: float | None, largest: float | None = None) -> str:
    """A number; with a bar behind it if the column's largest value is given."""
    if value is None or not largest:
        return f"<td>{_number(value)}</td>"
    return f'<td class="bar" style="--share:{100 * value / largest:.1f}%">{value:.1f}</td>'


def _variants(run: Run) -> str:
    means = {name: scored[MEAN] for name, scored in run.scores.items()}
    largest = {m: max((mean.get(m, 0.0) for mean in means.values()), default=0.0) for m in BARS}
    rows = []
    for name, mean in means.items():
        cells = "".join(_cell(mean.get(metric), largest.get(metric)) for metric in COLUMNS)
        chosen = ' class="chosen"' if name == PROPOSED else ""
        rows.append(f"<tr{chosen}><td>{html.escape(pictures.title(name))}</td>{cells}</tr>")
    return (
        "<h2>The variants</h2>"
        "<p>Averages over formats. MPJPE: mean distance of joints after the roots are brought together; "
        "PA: after the best similarity alignment; PCK, AUC: share of joints within 150 mm, and its mean over "
        "all thresholds up to that. Disagreement: how wrong the offset is between neighbouring joints "
        "(within 60 mm) of two formats, 0 if the formats fit together. Separate heads were "
        "fine-tuned for as many steps as the others.</p>"
        + _table(["Variant", *COLUMNS.values()], rows)
    )


def _formats(run: Run) -> str:
    rows = []
    for name, indices in run.union.members.items():
        cells = "".join(_cell(scored[name]["mpjpe_mm"]) for scored in run.scores.values())
        rows.append(f"<tr><td>{html.escape(name)}</td><td>{len(indices)}</td>{cells}</tr>")
    head = ["Format", "Joints", *(pictures.title(name) for name in run.scores)]
    return f"<h2>Format by format</h2><p>MPJPE in mm.</p>{_table(head, rows)}"


def _figure(drawn: str, caption: str) -> str:
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"


def _examples(run: Run) -> str:
    keys = "".join(
        f'<li><i style="background:{colour}"></i>{html.escape(name)}</li>'
        for name, colour in pictures.format_colours(run.union).items()
    )
    parts = [
        "<h2>What the network sees</h2>"
        "<p>Every format has a colour; <b>left</b> is solid, <b>right</b> dashed, the centre dotted. "
        "On the image the formats nearly coincide whichever way they were trained. From the side "
        "(the camera stands at the left) one sees the depth, where separate heads drift apart; grey dots are "
        "the true joints. The third row puts it in numbers: for each point of the body, how far off in depth each "
        "format is. A short bar means that the formats agree, even where all of them are wrong.</p>"
        "<p class=quiet>Not picked by hand: test images are ordered by their error, averaged over the "
        "variants shown; these are the middle of the best quarter, the median, and the middle of the worst.</p>"
        f'<ul class="key">{keys}</ul>'
    ]
    names = outcome.compared(run)
    for label, index in outcome.examples(run).items():
        poses = {"Truth": run.true_mm[index]}
        poses |= {pictures.title(name): run.predictions_mm[name][index] for name in names}
        tiles = [
            _figure(pictures.svg(pictures.crop(run, index, pose)), name)
            for name, pose in poses.items()
        ]
        tiles += [
            _figure(pictures.svg(pictures.side_view(run, index, pose)), f"{name}, from the side")
            for name, pose in poses.items()
        ]
        tiles.append("<div></div>")
        tiles += [
            _figure(
                pictures.svg(pictures.depth_spread(run, index, name)),
                f"{pictures.title(name)}: depth error",
            )
            for name in names
        ]
        parts.append(f'<h3>{label.capitalize()}</h3><div class="example">{"".join(tiles)}</div>')
    return "".join(parts)


def _thinned(rows: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    return [dict(row) for row in rows[:: max(1, len(rows) // CURVE_ROWS)]]


def _curves(run: Run) -> str:
    logs = {stage: _thinned(rows) for stage, rows in run.curves.items() if len(rows) > 1}
    if not logs:
        return ""
    tuned = [name for name in logs if name not in ("initial", "autoencoder")]
    charts = []
    for stage in logs:
        if stage not in tuned:
            charts.append((pictures.title(stage), {stage: logs[stage]}, "loss"))
    # The sum of the terms differs between variants; the first term, of poses around their mean, does not.
    alike = all(any("relative" in row for row in logs[name]) for name in tuned)
    if tuned:
        key = "relative" if alike else "loss"
        charts.append(("Fine-tuning (stage 3)", {name: logs[name] for name in tuned}, key))
    drawn = [
        _figure(pictures.svg(pictures.curves(rows, key)), html.escape(text))
        for text, rows, key in charts
    ]
    return f'<h2>Training</h2><div class="cards">{"".join(drawn)}</div>'


def _autoencoder(run: Run) -> str:
    if run.maps is None:
        return ""
    values = (run.maps, run.union, run.true_mm)
    latents = latent_pictures.latents_of(run.maps, run.union.joint_names)
    weights = _figure(
        pictures.svg(latent_pictures.weights(*values)),
        "Decoding weights, which make each joint of latent points; each row sums to 1. The coloured stripe tells the "
        "format. Left joints use left latents as right joints use right ones.",
    )
    body = _figure(
        pictures.svg(latent_pictures.on_body(*values)),
        "Latent points on a typical pose of the test set (the one nearest to the average), all formats in grey. "
        "They may lie outside the body: weights can be negative.",
    )
    return (
        "<h2>The autoencoder</h2>"
        f"<p>It expresses all {len(run.union.joint_names)} joints by {latents.total} latent points "
        f"({latents.sided} left, {latents.sided} right, {latents.central} in the centre), and so knows how the formats "
        f'relate.</p><div class="cards">{body}{weights}</div>'
    )


def _relations(run: Run) -> str:
    if not run.relations:
        return ""
    names = list(run.union.members)
    largest = max(run.relations.values())
    rows = []
    for start in names:
        cells = "".join(_cell(run.relations.get((start, end)), largest) for end in names)
        rows.append(f"<tr><td>{html.escape(start)}</td>{cells}</tr>")
    return (
        "<h3>From one format to another</h3><p>Error, in mm, of predicting the format of a column from that of a "
        "row by the learned relation.</p>" + _table(["From", *names], rows)
    )
