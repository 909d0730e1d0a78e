"""The report of a finished workflow: a page for people, a JSON file for programs, a text table."""

import json
from collections.abc import Iterable
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from acae_jax.estimation.evaluation import drawing, per_format
from acae_jax.estimation.reporting import latent_pictures, pictures, workflow_results
from acae_jax.estimation.reporting.relations import ALLOWED_MM, Relation, Table
from acae_jax.estimation.reporting.workflow_results import BASELINE, MEAN, PROPOSED, Run
from acae_jax.pages import charts, tables

# Each metric with its heading in the text table and on the page.
COLUMNS = {
    "mpjpe_mm": ("MPJPE mm", "MPJPE, mm"),
    "pa_mpjpe_mm": ("PA-MPJPE mm", "PA-MPJPE, mm"),
    "pck150": ("PCK %", "PCK, %"),
    "auc150": ("AUC %", "AUC, %"),
    "disagreement_depth_mm": ("Δ depth mm", "Disagreement in depth, mm"),
    "disagreement_plane_mm": ("Δ plane mm", "Disagreement in the image plane, mm"),
}
BARS = ("mpjpe_mm", "disagreement_depth_mm", "disagreement_plane_mm")
DEPTH_NOTE = (
    "Depth errors at the same points of the body, minus their mean over all joints. Each dot is a "
    "format. If a bar is short, the formats agree there, even if they are wrong."
)


def write(run: Run, folder: Path) -> None:
    """Write report.html, which needs no other file, and report.json to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps(figures(run), indent=1)
    (folder / "report.json").write_text(f"{numbers}\n", encoding="utf-8")
    (folder / "report.html").write_text(page(run), encoding="utf-8")


def figures(run: Run) -> dict[str, Any]:
    """The content of report.json: for each variant the mean metrics, and those of each format."""
    variants = {}
    for name, scored in run.scores.items():
        per_format = {key: dict(values) for key, values in scored.items() if key != MEAN}
        variants[name] = {**scored[MEAN], "per_format": per_format}
    outside = workflow_results.latents_outside(run)
    return {
        "seconds": run.seconds,
        "images": len(run.true_mm),
        "poses": {name: count._asdict() for name, count in run.counts.items()},
        "mean_pose_mpjpe_mm": run.mean_pose_mpjpe_mm,
        "latents_outside_percent": None if outside is None else 100.0 * float(outside.mean()),
        "variants": variants,
    }


def summary(run: Run) -> str:
    """A table of the variants as plain text, with the headline below."""
    rows = []
    for name, scored in run.scores.items():
        rows.append([name, *(_number(scored[MEAN].get(metric)) for metric in COLUMNS)])
    rows.append(["mean pose", _number(run.mean_pose_mpjpe_mm), *[""] * (len(COLUMNS) - 1)])
    note = (
        "Averages over formats. Δ: disagreement between formats, in depth and in the image plane."
    )
    table = tables.text(["variant", *(short for short, _ in COLUMNS.values())], rows)
    return "\n".join([table, note, "", headline(run)])


def headline(run: Run) -> str:
    """The result in one or two sentences."""
    last = workflow_results.compared(run)[-1]
    error = run.scores[last][MEAN]["mpjpe_mm"]
    share = None
    if run.mean_pose_mpjpe_mm:
        share = (
            f"{100.0 * error / run.mean_pose_mpjpe_mm:.0f} % of the error of always predicting "
            f"the mean pose ({run.mean_pose_mpjpe_mm:.1f} mm)."
        )
    if last != PROPOSED or BASELINE not in run.predictions_mm:
        text = f"{pictures.title(last)}: the mean error of a joint is {error:.1f} mm."
        return f"{text} That is {share}" if share else text
    depth = _change(run, "disagreement_depth_mm", "the formats' disagreement in depth")
    joints = _change(run, "mpjpe_mm", "the joint error (MPJPE over all formats)")
    changes = " and ".join(filter(None, (depth, joints)))
    text = f"Compared with separate heads, regularisation {changes}."
    return f"{text} The joint error is now {share}" if share else text


def _change(run: Run, metric: str, what: str) -> str | None:
    """The effect of regularisation on a metric, as a verb and its object; None without a value."""
    percent = workflow_results.change_percent(run, metric)
    if percent is None:
        return None
    before, after = (run.scores[name][MEAN][metric] for name in (BASELINE, PROPOSED))
    if abs(percent) < 0.05:
        return f"did not change {what} ({after:.1f} mm)"
    verb = "raised" if percent > 0 else "lowered"
    return f"{verb} {what} by {abs(percent):.1f} % ({before:.1f} → {after:.1f} mm)"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def page(run: Run) -> str:
    """The content of report.html: the template beside this file, filled in."""
    template = resources.files("acae_jax.estimation.reporting").joinpath("report_page.html")
    style = resources.files("acae_jax.pages").joinpath("style.css")
    return Template(template.read_text(encoding="utf-8")).substitute(
        style=style.read_text(encoding="utf-8"),
        columns=1 + len(workflow_results.compared(run)),
        headline=escape(headline(run)),
        tiles=_tiles(run),
        labels=escape(_labels(run)),
        variants=_variants(run),
        per_format=_per_format(run),
        key=_key(run),
        examples=_examples(run),
        training=_training(run),
        autoencoder=_autoencoder(run),
        relations=_relations(run),
    )


def _labels(run: Run) -> str:
    """The labels of the test set, and what is missing in them."""
    names = ", ".join(run.counts)
    joints = sum(len(run.union.members[name]) for name in run.counts)
    text = f"{len(run.true_mm)} images, labelled in {names} ({joints} joints)."
    return " ".join([text, *per_format.left_out(run.counts, run.union.members)])


def _tiles(run: Run) -> str:
    """The most important numbers, in large type."""
    last = workflow_results.compared(run)[-1]
    error = run.scores[last][MEAN]["mpjpe_mm"]
    tiles = {
        f"joint error (MPJPE), {pictures.title(last).lower()}": f"{error:.1f} mm",
    }
    if run.mean_pose_mpjpe_mm:
        mean_pose = f"{run.mean_pose_mpjpe_mm:.1f} mm"
        tiles["error of always predicting the mean pose"] = mean_pose
    if last == PROPOSED and BASELINE in run.predictions_mm:
        for metric, text in (
            ("disagreement_depth_mm", "disagreement in depth"),
            ("mpjpe_mm", "joint error"),
        ):
            percent = workflow_results.change_percent(run, metric)
            if percent is not None:
                change = f"{percent:+.1f} %".replace("-", "−")
                tiles[f"{text}, regularised compared with separate heads"] = change
    tiles["time of the whole workflow"] = f"{run.seconds / 60:.1f} min"
    return "".join(f"<div><b>{value}</b>{escape(text)}</div>" for text, value in tiles.items())


def _row(name: str, cells: Iterable[str], chosen: bool = False) -> str:
    kind = ' class="chosen"' if chosen else ""
    return f"<tr{kind}><td>{escape(name)}</td>{''.join(cells)}</tr>"


def _cell(value: float | None, largest: float | None = None, remark: str = "") -> str:
    """A number and a remark; with `largest`, the value of a full bar, also a bar behind them."""
    if value is None or not largest:
        return f"<td>{_number(value)}</td>"
    return f'<td class="bar" style="--share:{100 * value / largest:.1f}%">{value:.1f}{remark}</td>'


def _variants(run: Run) -> str:
    means = {name: scored[MEAN] for name, scored in run.scores.items()}
    largest = {m: max((mean.get(m, 0.0) for mean in means.values()), default=0.0) for m in BARS}
    rows = [
        _row(
            pictures.title(name),
            [_cell(mean.get(metric), largest.get(metric)) for metric in COLUMNS],
            chosen=name == PROPOSED,
        )
        for name, mean in means.items()
    ]
    return tables.html(["Variant", *(long for _, long in COLUMNS.values())], rows)


def _per_format(run: Run) -> str:
    rows = [
        _row(
            name,
            [
                f"<td>{len(indices)}</td>",
                *(_cell(scored.get(name, {}).get("mpjpe_mm")) for scored in run.scores.values()),
            ],
        )
        for name, indices in run.union.members.items()
    ]
    return tables.html(["Format", "Joints", *(escape(pictures.title(n)) for n in run.scores)], rows)


def _key(run: Run) -> str:
    return "".join(
        f'<li><i style="background:{colour}"></i>{escape(name)}</li>'
        for name, colour in drawing.format_colours(run.union).items()
    )


def _examples(run: Run) -> str:
    """The examples: truth and compared variants side by side, each in three pictures."""
    names = workflow_results.compared(run)
    parts = []
    for label, index in workflow_results.examples(run).items():
        poses = {"Truth": run.true_mm[index]}
        poses |= {pictures.title(name): run.predictions_mm[name][index] for name in names}
        tiles = [charts.html(pictures.crop(run, index, pose), name) for name, pose in poses.items()]
        tiles += [
            charts.html(pictures.side_view(run, index, pose), f"{name}, from the side")
            for name, pose in poses.items()
        ]
        depths = [
            charts.html(pictures.depth_spread(run, index, name), f"{pictures.title(name)}, depth")
            for name in names
        ]
        parts.append(
            f'<h3>{label.capitalize()}</h3><div class="example">{"".join(tiles)}</div>'
            f'<div class="example depth"><p>{DEPTH_NOTE}</p>{"".join(depths)}</div>'
        )
    return "".join(parts)


def _training(run: Run) -> str:
    """Loss curves: a chart for each of the first two stages, and one for all fine-tunings."""
    logs = {stage: rows for stage, rows in run.curves.items() if len(rows) > 1}
    tuned = {name: rows for name, rows in logs.items() if name not in ("initial", "autoencoder")}
    cards = [
        charts.html(pictures.curves({stage: rows}, "loss"), pictures.title(stage))
        for stage, rows in logs.items()
        if stage not in tuned
    ]
    if tuned:
        # Losses are sums of different terms, so only a term that all variants have is compared.
        shared = all(any("relative" in row for row in rows) for rows in tuned.values())
        chart = pictures.curves(tuned, "relative" if shared else "loss")
        caption = "Fine-tuning (stage 3)" + (
            ": the loss term of poses relative to their mean" if shared else ""
        )
        cards.append(charts.html(chart, caption))
    return f'<h2>Training</h2><div class="cards">{"".join(cards)}</div>' if cards else ""


def _autoencoder(run: Run) -> str:
    if run.maps is None:
        return ""
    poses_mm = workflow_results.whole_poses_mm(run)
    sided, central = latent_pictures.latents_of(run.maps, run.union.joint_names)
    body = charts.html(
        latent_pictures.on_body(run.maps, run.union, poses_mm),
        "Latent points of the test pose that is nearest to the average, with all formats in grey. "
        "As weights may be negative, points may lie outside of the body. Those far outside are "
        "drawn on the border.",
    )
    weights = charts.html(
        latent_pictures.weights(run.maps, run.union, poses_mm),
        "Decoding weights. Each row has the weights by which the latent points give one joint, and "
        "sums to 1. The stripe at the left shows the colours of the formats. The weights are "
        "mirror-symmetric.",
    )
    return (
        f"<h2>The autoencoder</h2><p>It expresses all {len(run.union.joint_names)} joints by "
        f"{2 * sided + central} latent points ({sided} left, {sided} right, {central} central). In "
        f"this way it has learned how the formats are related. {_outside(run)}</p>"
        f'<div class="cards">{body}{weights}</div>'
    )


def _outside(run: Run) -> str:
    """How many latent points lie outside of the crop."""
    outside = workflow_results.latents_outside(run)
    if outside is None:
        return ""
    mostly = int((outside > 0.5).sum())
    return (
        f"Computed from the true poses, {100 * outside.mean():.1f} % of the latent points lie "
        f"outside of the crop, where a heat map cannot represent them. {mostly or 'None'} of the "
        f"{len(outside)} points lie outside in most images."
    )


def _relations(run: Run) -> str:
    if not run.relations:
        return ""
    names = list(run.union.members)
    largest = max(float(relation.learned_mm.mean()) for relation in run.relations.values())

    def cell(relation: Relation | None) -> str:
        if relation is None:
            return _cell(None)
        count = f" ({relation.allowed.sum()} of {len(relation.allowed)})"
        return _cell(float(relation.learned_mm.mean()), largest, count)

    rows = [
        _row(start, [cell(run.relations.get((start, end))) for end in names]) for start in names
    ]
    return (
        "<h2>From one format to another</h2><p>The mean error, in mm, if the format of a column is "
        "predicted from the format of a row, by affine weights that were learned on other people. "
        "In brackets: how many joints the best possible affine weights predict with an error below "
        f"{ALLOWED_MM:g} mm. {_undetermined(run, run.relations)}</p>"
        + tables.html(["From", *map(escape, names)], rows)
    )


def _undetermined(run: Run, relations: Table) -> str:
    """The joints that follow from no other format, in words."""
    joints = []
    for end, indices in run.union.members.items():
        allowed = [relation.allowed for (_, to), relation in relations.items() if to == end]
        nowhere = ~np.any(allowed, axis=0)
        joints += [run.union.joint_names[j] for j, no in zip(indices, nowhere, strict=True) if no]
    if not joints:
        return "Every joint follows from at least one other format."
    return (
        "The other joints turn with bones that the format of the row does not observe. "
        f"These joints follow from no other format alone: {escape(', '.join(joints))}."
    )
