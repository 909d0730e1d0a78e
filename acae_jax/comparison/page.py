"""The comparison as one page that needs no other file, and as text for a terminal."""

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
    """The comparison for a terminal; `by` names the value to rank by."""
    name = verdict.chosen(group, by)
    group = verdict.ranked(group, name)
    parts = [columns.text(group, columns.facts(group, name))]
    differing = columns.config(group)
    if differing:
        parts.append("Config values that differ\n" + columns.text(group, differing))
    values = columns.values(group)
    if values.texts:
        told = "Last values, in brackets the best (* of all scores); of losses, running means\n"
        parts.append(told + columns.text(group, values.texts, values.best))
    return "\n\n".join([*parts, verdict.headline(group, name)])


def html(group: Sequence[Run], by: str | None = None) -> str:
    """The whole page; `by` names the value to rank by."""
    name = verdict.chosen(group, by)
    styles = _styles(group)  # in the order of the arguments
    group = verdict.ranked(group, name)
    template = resources.files("acae_jax.comparison").joinpath("page.html")
    style = resources.files("acae_jax.pages").joinpath("style.css")
    values, facts = columns.values(group), columns.facts(group, name)
    ahead = {column: 0 for column in list(facts)[:1] if name and verdict.best(group[0], name)}
    return Template(template.read_text(encoding="utf-8")).substitute(
        style=style.read_text(encoding="utf-8"),
        title=escape(f"{len(group)} training runs" if len(group) > 1 else group[0].name),
        headline=escape(verdict.headline(group, name)),
        key="".join(f"<li>{_label(run, styles)}</li>" for run in group),
        facts=_by_run(group, facts, styles, ahead),
        config=_section("What differs", _table(group, columns.config(group), styles)),
        charts=_charts(group, name, styles),
        time=_section("Where the time went", _time(group, styles)),
        values=_section(
            "All values",
            _table(group, values.texts, styles, values.best),
            "The last values, and in brackets the best ones with their steps. Of what single "
            "batches gave, running means over a twentieth of the log.",
        ),
    )


Styles = Mapping[str, tuple[str, object]]


def _styles(group: Sequence[Run]) -> Styles:
    """Of each run, by the order in which they come: it stays when another one is ahead."""
    return dict(zip([run.name for run in group], charts.styles(len(group)), strict=True))


def _label(run: Run, styles: Styles) -> str:
    colour, line = styles[run.name]
    border = BORDERS[charts.LINES.index(line)]
    return f'<i style="border-top: .25rem {border} {colour}"></i>{escape(run.name)}'


def _section(title: str, content: str, note: str = "") -> str:
    told = f"<p>{escape(note)}</p>" if note else ""
    return f"<h2>{escape(title)}</h2>{told}{content}" if content else ""


def _table(
    group: Sequence[Run], shown: Columns, styles: Styles, best: Mapping[str, int] | None = None
) -> str:
    """One column for each run, or one row if there are more runs than columns."""
    if not shown:
        return ""
    if len(group) > len(shown):
        return _by_run(group, shown, styles, best)
    rows = [
        f"<tr><td>{escape(name)}</td>"
        + "".join(_cell(cell, (best or {}).get(name) == i) for i, cell in enumerate(cells))
        + "</tr>"
        for name, cells in shown.items()
    ]
    return tables.html(["", *(_label(run, styles) for run in group)], rows)


def _by_run(
    group: Sequence[Run], shown: Columns, styles: Styles, best: Mapping[str, int] | None = None
) -> str:
    rows = [
        f"<tr><td>{_label(run, styles)}</td>"
        + "".join(_cell(cells[i], (best or {}).get(name) == i) for name, cells in shown.items())
        + "</tr>"
        for i, run in enumerate(group)
    ]
    return tables.html(["Run", *map(escape, shown)], rows)


def _cell(text: str, best: bool) -> str:
    kind = "best" if best else "text" if len(text) > columns.SHORT else ""
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _time(group: Sequence[Run], styles: Styles) -> str:
    """Percent by kind, with a bar behind each number."""
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
    """Curves by topic: the value to rank by large, others in groups of small charts."""
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
    """One value against steps, and against the time of training; empty if no run has it."""
    drawn = {run.name: runs.series(run, name) for run in group}
    longest = max((each.seconds[-1] for each in drawn.values() if len(each.seconds)), default=None)
    if longest is None:
        return ""
    unit, seconds = ("hours", 3600) if longest > 7200 else ("minutes", 60)
    figures = []
    for x_label, x in (("step", lambda s: s.steps), (unit, lambda s: s.seconds / seconds)):
        shown = [
            charts.Curve(key, x(each), each.values, styles[key]) for key, each in drawn.items()
        ]
        figures.append(charts.curves(shown, x_label, name, size_in=LARGE, smooth=not score))
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
    """A small chart of one series of every run that has it; empty if none has."""
    drawn = {run.name: series(run) for run in group}
    if not any(len(each.values) for each in drawn.values()):
        return ""
    shown = [charts.Curve(key, each.steps, each.values, styles[key]) for key, each in drawn.items()]
    figure = charts.curves(shown, "step", size_in=SMALL, smooth=not score, log=log)
    return charts.html(figure, caption)


def _cards(parts: Iterable[str]) -> str:
    content = "".join(parts)
    return f'<div class="cards small">{content}</div>' if content else ""


def _by_prefix(names: Sequence[str]) -> dict[str, list[str]]:
    """Names such as "dataset/a" under "dataset/…"."""
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(f"{name.rpartition('/')[0]}/…", []).append(name)
    return grouped


def _union(names: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(name for each in names for name in each))
