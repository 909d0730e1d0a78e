"""Pictures of a report, drawn without pyplot: people with skeletons, errors in depth and curves as
SVG for the page, and an overview as PNG.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from acae_jax.estimation.evaluation import drawing
from acae_jax.estimation.reporting import workflow_results
from acae_jax.estimation.reporting.workflow_results import Run
from acae_jax.pages import charts
from acae_jax.skeletons import body_parts, skeleton
from acae_jax.skeletons.union import JointUnion

TITLES = {
    "initial": "Initial (stage 1)",
    "separate": "Separate heads",
    "regularised": "Regularised",
    "latent": "Latent prediction",
    "hybrid": "Hybrid",
    "merged": "Merged by name",
    "autoencoder": "Autoencoder (stage 2)",
}
PNG_BYTES = 400_000


def title(variant: str) -> str:
    """The name of a variant or stage in the report."""
    return TITLES.get(variant, variant)


def body_points(union: JointUnion, true_mm: Float[np.ndarray, "n j 3"]) -> dict[str, list[int]]:
    """The joints with each base name that more than half of the formats have, at least two; from
    head to foot.
    """
    owners_of: dict[str, dict[str, int]] = {}
    for name, indices in union.members.items():
        for index in indices:
            owners_of.setdefault(skeleton.base_name(union.joint_names[index]), {})[name] = index
    enough = max(2, len(union.members) // 2 + 1)
    shared = {base: [*owners.values()] for base, owners in owners_of.items()}
    points = {base: owners for base, owners in shared.items() if len(owners) >= enough}
    height = true_mm[..., 1].mean(axis=0)
    bases = list(points)
    partner = {base: bases[i] for base, i in zip(bases, skeleton.mirror_map(bases), strict=True)}

    def rank(base: str) -> tuple[float, str]:
        # Left and right stand next to each other, at the mean height of both.
        both = points[base] + points[partner[base]]
        return float(height[both].mean()), base

    return {base: points[base] for base in sorted(points, key=rank)}


def depth_errors(
    pose_mm: Float[np.ndarray, "j 3"], true_mm: Float[np.ndarray, "j 3"]
) -> Float[np.ndarray, " j"]:
    """The depth error of each joint in mm, minus the mean of all joints; NaN where the truth is."""
    error = (pose_mm - true_mm)[:, 2]
    return error - error[np.isfinite(error)].mean()


def draw_depth_errors(
    axes: Axes,
    errors_mm: Float[np.ndarray, " j"],
    points: dict[str, list[int]],
    union: JointUnion,
    reach_mm: float,
) -> None:
    """Draw a row for each body point: a dot at the error of each format, a bar over their range."""
    colours = drawing.format_colours(union)
    owner = {index: name for name, indices in union.members.items() for index in indices}
    for row, joints in enumerate(points.values()):
        indices = [joint for joint in joints if np.isfinite(errors_mm[joint])]
        if not indices:
            continue
        values = errors_mm[indices]
        axes.plot(
            [values.min(), values.max()], [row, row], color=charts.QUIET, linewidth=5, alpha=0.35
        )
        axes.scatter(
            values, [row] * len(indices), s=13, color=[colours[owner[i]] for i in indices], zorder=3
        )
    axes.axvline(0.0, color=charts.QUIET, linewidth=0.8)
    axes.set(xlim=(-reach_mm, reach_mm), ylim=(len(points) - 0.4, -0.6))
    axes.set_yticks(range(len(points)), in_words(list(points)))
    axes.tick_params(labelsize=7, length=2, colors=charts.TEXT)
    axes.set_xlabel("depth error, mm", fontsize=8, color=charts.TEXT)
    charts.frame(axes)


def in_words(base_names: Sequence[str]) -> list[str]:
    """Base names of joints in words, if they are known: "lkne", if there is "rkne", is "L knee"."""
    return [f"{part.side.upper()} {part.name}".strip() for part in body_parts.of(base_names)]


def full(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """A transparent figure and its axes, which fill it."""
    figure = Figure((width_in, height_in))
    figure.patch.set_alpha(0.0)
    return figure, figure.add_axes((0.005, 0.005, 0.99, 0.99))


def crop(run: Run, index: int, pose_mm: Float[np.ndarray, "j 3"]) -> Figure:
    """A test image with a pose drawn on it."""
    figure, axes = full(3.0, 3.0)
    drawing.draw_crop(axes, run.images[index], run.intrinsics[index], pose_mm, run.union)
    return figure


def side_view(run: Run, index: int, pose_mm: Float[np.ndarray, "j 3"]) -> Figure:
    """A pose of a test image, seen from the side."""
    figure, axes = full(3.0, 3.0)
    drawing.draw_side(axes, pose_mm, run.true_mm[index], run.union)
    return figure


def depth_spread(run: Run, index: int, variant: str) -> Figure:
    """Depth errors of the formats at the same points of the body; all variants have one scale."""
    errors = {
        name: depth_errors(run.predictions_mm[name][index], run.true_mm[index])
        for name in workflow_results.compared(run)
    }
    points = body_points(run.union, workflow_results.whole_poses_mm(run))
    joints = sorted({index for indices in points.values() for index in indices})
    sizes = np.abs([error[joints] for error in errors.values()])
    reach = float(sizes[np.isfinite(sizes)].max(initial=10.0))
    figure = charts.canvas(3.0, 3.6)
    draw_depth_errors(figure.add_subplot(), errors[variant], points, run.union, 1.08 * reach)
    return figure


def curves(rows: Mapping[str, Sequence[Mapping[str, float | int]]], key: str) -> Figure:
    """`key` of these stages against their steps: faint as logged, bold as running mean."""
    logged = {stage: [row for row in of if row.get(key) is not None] for stage, of in rows.items()}
    lines = [
        charts.Curve(
            title(stage),
            np.array([row["step"] for row in entries]),
            np.array([row[key] for row in entries]),
            style,
        )
        for (stage, entries), style in zip(logged.items(), charts.styles(len(logged)), strict=True)
    ]
    return charts.curves(lines, "step", key, from_zero=True, legend=len(lines) > 1)


def overview(run: Run) -> bytes:
    """A PNG for a page about the project: two examples, on the image and from the side."""
    by_label = workflow_results.examples(run)
    examples = [by_label[label] for label in ("median", "middle of the worst quarter")]
    names = workflow_results.compared(run)
    figure = Figure((2.3 * (2 + len(names)), 4.9))
    grid = figure.subplots(len(examples), 2 + len(names), squeeze=False)
    figure.subplots_adjust(0.005, 0.06, 0.995, 0.935, 0.03, 0.03)
    for row, index in zip(grid, examples, strict=True):
        drawing.draw_crop(
            row[0],
            run.images[index],
            run.intrinsics[index],
            run.predictions_mm[names[-1]][index],
            run.union,
        )
        row[0].images[0].set_interpolation("bilinear")
        poses = [run.true_mm[index], *(run.predictions_mm[name][index] for name in names)]
        for axes, pose in zip(row[1:], poses, strict=True):
            drawing.draw_side(axes, pose, run.true_mm[index], run.union)
    heads = [f"{title(names[-1])}, on the image", "Truth, from the side"]
    heads += [f"{title(name)}, from the side" for name in names]
    for axes, text in zip(grid[0], heads, strict=True):
        axes.set_title(text, fontsize=9)
    for number, (name, colour) in enumerate(drawing.format_colours(run.union).items()):
        place = (number + 0.5) / len(run.union.members)
        figure.text(place, 0.02, name, color=colour, size=9, ha="center")
    return _small_png(figure)


def _small_png(figure: Figure) -> bytes:
    """The figure as a PNG of at most `PNG_BYTES` if possible, with a palette or fewer pixels."""
    file = io.BytesIO()
    for dpi, colours in ((150, 0), (150, 256), (110, 256), (80, 256), (50, 64)):
        figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
        if colours:
            pixels = pixels.quantize(colours, dither=Image.Dither.NONE)
        file = io.BytesIO()
        pixels.save(file, "PNG", optimize=True)
        if file.tell() <= PNG_BYTES:
            break
    return file.getvalue()
