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


def soft_argmax(logits: Float[Array, "..."], axes: Sequence[int]) -> Float[Array, "*rest d"]:
    """Softmax over `axes` together, then the expected coordinate along each, in 0 … 1.

    The result has the remaining axes of `logits` and a last one with a coordinate per entry of
    `axes`, in that order: for images name the x axis first. Always computed in float32 at least.
    """
    xp = namespace(logits)
    logits = logits.astype(np.promote_types(logits.dtype, np.float32))
    axes = tuple(axis % logits.ndim for axis in axes)
    peak = logits.max(axes, keepdims=True)
    if xp is not np:
        peak = jax.lax.stop_gradient(peak)  # it cancels; its gradient would be wasted work
    weights = xp.exp(logits - peak)
    total = weights.sum(axes)
    coordinates = []
    for axis in axes:
        others = tuple(other for other in axes if other != axis)
        marginal = weights.sum(others, keepdims=True)
        cells = logits.shape[axis]
        shape = [cells if i == axis else 1 for i in range(logits.ndim)]
        grid = np.linspace(0, 1, cells, dtype=logits.dtype).reshape(shape)
        coordinates.append((marginal * grid).sum(axes) / total)
    return xp.stack(coordinates, axis=-1)


def heatmap_to_px(
    coords01: Float[Array, "*b d"], side_px: int, stride: int, centred: bool
) -> Float[Array, "*b d"]:
    """Map soft-argmax coordinates of a heat map to pixels of the crop."""
    last = (side_px - 1) - (side_px - 1) % stride
    return coords01 * last + (stride / 2 if centred else 0.0)


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
