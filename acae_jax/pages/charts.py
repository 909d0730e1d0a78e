"""Figures drawn without pyplot, and as SVG that takes its text colour from the page around it."""

import io
import itertools
import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
# Stands for the page's own text colour, which differs between light and dark.
TEXT = "#010203"
QUIET = "#8a8a8a"
POINTS = 300  # of a curve, at most
FAINT = 4  # up to so many curves, each is also drawn as logged
FEW = 12  # points of a curve, each of which is marked
LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))


class Curve(NamedTuple):
    """A series in a chart; a `style` is a colour and a line style of matplotlib."""

    label: str
    x: Int[np.ndarray, " n"] | Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    style: tuple[str, object]


def styles(count: int) -> list[tuple[str, object]]:
    """A colour and a line style for each of `count` curves; 24 of them differ."""
    every = ((colour, line) for line in LINES for colour in PALETTE)
    return list(itertools.islice(itertools.cycle(every), count))


def running_mean(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Each value averaged with those before it, over a twentieth of the series."""
    width = max(1, len(values) // 20)
    padded = np.pad(values, (width - 1, 0), "edge")
    return np.convolve(padded, np.ones(width) / width, "valid")


def curves(
    shown: Sequence[Curve],
    x_label: str,
    y_label: str = "",
    *,
    size_in: tuple[float, float] = (4.6, 2.6),
    smooth: bool = True,
    from_zero: bool = False,
    log: bool = False,
    legend: bool = False,
) -> Figure:
    """Curves in one chart; with `smooth` as running means, with what was logged faint behind them.

    `from_zero` makes the y-axis begin at 0, `log` makes it logarithmic.
    """
    figure = canvas(*size_in)
    axes = figure.add_subplot()
    series = [curve for curve in shown if len(curve.x)]
    for label, x, y, (colour, line) in series:
        steps, few = slice(None, None, -(-len(x) // POINTS)), len(x) <= FEW
        if smooth and not few and len(series) <= FAINT:
            axes.plot(x[steps], y[steps], color=colour, linewidth=0.7, alpha=0.35)
        bold = running_mean(y) if smooth else y
        marks = "o" if few else ""
        axes.plot(
            x[steps], bold[steps], color=colour, linestyle=line, linewidth=1.6,
            marker=marks, markersize=3, label=label,
        )  # fmt: skip
    axes.set_xlabel(x_label, fontsize=8, color=TEXT)
    axes.set_ylabel(y_label, fontsize=8, color=TEXT)
    if log and all((curve.y > 0).all() for curve in series):
        axes.set_yscale("log")
    elif from_zero:
        axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=8, which="both")
    axes.grid(color=QUIET, alpha=0.25, linewidth=0.5)
    if legend:
        axes.legend(fontsize=8, frameon=False, labelcolor=TEXT)
    frame(axes)
    return figure


def frame(axes: Axes) -> None:
    """A quiet frame without fill, for light and dark pages."""
    axes.patch.set_alpha(0.0)
    for spine in axes.spines.values():
        spine.set(color=QUIET, linewidth=0.6)
    axes.tick_params(colors=TEXT, which="both")


def canvas(width_in: float, height_in: float) -> Figure:
    """An empty transparent figure."""
    figure = Figure((width_in, height_in), layout="constrained")
    figure.patch.set_alpha(0.0)
    FigureCanvasAgg(figure)
    return figure


def svg(figure: Figure) -> str:
    """The figure as inline SVG, which takes its text colour from the page that it stands in."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "acae_jax"}):
        figure.savefig(file, format="svg", metadata=nothing, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    return text.replace(TEXT, "currentColor")


def html(figure: Figure, caption: str) -> str:
    """The figure with its caption, a plain text, for a page."""
    return f"<figure>{svg(figure)}<figcaption>{escape(caption)}</figcaption></figure>"
