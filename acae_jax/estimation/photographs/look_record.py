"""What is stored of a look: what the landmark network says of a crop, and the labels in it.

The network is frozen, so its maps are computed once. Lengths are in px of the crop and in mm; the
space is the crop camera's, in which a mirrored crop shows a mirrored person with left and right
named right.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float16, Float32

from acae_jax.data import schema
from acae_jax.data.schema import Schema


class LookRecord(NamedTuple):
    """One look at a person."""

    features: Float16[np.ndarray, "8 8 c"]
    points_px: Float32[np.ndarray, "33 2"]  # landmarks
    relative_mm: Float32[np.ndarray, "33 3"]  # the same, around the middle of the hips
    sure: Float32[np.ndarray, "33 2"]  # probability that a landmark is visible, and in the crop
    intrinsics: Float32[np.ndarray, "3 3"]  # px
    joints_mm: Float32[np.ndarray, "j 3"]  # NaN = not labelled
    format: str  # of the labels
    key: str


def _check(record: LookRecord) -> None:
    """Nothing beyond the fields' types can be wrong."""


SCHEMA = Schema(
    record=LookRecord,
    fields={
        "features": schema.array(8, 8, None, dtype=np.float16),
        "points_px": schema.array(33, 2),
        "relative_mm": schema.array(33, 3),
        "sure": schema.array(33, 2),
        "intrinsics": schema.array(3, 3),
        "joints_mm": schema.array(None, 3),
        "format": schema.text(),
        "key": schema.text(),
    },
    check=_check,
)
