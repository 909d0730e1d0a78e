"""Points over time in C3D files, by ezc3d (extra [datasets]); `motion.c3d` writes them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from acae_jax import messages
from acae_jax.files import plain_names


class Points(NamedTuple):
    """Labelled points over time, in the file's unit of length; NaN where one is missing."""

    names: tuple[str, ...]
    positions: Float[np.ndarray, "F J 3"]
    unit: str
    rate_hz: float


def read(path: str | Path) -> Points:
    """The points of a C3D file.

    A point is missing where its residual is negative or it lies at the origin exactly, which is how
    files mark it. Raises FileNotFoundError; ValueError, in one line, if the file is damaged; and
    ImportError without ezc3d.
    """
    try:
        import ezc3d
    except ImportError:
        raise ImportError("C3D files need ezc3d: pip install -e '.[datasets]'") from None
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not there")
    try:
        with plain_names.plain_name(path) as name:
            file = ezc3d.c3d(name)
        point = file["parameters"]["POINT"]
        positions = np.array(file["data"]["points"][:3].T, np.float64)
        residuals = np.asarray(file["data"]["meta_points"]["residuals"])[0].T
        names = tuple(label.strip() for label in _labels(point))[: positions.shape[1]]
        rate_hz = float(point["RATE"]["value"][0])
        unit = (point["UNITS"]["value"] if "UNITS" in point else None) or [""]
    except Exception as error:  # ezc3d raises what its C++ raised, of any type
        raise ValueError(f"{path} is no readable C3D: {messages.one_line(error)}") from error
    if len(names) != positions.shape[1]:
        raise ValueError(f"{path} names {len(names)} of its {positions.shape[1]} points")
    positions[(residuals < 0) | (positions == 0).all(-1)] = np.nan
    return Points(names, positions, unit[0].strip(), rate_hz)


def _labels(point: dict) -> list[str]:
    """All labels: LABELS holds the first 255, LABELS2 the next ones and so on."""
    labels, number = [], 1
    while (key := f"LABELS{number}" if number > 1 else "LABELS") in point:
        labels += point[key]["value"]
        number += 1
    return labels
