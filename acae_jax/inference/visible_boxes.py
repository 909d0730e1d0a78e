"""What of a person's box a camera can see.

Outside of the image there is nothing to see. Beyond some distance from its axis the model of a lens
folds over: no direction leads to such pixels, so nothing can be said of people there.
"""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32

from acae_jax.geometry import boxes as geometry
from acae_jax.geometry import cameras, lens
from acae_jax.inference.arguments import Scene

REACH = 0.98  # of the radius where the lens model folds over: at it, directions are not determined
CLOSE = 1e-6  # on the image plane
SHRINKAGES = 64


class InView(NamedTuple):
    """The boxes that have a visible part, unchanged, and those parts."""

    boxes: Float32[np.ndarray, "n 5"]
    seen: Float[np.ndarray, "n 4"]


def check(boxes: Float32[np.ndarray, "n 5"], scene: Scene, leave_out: bool) -> InView:
    """The visible part of each box; without one ValueError, or UserWarning with `leave_out`."""
    seen = visible(boxes, scene)
    lost = np.isnan(seen).any(axis=1)
    if lost.any():
        height, width = scene.image.shape[:2]
        box = [round(side, 1) for side in boxes[np.argmax(lost), :4].tolist()]
        where = (
            f"lies outside of the {width} × {height} image, or where intrinsic_matrix and "
            "distortion_coeffs say nothing of directions"
        )
        if not leave_out:
            raise ValueError(f"box {box} {where}; leave it out")
        warnings.warn(f"left out a person whose box {where}", stacklevel=2)
    return InView(boxes[~lost], seen[~lost])


def visible(boxes: Float32[np.ndarray, "n 5"], scene: Scene) -> Float[np.ndarray, "n 4"]:
    """What can be seen of the boxes, in float64; NaN where there is nothing.

    Without distortion a box stays whole if a part of it lies in the image. With distortion it is
    cut at the image's edges, and shrunk towards the principal point until the lens model reaches
    its middle and the ends that say how large the crop is.
    """
    whole = boxes[:, :4].astype(np.float64)
    height, width = scene.image.shape[:2]
    of_image = np.broadcast_to(geometry.of_image(width, height).astype(np.float64), whole.shape)
    inside = geometry.intersect(whole, of_image)
    is_outside = geometry.area(inside) <= 0
    seen = whole
    if scene.camera.distortion.any():
        seen = np.array([_within_reach(box, scene.camera) for box in inside]).reshape(-1, 4)
    return np.where(is_outside[:, None], np.nan, seen)


def _within_reach(box: Float[np.ndarray, "4"], camera: cameras.Camera) -> Float[np.ndarray, "4"]:
    """The largest copy of the box, shrunk about its point nearest to the principal point, whose
    middle and ends have directions; NaN if there is none.
    """
    nearest = np.clip(camera.intrinsics[:2, 2], box[:2], box[:2] + box[2:])
    scales = np.linspace(1, 0, SHRINKAGES, endpoint=False)[:, None]
    copies = np.concatenate([nearest + scales * (box[:2] - nearest), scales * box[2:]], axis=1)
    ends = slice(2, 4) if box[2] < box[3] else slice(0, 2)  # as `images.crops.camera` has them
    points_px = np.concatenate(
        [geometry.centre(copies)[:, None], geometry.side_midpoints(copies)[:, ends]], axis=1
    )
    reached = has_direction(camera, points_px).all(axis=1)
    return copies[np.argmax(reached)] if reached.any() else np.full(4, np.nan)


def has_direction(
    camera: cameras.Camera, points_px: Float[np.ndarray, "*b 2"]
) -> Bool[np.ndarray, "*b"]:
    """Whether the lens model leads from some direction to these pixels, before it folds over."""
    plane = cameras.to_plane(camera.intrinsics, points_px)
    with np.errstate(all="ignore"):  # where it does not, the inverse may be anything
        straight = lens.undo_distortion(camera.distortion, plane)
        error = np.linalg.norm(lens.distort(camera.distortion, straight) - plane, axis=-1)
    radius = np.linalg.norm(straight, axis=-1)
    return (error < CLOSE) & (radius < REACH * lens.fold_radius(camera.distortion))
