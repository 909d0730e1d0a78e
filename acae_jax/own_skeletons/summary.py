"""The result of learning a skeleton: a table for the terminal, and a picture."""

import io

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from acae_jax.own_skeletons.fitting import Examples, Fitted, known, moved
from acae_jax.pages import charts
from acae_jax.skeletons import skeleton
from acae_jax.skeletons.skeleton import Skeleton

CONTRIBUTORS = 4  # the largest weights in the table
RANKS = (0.05, 0.5, 0.75, 0.95)  # of the errors of the examples in the picture


def table(fitted: Fitted, new: Skeleton, model_joint_names: tuple[str, ...]) -> str:
    """The left-out error and the largest weights of each joint, or pair of mirrored joints."""
    mirror = skeleton.mirror_map(new.joint_names).tolist()
    rows = []
    for index, other in enumerate(mirror):
        if index > other:
            continue
        pair = list(dict.fromkeys((index, other)))
        errors = fitted.left_out_mm[:, pair]
        error = f"{np.nanmean(errors):.1f}" if np.isfinite(errors).any() else "-"
        names = ", ".join(new.joint_names[joint] for joint in pair)
        rows.append((names, error, made_of(fitted.weights[index], model_joint_names)))
    width = max(len(row[0]) for row in rows)
    lines = [f"{'joint':{width}}  error mm  made of"]
    lines += [f"{name:{width}}  {error:>8}  {text}" for name, error, text in rows]
    taking_part = fitted.weights != 0
    lines.append(
        f"\nMean error of a joint in left-out examples: {np.nanmean(fitted.left_out_mm):.1f} mm, "
        "after poses were moved along the ray\nto the person. "
        f"{taking_part.any(axis=0).sum()} of {len(model_joint_names)} joints are used, "
        f"{taking_part.sum(axis=1).mean():.1f} for each joint on average; "
        f"locality {fitted.locality:g}."
    )
    return "\n".join(lines)


def made_of(weights: Float[np.ndarray, " j"], joint_names: tuple[str, ...]) -> str:
    """The largest weights as text: "0.61 lkne_mixamo + 0.42 lkne_markers − 0.03 lank_markers"."""
    order = np.argsort(-np.abs(weights), kind="stable")
    joints = [int(j) for j in order if weights[j] != 0]
    parts = []
    for j in joints[:CONTRIBUTORS]:
        sign = ("−" if weights[j] < 0 else "+") + " " if parts else "−" * int(weights[j] < 0)
        parts.append(f"{sign}{abs(weights[j]):.2f} {joint_names[j]}")
    if len(joints) > CONTRIBUTORS:
        parts.append(f"and {len(joints) - CONTRIBUTORS} more")
    return " ".join(parts)


def picture(examples: Examples, fitted: Fitted, new: Skeleton) -> bytes:
    """A PNG of examples with small, usual and large errors, seen from the camera and from the side.

    Annotated poses are grey; the others are by weights that were learned without them.
    """
    count = np.isfinite(fitted.left_out_mm).sum(axis=1)
    errors = np.nansum(fitted.left_out_mm, axis=1) / np.maximum(count, 1)
    order = np.argsort(errors)
    rows = [int(order[int(rank * (len(order) - 1) + 0.5)]) for rank in RANKS]
    annotated = moved(examples, fitted.left_out_poses_mm)
    figure = Figure((3.0 * len(rows), 6.2))
    grid = figure.subplots(2, len(rows), squeeze=False)
    figure.subplots_adjust(0.03, 0.01, 0.99, 0.94, 0.03, 0.03)
    for column, index in zip(grid.T, rows, strict=True):
        column[0].set_title(f"example {examples.moment[index]}: {errors[index]:.0f} mm", size=10)
        for axes, across in zip(column, (0, 2), strict=True):
            _draw(axes, annotated[index][:, [across, 1]], new, charts.QUIET, 4.0)
            _draw(axes, fitted.left_out_poses_mm[index][:, [across, 1]], new, None, 1.5)
            axes.set_aspect("equal", "datalim")
            axes.invert_yaxis()
            axes.set(xticks=[], yticks=[])
    grid[0, 0].set_ylabel("from the camera")
    grid[1, 0].set_ylabel("from the side")
    figure.set_dpi(110)
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _draw(
    axes: Axes,
    points: Float[np.ndarray, "k 2"],
    new: Skeleton,
    colour: str | None,
    width: float,
) -> None:
    """Draw the known joints and edges; without a `colour`, left and right have different ones."""
    sides = skeleton.sides(new.joint_names)
    tones = {"l": charts.PALETTE[0], "r": charts.PALETTE[4], "": charts.PALETTE[2]}
    colours = [colour or tones[side] for side in sides]
    axes.scatter(*points.T, s=4 * width, c=colours, linewidths=0)
    has_point = known(points)
    edges = [(a, b) for a, b in new.edges if has_point[a] and has_point[b]]
    # An edge has the colour of its left or right joint, if it has one.
    of_edges = [colours[a] if sides[a] else colours[b] for a, b in edges]
    lines = [points[[a, b]] for a, b in edges]
    axes.add_collection(LineCollection(lines, colors=of_edges, linewidths=width, alpha=0.8))
