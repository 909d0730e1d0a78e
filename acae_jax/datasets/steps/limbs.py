"""The recipe's choice of people with 2D labels: more than half of the limbs' joints have one."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

JOINTS = tuple(
    f"{side}{joint}" for side in "lr" for joint in ("sho", "elb", "wri", "hip", "kne", "ank")
)
MORE_THAN = 6


def are_labelled(joint_names: Sequence[str], joints_px: Float[np.ndarray, "j 2"]) -> bool:
    """Whether more than 6 of the 12 joints of the arms and legs have a label (are not NaN)."""
    limbs_px = joints_px[[joint_names.index(name) for name in JOINTS]]
    return int(np.isfinite(limbs_px).all(axis=-1).sum()) > MORE_THAN
