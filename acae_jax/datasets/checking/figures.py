"""Figures about the bones and the heights of a dataset's people."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from acae_jax.datasets.checking.judgement import LARGEST_ASYMMETRY
from acae_jax.datasets.checking.measures import Bones, Measures, Subject
from acae_jax.pages import charts

SHOWN = 6  # subjects with a colour
ROW_IN, MARGIN_IN = 0.19, 0.6


def bones(found: Measures) -> Figure:
    """A row for each bone: its length by subject, and how the left one differs from the right."""
    rows = len(found.bone_names)
    figure = charts.canvas(8.4, MARGIN_IN + ROW_IN * rows)
    lengths, sides = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    low, middle, high = found.bones.spread_mm
    for row in np.flatnonzero(np.isfinite(middle)):
        span = [low[row], high[row]]
        lengths.plot(span, [row, row], color=charts.QUIET, linewidth=6, alpha=0.3)
    shown = found.subjects[:SHOWN]
    everybody = Subject("everybody", 0, np.nan, found.bones)
    for index, subject in enumerate(shown or [everybody]):
        height = row_offset(index, max(len(shown), 1))
        _row_of(lengths, sides, subject.bones, height, charts.PALETTE[index])
    band = 100 * LARGEST_ASYMMETRY
    sides.axvspan(-band, band, color=charts.QUIET, alpha=0.15, linewidth=0)
    sides.axvline(0, color=charts.QUIET, linewidth=0.8)
    reach = np.nanmax(np.abs(100 * (found.bones.left_right - 1)), initial=2 * band)
    sides.set_xlim(-1.1 * reach, 1.1 * reach)
    lengths.set_xlim(left=0)
    lengths.set_ylim(rows - 0.4, -0.6)
    lengths.set_yticks(range(rows), found.bone_names)
    for axes, label in ((lengths, "length, mm"), (sides, "left against right, %")):
        axes.set_xlabel(label, fontsize=8, color=charts.TEXT)
        axes.tick_params(labelsize=7, length=2)
        axes.grid(axis="x", color=charts.QUIET, alpha=0.25, linewidth=0.5)
        charts.frame(axes)
    return figure


def row_offset(index: int, count: int) -> float:
    """Where in its row the dot of one of some subjects lies, from -0.3 to 0.3."""
    return 0.0 if count == 1 else 0.6 * index / (count - 1) - 0.3


def _row_of(lengths: Axes, sides: Axes, bones: Bones, offset: float, colour: str) -> None:
    """A subject's dots and bars in all rows."""
    low, middle, high = bones.spread_mm
    rows = np.arange(len(middle)) + offset
    lengths.hlines(rows, low, high, color=colour, linewidth=1.2)
    lengths.scatter(middle, rows, s=9, color=colour, zorder=3)
    sides.scatter(100 * (bones.left_right - 1), rows, s=9, color=colour, zorder=3)


def heights(found: Measures) -> Figure:
    """The subjects' heights, sorted."""
    figure = charts.canvas(4.6, 2.4)
    axes = figure.add_subplot()
    values = np.sort([s.height_m for s in found.subjects if np.isfinite(s.height_m)])
    axes.plot(np.arange(1, len(values) + 1), values, ".", color=charts.PALETTE[0], markersize=4)
    axes.set_xlabel("subjects, from small to tall", fontsize=8, color=charts.TEXT)
    axes.set_ylabel("height, m", fontsize=8, color=charts.TEXT)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)
    axes.grid(color=charts.QUIET, alpha=0.25, linewidth=0.5)
    charts.frame(axes)
    return figure
