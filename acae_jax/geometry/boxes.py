"""Axis-aligned boxes (x, y, width, height) in pixels.

A box spans [x, x + width] × [y, y + height] in the pixel coordinates of `cameras`, in which a whole
image of size (w, h) is the box (-0.5, -0.5, w, h). Boxes are (*b, 4). An empty box has no area.
"""

import numpy as np
from jaxtyping import Float

from acae_jax.geometry import cameras
from acae_jax.geometry.arrays import Array, namespace


def of_image(width_px: int, height_px: int) -> Float[np.ndarray, "4"]:
    """Return the float32 box of a whole image."""
    return np.array([-0.5, -0.5, width_px, height_px], np.float32)


def of_points(points_px: Float[Array, "*b j 2"]) -> Float[Array, "*b 4"]:
    """Return the bounding box of points, not counting NaN; all zero if there is none."""
    xp = namespace(points_px)
    valid = ~xp.isnan(points_px).any(-1, keepdims=True)
    low = xp.where(valid, points_px, xp.full_like(points_px, np.inf)).min(-2)
    high = xp.where(valid, points_px, xp.full_like(points_px, -np.inf)).max(-2)
    some = valid.any(-2)
    low, high = (xp.where(some, end, xp.zeros_like(end)) for end in (low, high))
    return xp.concat([low, high - low], axis=-1)


def centre(box: Float[Array, "*b 4"]) -> Float[Array, "*b 2"]:
    """Return the middle of the box."""
    return box[..., :2] + box[..., 2:] / 2


def of_centre(
    centre_px: Float[Array, "*b 2"], size_px: Float[Array, "*b 2"]
) -> Float[Array, "*b 4"]:
    """Return the box of a (width, height) about a centre."""
    return namespace(centre_px, size_px).concat([centre_px - size_px / 2, size_px], axis=-1)


def area(box: Float[Array, "*b 4"]) -> Float[Array, "*b"]:
    """Return width × height."""
    return box[..., 2] * box[..., 3]


def expand(box: Float[Array, "*b 4"], factor: float) -> Float[Array, "*b 4"]:
    """Scale both sides about the centre."""
    return of_centre(centre(box), box[..., 2:] * factor)


def to_square(box: Float[Array, "*b 4"]) -> Float[Array, "*b 4"]:
    """Return the smallest square about the same centre that holds the box."""
    side = box[..., 2:].max(-1, keepdims=True)
    return of_centre(centre(box), namespace(box).concat([side, side], axis=-1))


def intersect(one: Float[Array, "*b 4"], other: Float[Array, "*b 4"]) -> Float[Array, "*b 4"]:
    """Return the common part of two boxes; without one, a box of no area."""
    xp = namespace(one, other)
    low = xp.maximum(one[..., :2], other[..., :2])
    high = xp.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    size = high - low
    return xp.concat([low, xp.where(size > 0, size, xp.zeros_like(size))], axis=-1)


def iou(one: Float[Array, "*b 4"], other: Float[Array, "*b 4"]) -> Float[Array, "*b"]:
    """Return intersection over union; 0 for two boxes without area."""
    xp = namespace(one, other)
    common = area(intersect(one, other))
    union = area(one) + area(other) - common
    return common / xp.where(union > 0, union, xp.ones_like(union))


def side_midpoints(box: Float[Array, "*b 4"]) -> Float[Array, "*b 4 2"]:
    """Return the midpoints of the left, right, top and bottom side."""
    half = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]], box.dtype)
    half = half.reshape((*(1,) * (box.ndim - 1), 4, 2))
    return centre(box)[..., None, :] + half * box[..., None, 2:]


def reproject(
    box: Float[Array, "*b 4"], from_camera: cameras.Camera, to_camera: cameras.Camera
) -> Float[Array, "*b 4"]:
    """Return the box of the side midpoints, seen by another camera with the same centre."""
    return of_points(cameras.reproject(from_camera, to_camera, side_midpoints(box)))


def random_partial(box: Float[np.ndarray, "4"], rng: np.random.Generator) -> Float[np.ndarray, "4"]:
    """Draw a square part of the box's square, as if only some of the person were in view.

    In units of the square: x1 ~ U(0, 0.5), x2 and y2 ~ U(0.5, 1), side = x2 - x1; kept once
    0.5 < side < y2 (PosePile's partial-visibility boxes).
    """
    square = to_square(box)
    while True:
        x1, x2, y2 = rng.uniform([0.0, 0.5, 0.5], [0.5, 1.0, 1.0])
        side = x2 - x1
        if 0.5 < side < y2:
            part = np.array([x1, y2 - side, side, side], box.dtype)
            return np.concatenate([square[:2], np.zeros_like(square[:2])]) + part * square[2]
