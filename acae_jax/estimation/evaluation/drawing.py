"""Drawing predicted skeletons on Matplotlib's axes.

Each format has its colour. Lines of the left side are solid, of the right side dashed, of the
centre dotted. In side views the camera is at the left, and depth grows to the right. A side view
moves a pose by the same translation for all formats, so their disagreement stays visible.
"""

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from acae_jax.pages import charts
from acae_jax.skeletons import skeleton
from acae_jax.skeletons.union import JointUnion

DASHES = {"l": "-", "r": (0, (2.2, 1.4)), "": (0, (0.8, 0.8))}


def format_colours(union: JointUnion) -> dict[str, str]:
    """A colour for each format; up to six are colours that colour-blind people can distinguish."""
    names = list(union.members)
    if len(names) <= len(charts.PALETTE):
        return dict(zip(names, charts.PALETTE, strict=False))
    ramp = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, len(names)))
    return {name: colors.to_hex(colour) for name, colour in zip(names, ramp, strict=True)}


def draw_skeletons(
    axes: Axes, points: Float[np.ndarray, "j 2"], union: JointUnion, width: float = 1.1
) -> None:
    """Draw the skeletons of all formats at these 2D points, later formats over earlier ones."""
    colours = format_colours(union)
    sides = skeleton.sides(union.joint_names)
    for name, indices in union.members.items():
        inside = set(indices)
        runs: dict[str, list] = {side: [] for side in DASHES}
        for a, b in union.edges:
            if a in inside and b in inside:
                both = {sides[a], sides[b]} - {""}
                runs[both.pop() if len(both) == 1 else ""].append(points[[a, b]])
        for side, segments in runs.items():
            lines = LineCollection(
                segments, colors=colours[name], linewidths=width, linestyles=[DASHES[side]]
            )
            axes.add_collection(lines, autolim=False)


def draw_crop(
    axes: Axes,
    image: UInt8[np.ndarray, "s s 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    pose_mm: Float[np.ndarray, "j 3"],
    union: JointUnion,
) -> None:
    """Draw the crop, and the projection of the pose on it."""
    side = len(image)
    axes.imshow(image, interpolation="none")
    rays = pose_mm / np.maximum(pose_mm[:, 2:], 1.0)
    draw_skeletons(axes, rays @ intrinsics[:2].T, union)
    axes.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5))
    axes.set_axis_off()


def draw_side(
    axes: Axes,
    pose_mm: Float[np.ndarray, "j 3"],
    true_mm: Float[np.ndarray, "j 3"],
    union: JointUnion,
) -> None:
    """Draw the pose from the side, moved to the mean of the true joints, which are faint dots.

    Joints that are NaN are not drawn.
    """
    both = np.isfinite(pose_mm + true_mm).all(axis=1)
    is_labelled = both.any()
    if not is_labelled:
        true_mm, both = pose_mm, np.isfinite(pose_mm).all(axis=1)
    truth = (true_mm[both] - true_mm[both].mean(axis=0))[:, [2, 1]]
    points = (pose_mm - pose_mm[both].mean(axis=0))[:, [2, 1]]
    middle = (truth.min(axis=0) + truth.max(axis=0)) / 2
    reach = max(float(np.ptp(truth, axis=0).max()) * 0.7, 500.0)
    if is_labelled:
        axes.scatter(*truth.T, s=2.5, color=charts.QUIET, linewidths=0, alpha=0.8)
    draw_skeletons(axes, points, union)
    axes.set(xlim=middle[0] + reach * np.array([-1, 1]), ylim=middle[1] + reach * np.array([1, -1]))
    axes.set_aspect("equal")
    charts.frame(axes)
    axes.set(xticks=[], yticks=[])
    axes.text(
        0.02,
        0.02,
        "← camera",
        fontsize=7,
        color=charts.QUIET,
        transform=axes.transAxes,
        va="bottom",
    )
