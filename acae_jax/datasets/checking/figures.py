"""Figures about the bones and the heights of a dataset's people."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from acae_jax.datasets.checking.judgement import LARGEST_ASYMMETRY
from acae_jax.datasets.checking.measures import Measures
from acae_jax.pages import charts

SHOWN = 6  # subjects with a colour
LARGEST_SHOWN = 50.0  # percent; dots beyond stand at the edge
ROW_IN, MARGIN_IN = 0.19, 0.6


def bones(found: Measures) -> Figure:
    """A row for each bone: its length by subject, and how the left one differs from the right."""
    rows = len(found.bone_names)
    figure = charts.canvas(8.4, MARGIN_IN + ROW_IN * rows)
    lengths, sides = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    low, _, high = found.bones.spread_mm
    lengths.hlines(range(rows), low, high, color=charts.QUIET, linewidth=6, alpha=0.3)
    shown = [subject.bones for subject in found.subjects[:SHOWN]] or [found.bones]
    off = [100 * (one.left_right - 1) for one in shown]
    band = 100 * LARGEST_ASYMMETRY
    reach = min(LARGEST_SHOWN, max(np.nanmax(np.abs(each), initial=2 * band) for each in off))
    for index, (one, percent) in enumerate(zip(shown, off, strict=True)):
        low, middle, high = one.spread_mm
        places = np.arange(rows) + 0.6 * (index + 0.5) / len(shown) - 0.3
        colour = charts.PALETTE[index]
        lengths.hlines(places, low, high, color=colour, linewidth=1.2)
        lengths.scatter(middle, places, s=9, color=colour, zorder=3)
        sides.scatter(np.clip(percent, -reach, reach), places, s=9, color=colour, zorder=3)
    sides.axvspan(-band, band, color=charts.QUIET, alpha=0.15, linewidth=0)
    sides.axvline(0, color=charts.QUIET, linewidth=0.8)
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


def heights(found: Measures) -> Figure:
    """The subjects' heights, sorted."""
    figure = charts.canvas(4.6, 2.4)
    axes = figure.add_subplot()
    values = np.sort([s.height_m for s in found.subjects if np.isfinite(s.height_m)])
    axes.plot(np.arange(1, len(values) + 1), values, "o", color=charts.PALETTE[0], markersize=3)
    axes.set_xlabel("subjects, from small to tall", fontsize=8, color=charts.TEXT)
    axes.set_ylabel("height, m", fontsize=8, color=charts.TEXT)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)
    axes.grid(color=charts.QUIET, alpha=0.25, linewidth=0.5)
    charts.frame(axes)
    return figure
