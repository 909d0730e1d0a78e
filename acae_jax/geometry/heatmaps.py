"""From heat maps to coordinates: soft-argmax, and what its coordinates mean in pixels and mm.

A soft-argmax coordinate runs from 0 at the first cell to 1 at the last one. A backbone of stride s
on a crop of side S gives n = ceil(S / s) cells, and cell i stands for pixel i·s (+ s/2 if the
backbone's strides are centred, so that the cells' grid is symmetric in the crop): 0 … 1 spans
(n - 1) s = S - 1 - (S - 1) mod s pixels.
"""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from acae_jax.geometry.arrays import Array, namespace

BOX_MM = 2200.0
"""Side of the cube that a volumetric heat map covers (Sárándi et al. 2021, MeTRAbs)."""


def marginals(logits: Float[Array, "..."], axes: Sequence[int]) -> list[Float[Array, "*rest c"]]:
    """Softmax over `axes` together, then its sum along all of them but one, for each in turn.

    Each result has the remaining axes of `logits` and a last one with that axis' cells; for images
    name the x axis first. Always computed in float32 at least. The soft-argmax is the
    `expectation` of what this gives.
    """
    xp = namespace(logits)
    logits = logits.astype(np.promote_types(logits.dtype, np.float32))
    axes = tuple(axis % logits.ndim for axis in axes)
    peak = logits.max(axes, keepdims=True)
    if xp is not np:
        peak = jax.lax.stop_gradient(peak)  # it cancels; its gradient would be wasted work
    weights = xp.exp(logits - peak)
    total = weights.sum(axes)[..., None]
    rest = [axis for axis in range(logits.ndim) if axis not in axes]
    distributions = []
    for axis in axes:
        others = tuple(other for other in axes if other != axis)
        place = sorted([*rest, axis]).index(axis)
        distributions.append(xp.moveaxis(weights.sum(others), place, -1) / total)
    return distributions


def expectation(distributions: Sequence[Float[Array, "..."]]) -> Float[Array, "*rest d"]:
    """Expected coordinates, in 0 … 1, of distributions over the cells of their last axes."""
    xp = namespace(*distributions)
    means = [(weights * _grid(weights)).sum(-1) for weights in distributions]
    return xp.stack(means, axis=-1)


def _grid(like: Float[Array, "*rest c"]) -> np.ndarray:
    """0 … 1 along the last axis, with as many axes as `like`."""
    grid = np.linspace(0, 1, like.shape[-1], dtype=like.dtype)
    return grid.reshape((1,) * (like.ndim - 1) + (-1,))


def heatmap_to_px(
    coords01: Float[Array, "*b d"], side_px: int, stride: int, centred: bool
) -> Float[Array, "*b d"]:
    """Map soft-argmax coordinates of a heat map to pixels of the crop."""
    first, span = _cells_px(side_px, stride, centred)
    return coords01 * span + first


def px_to_heatmap(
    points_px: Float[Array, "*b d"], side_px: int, stride: int, centred: bool
) -> Float[Array, "*b d"]:
    """Map pixels of the crop to soft-argmax coordinates: the inverse of `heatmap_to_px`."""
    first, span = _cells_px(side_px, stride, centred)
    return (points_px - first) / span


def _cells_px(side_px: int, stride: int, centred: bool) -> tuple[float, int]:
    """Pixel of the first cell, and how far from it the last one lies."""
    return stride / 2 if centred else 0.0, (side_px - 1) - (side_px - 1) % stride


def shares(coords01: Float[Array, "*b"], cells: int) -> Float[Array, "*b c"]:
    """Weights of an axis' cells for a coordinate, by linear interpolation.

    They sum to 1, and their expected coordinate is the given one, moved to the border if outside.
    """
    xp = namespace(coords01)
    at = xp.clip(coords01, 0, 1)[..., None] * (cells - 1)
    grid = np.arange(cells, dtype=at.dtype).reshape((1,) * coords01.ndim + (-1,))
    return xp.maximum(0, 1 - xp.abs(at - grid))


def volume_to_mm(
    coords01: Float[Array, "*b 3"],
    side_px: int,
    stride: int,
    box_mm: float = BOX_MM,
    centred: bool = True,
) -> Float[Array, "*b 3"]:
    """Map soft-argmax coordinates (x, y, z) of a volume to millimetres in its cube.

    The origin is a corner of the cube: only differences between points of one pose mean anything.
    """
    xp = namespace(coords01)
    in_plane = heatmap_to_px(coords01[..., :2], side_px, stride, centred) * (box_mm / side_px)
    return xp.concat([in_plane, coords01[..., 2:] * box_mm], axis=-1)


def mm_to_volume(
    points_mm: Float[Array, "*b 3"],
    side_px: int,
    stride: int,
    box_mm: float = BOX_MM,
    centred: bool = True,
) -> Float[Array, "*b 3"]:
    """Map millimetres in the cube to soft-argmax coordinates: the inverse of `volume_to_mm`."""
    xp = namespace(points_mm)
    in_plane = px_to_heatmap(points_mm[..., :2] * (side_px / box_mm), side_px, stride, centred)
    return xp.concat([in_plane, points_mm[..., 2:] / box_mm], axis=-1)
