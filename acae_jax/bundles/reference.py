"""An input and what came out for it where a model was made, so that anyone can compare."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from acae_jax.files import numpy_files

FILE = "reference.npz"
TOLERANCE_MM = 1.0
"""Far above rounding, far below any real difference."""
LARGEST = 256 << 20
NAMES = ("images", "intrinsics", "poses_mm", "spread_mm")

Arrays = dict[str, np.ndarray]


class Difference(NamedTuple):
    """The largest differences of what a model gives here from what it gave where it was made."""

    poses_mm: float
    spread_mm: float


def difference(
    reference: Arrays, poses_mm: Float[np.ndarray, "b j 3"], spread_mm: Float[np.ndarray, "b j"]
) -> Difference:
    """How far a model's output is from the reference at most."""
    apart_mm = np.linalg.norm(poses_mm - reference["poses_mm"], axis=-1)
    return Difference(
        float(apart_mm.max()), float(np.abs(spread_mm - reference["spread_mm"]).max())
    )


def encoded(reference: Arrays) -> bytes:
    """The bytes of reference.npz."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **reference)
    return file.getvalue()


def decoded(path: Path, data: bytes, names: Sequence[str] = NAMES) -> Arrays:
    """The arrays in the bytes of a reference.npz, whose expanded size is bounded too."""
    try:
        arrays = numpy_files.arrays(io.BytesIO(data), names, LARGEST)
    except ValueError as error:
        raise ValueError(f"{path} is no reference: {error}") from None
    return dict(zip(names, arrays, strict=True))
