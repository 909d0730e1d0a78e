"""Pictures of a learned autoencoder: its weights, and its latent points on a body."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from acae_jax.estimation.evaluation import drawing
from acae_jax.estimation.model import autoencoder
from acae_jax.estimation.model.autoencoder import Latents, Matrices
from acae_jax.geometry import alignment
from acae_jax.pages import charts
from acae_jax.skeletons import skeleton
from acae_jax.skeletons.union import JointUnion

SIDES = {"l": "left", "r": "right", "": "centre"}
SIDE_COLOURS = {"l": "#0072B2", "r": "#D55E00", "": "#009E73"}
CANDIDATES = 300  # poses among which the typical one is searched; it takes a second


def latents_of(maps: Matrices, joint_names: tuple[str, ...]) -> Latents:
    """The number of latent points on each side and in the centre.

    It is the split for which mirroring the joints comes nearest to mirroring the latent points.
    """
    encode = np.asarray(maps.encode)
    mirrored = encode[:, skeleton.mirror_map(joint_names)]
    total = len(encode)
    splits = [Latents(sided, total - 2 * sided) for sided in range(total // 2 + 1)]
    return min(
        splits,
        key=lambda split: float(np.abs(mirrored - encode[autoencoder.latent_mirror(split)]).sum()),
    )


def latent_sides(latents: Latents) -> list[str]:
    """The side of each latent point: "l", "r" or ""."""
    return ["l"] * latents.sided + ["r"] * latents.sided + [""] * latents.central


def typical_pose(true_mm: Float[np.ndarray, "n j 3"], joint_names: tuple[str, ...]) -> np.ndarray:
    """The true pose nearest to the average one, turned upright: x to the person's left, y down.

    Poses are aligned before averaging, because they face all directions.
    """
    poses = np.asarray(true_mm[:CANDIDATES], np.float64)
    valid = np.ones(poses.shape[:2], bool)
    mean = poses[0]
    for _ in range(3):
        aligned = np.asarray(alignment.procrustes(poses, np.broadcast_to(mean, poses.shape), valid))
        mean = aligned.mean(axis=0)
    pose = poses[np.linalg.norm(aligned - mean, axis=-1).mean(axis=1).argmin()]
    pose = pose - pose.mean(axis=0)
    lateral = np.mean(
        pose - pose[skeleton.mirror_map(joint_names)], axis=0, where=_left(joint_names)
    )
    lateral /= max(float(np.linalg.norm(lateral)), 1e-6)
    upright = pose - np.outer(pose @ lateral, lateral)
    down = np.linalg.svd(upright, full_matrices=False)[2][0]
    # Most people in images stand, so the head is up along the camera's y axis.
    down = down * (1.0 if down[1] >= 0 else -1.0)
    return pose @ np.stack([lateral, down, np.cross(lateral, down)]).T


def _left(joint_names: tuple[str, ...]) -> np.ndarray:
    return np.array([[side == "l"] for side in skeleton.sides(joint_names)])


def weights(maps: Matrices, union: JointUnion, true_mm: Float[np.ndarray, "n j 3"]) -> Figure:
    """The decoding matrix: joints in order of side, format and height; latent points in order of
    side and height.
    """
    split = latents_of(maps, union.joint_names)
    body = typical_pose(true_mm, union.joint_names)
    places = np.asarray(maps.encode) @ body
    owner = _owners(union)
    joint_sides = skeleton.sides(union.joint_names)
    columns = _order(latent_sides(split), [0] * split.total, places[:, 1])
    rows = _order(joint_sides, owner, body[:, 1])
    matrix = np.asarray(maps.decode)[rows][:, columns]
    figure = charts.canvas(4.2, 5.6)
    axes = figure.add_subplot()
    reach = float(np.quantile(np.abs(matrix), 0.995))
    image = axes.imshow(
        matrix, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto", interpolation="none"
    )
    colours = list(drawing.format_colours(union).values())
    for position, row in enumerate(rows):
        axes.plot([-1.4, -0.7], [position] * 2, color=colours[owner[row]], linewidth=2.0)
    axes.set_xlim(-1.6, split.total - 0.5)
    _mark_sides(axes, [latent_sides(split)[i] for i in columns], axes.set_xticks, axes.axvline)
    _mark_sides(axes, [joint_sides[i] for i in rows], axes.set_yticks, axes.axhline)
    axes.set_xlabel("latent points, each side from head to foot", fontsize=8, color=charts.TEXT)
    axes.set_ylabel("joints, format by format", fontsize=8, color=charts.TEXT)
    axes.tick_params(labelsize=8, length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=30, location="bottom")
    bar.set_label("weight", fontsize=8, color=charts.TEXT)
    bar.ax.tick_params(labelsize=7, colors=charts.TEXT)
    charts.frame(axes)
    return figure


def _owners(union: JointUnion) -> list[int]:
    """The number of each joint's format."""
    owner = [0] * len(union.joint_names)
    for number, indices in enumerate(union.members.values()):
        for index in indices:
            owner[index] = number
    return owner


def _order(sides: list[str], groups: list[int], heights: np.ndarray) -> Int[np.ndarray, " k"]:
    """The order by side (left, right, centre), then by group, then from top to bottom."""
    rank = [list(SIDES).index(side) for side in sides]
    order = sorted(range(len(sides)), key=lambda i: (rank[i], groups[i], heights[i]))
    return np.array(order, np.int64)


def _mark_sides(axes: Axes, sides: list[str], ticks, line) -> None:
    """Write the name of each side at the middle of its rows, and draw lines between the sides."""
    places = {side: [i for i, other in enumerate(sides) if other == side] for side in SIDES}
    present = {side: rows for side, rows in places.items() if rows}
    ticks([float(np.mean(rows)) for rows in present.values()], [SIDES[s] for s in present])
    for rows in list(present.values())[1:]:
        line(rows[0] - 0.5, color=charts.QUIET, linewidth=0.8)


def on_body(maps: Matrices, union: JointUnion, true_mm: Float[np.ndarray, "n j 3"]) -> Figure:
    """The latent points of a typical pose from two sides, with all formats' skeletons in grey."""
    sides = latent_sides(latents_of(maps, union.joint_names))
    body = typical_pose(true_mm, union.joint_names)
    places = np.asarray(maps.encode) @ body
    middle = (body.min(axis=0) + body.max(axis=0)) / 2
    # Both views have one scale. Negative weights allow points outside; they stand on the border.
    reach = np.array([np.ptp(body[:, [0, 2]], axis=0).max(), np.ptp(body[:, 1])]) * 0.6 + 100.0
    figure = charts.canvas(4.6, 0.35 + 2.25 * float(np.clip(reach[1] / reach[0], 1.0, 2.5)))
    grid = figure.subplots(1, 2)
    for axes, (axis, text) in zip(grid, ((0, "from the front"), (2, "from the side")), strict=True):
        flat = body[:, [axis, 1]]
        segments = [flat[[a, b]] for a, b in union.edges]
        axes.add_collection(LineCollection(segments, colors=charts.QUIET, linewidths=0.5))
        centre = middle[[axis, 1]]
        points = np.clip(places[:, [axis, 1]], centre - 0.97 * reach, centre + 0.97 * reach)
        for side, name in SIDES.items():
            own = [i for i, other in enumerate(sides) if other == side]
            axes.scatter(*points[own].T, s=16, color=SIDE_COLOURS[side], label=name, zorder=3)
        low, high = centre - reach, centre + reach
        axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), xticks=[], yticks=[])
        axes.set_aspect("equal")
        axes.set_title(text, fontsize=9, color=charts.TEXT)
        charts.frame(axes)
    grid[0].legend(fontsize=8, frameon=False, labelcolor=charts.TEXT, loc="lower left")
    return figure
