"""A picture of a network's predictions on a few crops, to look at during training."""

import io

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from acae_jax.estimation.evaluation import drawing
from acae_jax.skeletons.union import JointUnion

CROPS = 4


def png(
    images: UInt8[np.ndarray, "n s s 3"],
    intrinsics: Float[np.ndarray, "n 3 3"],
    poses_mm: Float[np.ndarray, "n j 3"],
    true_mm: Float[np.ndarray, "n j 3"],
    union: JointUnion,
) -> bytes:
    """A PNG with the predicted skeletons on each crop, and below it from the side, with the true
    joints as dots. The names of the formats stand in their colours.
    """
    figure = Figure((2.3 * len(images), 4.9), dpi=110)
    FigureCanvasAgg(figure)
    columns = figure.subplots(2, len(images), squeeze=False).T
    figure.subplots_adjust(0.005, 0.06, 0.995, 0.995, 0.03, 0.03)
    rows = zip(images, intrinsics, poses_mm, true_mm, strict=True)
    for (above, below), (image, matrix, pose, truth) in zip(columns, rows, strict=True):
        drawing.draw_crop(above, image, matrix, pose, union)
        drawing.draw_side(below, pose, truth, union)
    for number, (name, colour) in enumerate(drawing.format_colours(union).items()):
        place = (number + 0.5) / len(union.members)
        figure.text(place, 0.02, name, color=colour, size=9, ha="center")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
