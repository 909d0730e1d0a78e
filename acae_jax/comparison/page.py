"""The comparison as one HTML page that needs no other file, and as text for a terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from string import Template

from acae_jax.comparison import columns, runs, verdict
from acae_jax.comparison.columns import Columns
from acae_jax.comparison.runs import Run, Series
from acae_jax.pages import charts, tables

BORDERS = ("solid", "dashed", "dotted", "double")  # in the key, for the line styles of charts
LARGE, SMALL = (6.0, 3.0), (2.9, 1.9)


def summary(group: Sequence[Run], by: str | None = None) -> str:
    """The comparison as text for a terminal; `by` names the value that ranks the runs."""
    name = verdict.ranking_value(group, by)
    group = verdict.ranked(group, name)
    parts = [columns.text(group, columns.overview(group, name))]
    differing = columns.config(group)
    if differing:
        parts.append("Config values that differ\n" + columns.text(group, differing))
    values = columns.values(group)
    if values.texts:
        caption = (
            "Last values; in brackets the best value of the run. * marks the best score of all.\n"
            "Training metrics are running means.\n"
        )
        parts.append(caption + columns.text(group, values.texts, values.best))
    return "\n\n".join([*parts, verdict.headline(group, name)])


def html(group: Sequence[Run], by: str | None = None) -> str:
    """The whole page; `by` names the value that ranks the runs."""
    name = verdict.ranking_value(group, by)
    styles = _styles(group)  # before the runs are ranked
    group = verdict.ranked(group, name)
    template = resources.files("acae_jax.comparison").joinpath("page.html")
    style = resources.files("acae_jax.pages").joinpath("style.css")
    values, overview = columns.values(group), columns.overview(group, name)
    ahead = {column: 0 for column in list(overview)[:1] if name and verdict.best(group[0], name)}
    return Template(template.read_text(encoding="utf-8")).substitute(
        style=style.read_text(encoding="utf-8"),
        title=escape(f"{len(group)} training runs" if len(group) > 1 else group[0].name),
        headline=escape(verdict.headline(group, name)),
        key="".join(f"<li>{_label(run, styles)}</li>" for run in group),
        overview=_by_run(group, overview, styles, ahead),
        config=_section("What differs", _table(group, columns.config(group), styles)),
        charts=_charts(group, name, styles),
        time=_section("Where the time went", _time(group, styles)),
        values=_section(
            "All values",
            _table(group, values.texts, styles, values.best),
            "The last values; in brackets the best ones and their steps. Training metrics come "
            "from single batches, so they are shown as running means over a twentieth of the log.",
        ),
    )


Styles = Mapping[str, tuple[str, object]]


def _styles(group: Sequence[Run]) -> Styles:
    """Colour and line style of each run.

    They follow the order of the arguments, so that they stay the same when another run leads.
    """
    return dict(zip([run.name for run in group], charts.styles(len(group)), strict=True))


def _label(run: Run, styles: Styles) -> str:
    colour, line = styles[run.name]
    border = BORDERS[charts.LINES.index(line)]
    return f'<i style="border-top: .25rem {border} {colour}"></i>{escape(run.name)}'


def _section(title: str, content: str, note: str = "") -> str:
    paragraph = f"<p>{escape(note)}</p>" if note else ""
    return f"<h2>{escape(title)}</h2>{paragraph}{content}" if content else ""


def _table(
    group: Sequence[Run], texts: Columns, styles: Styles, best: Mapping[str, int] | None = None
) -> str:
    """A table with one column for each run, or with one row for each if there are many runs."""
    if not texts:
        return ""
    if len(group) > len(texts):
        return _by_run(group, texts, styles, best)
    rows = [
        f"<tr><td>{escape(name)}</td>"
        + "".join(_cell(cell, (best or {}).get(name) == i) for i, cell in enumerate(cells))
        + "</tr>"
        for name, cells in texts.items()
    ]
    return tables.html(["", *(_label(run, styles) for run in group)], rows)


def _by_run(
    group: Sequence[Run], texts: Columns, styles: Styles, best: Mapping[str, int] | None = None
) -> str:
    rows = [
        f"<tr><td>{_label(run, styles)}</td>"
        + "".join(_cell(cells[i], (best or {}).get(name) == i) for name, cells in texts.items())
        + "</tr>"
        for i, run in enumerate(group)
    ]
    return tables.html(["Run", *map(escape, texts)], rows)


def _cell(text: str, best: bool) -> str:
    kind = "best" if best else "text" if len(text) > columns.SHORT else ""
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _time(group: Sequence[Run], styles: Styles) -> str:
    """The time of each run in percent by kind, with a bar behind each number."""
    shares = columns.time_shares(group)
    rows = []
    for i, run in enumerate(group):
        cells = [each[i] for each in shares.values()]
        widths = [cell.replace(" ", "") if cell.endswith("%") else "0%" for cell in cells]
        bars = "".join(
            f'<td class="bar" style="--share:{width}">{cell}</td>'
            for cell, width in zip(cells, widths, strict=True)
        )
        rows.append(f"<tr><td>{_label(run, styles)}</td>{bars}</tr>")
    return tables.html(["Run", *shares], rows) if shares else ""


def _charts(group: Sequence[Run], name: str | None, styles: Styles) -> str:
    """One large chart of the value that ranks the runs, and small charts of the others by topic."""
    scores = _union(runs.score_names(run) for run in group)
    training = _union(runs.training_names(run) for run in group)
    grouped = {
        "Scores": [each for each in scores if each.count("/") < 2 and each != name],
        **_by_prefix([each for each in scores if each.count("/") >= 2]),
        "Losses": [e for e in training if "/" not in e and e not in (name, "gradient_norm")],
        **_by_prefix([each for each in training if "/" in each]),
    }

    def small(each: str, title: str) -> str:
        caption = each.removeprefix(title.removesuffix("…"))
        return _chart(group, styles, lambda run: runs.series(run, each), caption, each in scores)

    parts = [_large(group, name, styles, name in scores)] if name else []
    parts += [
        _section(title, _cards(small(each, title) for each in names))
        for title, names in grouped.items()
    ]
    speed = [
        _chart(group, styles, runs.steps_per_second, "steps per second"),
        _chart(group, styles, runs.training_share, "% of the time spent training"),
    ]
    if "gradient_norm" in training:
        norm = lambda run: runs.series(run, "gradient_norm")  # noqa: E731
        speed.insert(0, _chart(group, styles, norm, "gradient norm", log=True))
    return "".join([*parts, _section("Training", _cards(speed))])


def _large(group: Sequence[Run], name: str, styles: Styles, score: bool) -> str:
    """One value against steps and against training time; empty if no run has it."""
    logged = {run.name: runs.series(run, name) for run in group}
    longest = max((each.seconds[-1] for each in logged.values() if len(each.seconds)), default=None)
    if longest is None:
        return ""
    unit, seconds = ("hours", 3600) if longest > 7200 else ("minutes", 60)
    figures = []
    for x_label, x in (("step", lambda s: s.steps), (unit, lambda s: s.seconds / seconds)):
        curves = [
            charts.Curve(key, x(each), each.values, styles[key]) for key, each in logged.items()
        ]
        figures.append(charts.curves(curves, x_label, name, size_in=LARGE, smooth=not score))
    cards = "".join(
        charts.html(figure, f"{name} by {by}")
        for figure, by in zip(figures, ("steps", "time"), strict=True)
    )
    return _section(name, f'<div class="cards wide">{cards}</div>')


def _chart(
    group: Sequence[Run],
    styles: Styles,
    series: Callable[[Run], Series],
    caption: str,
    score: bool = False,
    log: bool = False,
) -> str:
    """A small chart of one series of every run; empty if no run has it."""
    logged = {run.name: series(run) for run in group}
    if not any(len(each.values) for each in logged.values()):
        return ""
    curves = [charts.Curve(key, s.steps, s.values, styles[key]) for key, s in logged.items()]
    figure = charts.curves(curves, "step", size_in=SMALL, smooth=not score, log=log)
    return charts.html(figure, caption)


def _cards(parts: Iterable[str]) -> str:
    content = "".join(parts)
    return f'<div class="cards small">{content}</div>' if content else ""


def _by_prefix(names: Sequence[str]) -> dict[str, list[str]]:
    """Names by their prefix: "dataset/a" stands under "dataset/…"."""
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(f"{name.rpartition('/')[0]}/…", []).append(name)
    return grouped


def _union(names: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(name for each in names for name in each))
