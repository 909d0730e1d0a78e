"""From the spread of heat maps to the error to expect, in mm.

The wider a joint's heat map, the less sure the network is of it, but in units of its own. A
`Calibration` turns the spread into millimetres: a monotone curve that all joints share, times a
factor for each joint.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Calibration(NamedTuple):
    """A curve through (spreads_mm, errors_mm), constant outside, and a factor for each joint."""

    spreads_mm: tuple[float, ...]
    errors_mm: tuple[float, ...]
    factors: tuple[float, ...]


def expected_mm(
    calibration: Calibration, spread_mm: Float[np.ndarray, "*b j"]
) -> Float[np.ndarray, "*b j"]:
    """Expected distance of each of the network's joints from the truth, after the pose's mean is
    aligned.
    """
    shared = np.interp(spread_mm, calibration.spreads_mm, calibration.errors_mm)
    return (shared * np.asarray(calibration.factors)).astype(np.float32)


def combined_mm(
    matrix: Float[np.ndarray, "k j"], expected_mm: Float[np.ndarray, "*b j"]
) -> Float[np.ndarray, "*b k"]:
    """The most that joints combined by the rows of `matrix` are off in expectation: Σ |w| error."""
    return expected_mm @ np.abs(matrix).T
