"""Arrays in the page: whole numbers of a step, as compressed text.

Values are at most half a step wrong. Rows are ordered by track and frame; each column holds the
changes from row to row, which are small. The lowest bytes of all numbers come first, then the
higher ones. So deflate makes about a third of it.
"""

import base64
import zlib
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int16, Int32

STEP_MM, STEP_ERROR_MM = 0.5, 1.0  # of places and of expected errors
STEP_PX = 0.25  # at least; larger for images of over 4,096 px
FARTHEST_MM = 1e9
LARGEST, MISSING = 32767, -32768


def places(
    poses_mm: Float[np.ndarray, "n j 3"],
) -> tuple[Int32[np.ndarray, "n 3"], Int16[np.ndarray, "n k"]]:
    """The middle of each person in steps from the origin, and the joints in steps from this middle.

    So the resolution of joints does not depend on where the person stands. Joints more than
    16 m from the person's middle, or 1,000 km from the origin, are MISSING.
    """
    in_range = np.all(np.abs(poses_mm) < FARTHEST_MM, axis=-1, keepdims=True)
    poses_mm = np.where(in_range, poses_mm, np.float32(np.nan))
    poses_mm[~np.any(in_range, axis=(1, 2))] = 0
    middles = np.round(np.nanmedian(poses_mm, axis=1) / STEP_MM).astype(np.int32)
    offsets = poses_mm - (middles * STEP_MM)[:, None].astype(np.float32)
    near = in_range & np.all(np.abs(offsets) < LARGEST * STEP_MM, axis=-1, keepdims=True)
    return middles, in_steps(np.where(near, offsets, np.float32(np.nan)), STEP_MM)


def in_steps(values: Float[np.ndarray, " n *s"], step: float) -> Int16[np.ndarray, "n k"]:
    """Values in whole steps, clipped to 16 bits, one row for each entry; MISSING if not finite."""
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    is_finite = np.isfinite(flat)
    steps = np.divide(flat, step, where=is_finite, out=np.zeros_like(flat))
    np.clip(np.round(steps, out=steps), -LARGEST, LARGEST, out=steps)
    return np.where(is_finite, steps, MISSING).astype(np.int16)


def pack(values: Int[np.ndarray, "n k"]) -> dict[str, Any]:
    """Columns of whole numbers as text, in the form above, which data.js reads."""
    # Differences wrap around, and so do the sums in the page.
    columns = np.concatenate([values[:1], np.diff(values, axis=0)]).T
    little = columns.astype(values.dtype.newbyteorder("<"), order="C")
    planes = little.reshape(-1, 1).view(np.uint8).T
    text = base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode()
    return {"rows": len(values), "base64": text}
