"""Which way is up, told by people who stand, sit and walk: for releases that do not say it."""

import numpy as np
from jaxtyping import Float

STEPS = 50
NEAREST = 1e-6


def direction(trunks: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3"] | None:
    """The geometric median of directions, which people who lie or bend hardly move.

    `trunks` go from people's feet to their necks, of any length; those with NaN do not count. None
    without any.
    """
    length = np.linalg.norm(trunks, axis=-1, keepdims=True)
    units = trunks[(length > 0).all(-1)] / length[(length > 0).all(-1)]
    if not len(units):
        return None
    median = units.mean(axis=0)
    for _ in range(STEPS):  # Weiszfeld's algorithm
        weights = 1 / np.maximum(np.linalg.norm(units - median, axis=-1, keepdims=True), NEAREST)
        median = (weights * units).sum(axis=0) / weights.sum()
    norm = np.linalg.norm(median)
    return median / norm if norm > NEAREST else None


def axis(trunks: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3"] | None:
    """The axis of the world, or its opposite, that is nearest to `direction`."""
    up = direction(trunks)
    if up is None:
        return None
    nearest = int(np.abs(up).argmax())
    return np.sign(up[nearest]) * np.eye(3)[nearest]
