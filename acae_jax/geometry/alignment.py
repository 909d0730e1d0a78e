"""Aligning poses: by their mean, and by the best similarity (Procrustes).

Poses are (*b, J, 3) in millimetres. `mask` is (*b, J), true for the joints that count; coordinates
where it is false may be anything, NaN included.
"""

from jaxtyping import Bool, Float

from acae_jax.geometry import rotations
from acae_jax.geometry.arrays import Array, at_least_float32, matmul, namespace


def procrustes(
    prediction: Float[Array, "*b j 3"],
    target: Float[Array, "*b j 3"],
    mask: Bool[Array, "*b j"],
    scale: bool = True,
) -> Float[Array, "*b j 3"]:
    """Move predictions onto targets by the least-squares similarity of the masked joints.

    Rotation, translation and, unless switched off, scale; never a reflection (Umeyama 1991). All
    joints are moved, also those that are masked out. Without any valid joint the result is finite
    but means nothing.
    """
    xp = namespace(prediction, target, mask)
    dtype = prediction.dtype
    prediction, target = at_least_float32(prediction), at_least_float32(target)
    source, source_mean = _centred(xp, prediction, mask)
    goal, goal_mean = _centred(xp, target, mask)
    covariance = matmul(goal.mT, source)
    rotation = rotations.nearest_rotation(covariance)
    moved = matmul(prediction - source_mean, rotation.mT)
    if scale:
        spread = (source * source).sum((-2, -1), keepdims=True)
        explained = (rotation * covariance).sum((-2, -1), keepdims=True)
        moved = moved * (explained / xp.where(spread > 0, spread, xp.ones_like(spread)))
    return (moved + goal_mean).astype(dtype)


def mean_relative(
    points: Float[Array, "*b j c"], mask: Bool[Array, "*b j"]
) -> Float[Array, "*b j c"]:
    """Subtract the mean of the masked joints."""
    return points - _mean(namespace(points, mask), points, mask)


def _mean(xp, points: Array, mask: Array) -> Array:
    count = mask.sum(-1)[..., None, None].astype(points.dtype)
    total = xp.where(mask[..., None], points, xp.zeros_like(points)).sum(-2, keepdims=True)
    return total / xp.maximum(count, xp.ones_like(count))


def _centred(xp, points: Array, mask: Array) -> tuple[Array, Array]:
    """Return the points about their masked mean, zero where masked out, and that mean."""
    mean = _mean(xp, points, mask)
    return xp.where(mask[..., None], points - mean, xp.zeros_like(points)), mean
