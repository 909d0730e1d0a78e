"""Labels in files of motion: BVH, whose joints are bones' ends, and C3D, whose joints are markers.

A file is of one person. Its frames count from 0, at its own rate.
"""

from pathlib import Path

import numpy as np

from acae_jax.datasets.own.label_files.labels import Labels
from acae_jax.datasets.readers import bvh, c3d_points

UNITS = {"mm": "mm", "cm": "cm", "m": "m", "millimeters": "mm", "meters": "m", "metres": "m"}


def read(path: Path) -> Labels:
    """The labels in a file of motion; errors as of its reader."""
    if path.suffix.lower() == ".bvh":
        motion = bvh.read(path)
        return _labels(motion.names, motion.positions, "", motion.rate_hz)
    points = c3d_points.read(path)
    unit = UNITS.get(points.unit.lower(), "")
    return _labels(points.names, points.positions, unit, points.rate_hz)


def _labels(names: tuple[str, ...], positions: np.ndarray, unit: str, rate_hz: float) -> Labels:
    count = len(positions)
    return Labels(
        tuple(range(count)),
        ("",) * count,
        names,
        positions.astype(np.float64),
        np.full((count, len(names), 2), np.nan),
        np.full((count, 4), np.nan),
        unit,
        rate_hz,
        is_motion=True,
    )
