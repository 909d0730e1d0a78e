"""What every format asks of one person's joints over time before they are written."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

# Up in the package's world when no extrinsics are given: x right, y down, z forward.
UP = (0.0, -1.0, 0.0)


def checked(
    joint_names: Sequence[str], positions_mm: Float[np.ndarray, "F J 3"], fps: float
) -> tuple[list[str], Float64[np.ndarray, "F J 3"]]:
    """Return names without white space and positions, NaN in all or no coordinates of a joint.

    A one-line ValueError says what to mend: numbers that do not fit together, names that coincide,
    infinite positions, or not a single position.
    """
    names = ["_".join(name.split()) for name in joint_names]
    if positions_mm.ndim != 3 or positions_mm.shape[1:] != (len(names), 3):
        raise ValueError(
            f"positions_mm has shape {positions_mm.shape}; {len(names)} joint names need "
            f"(frames, {len(names)}, 3)"
        )
    repeated = [name for i, name in enumerate(names) if not name or name in names[:i]]
    if repeated:
        raise ValueError(f"joint name '{repeated[0]}' is empty or there twice; rename one")
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}; give the frames per second, a number above 0")
    positions = np.array(positions_mm, np.float64)
    if np.isinf(positions).any():
        raise ValueError("positions_mm holds infinite values; write NaN where a joint is missing")
    positions[np.isnan(positions).any(-1)] = np.nan
    if np.isnan(positions).all():
        raise ValueError("positions_mm holds no position at all; leave this person out")
    return names, positions


def levelled(
    positions: Float64[np.ndarray, "F J 3"], up: Sequence[float] | None, vertical: str
) -> Float64[np.ndarray, "F J 3"]:
    """Turn the world until `up` is its `vertical` axis, 'y' or 'z', and x as nearly x as can be.

    None leaves everything as it is. A zero or incomplete `up` raises a ValueError.
    """
    if up is None:
        return positions
    upward = np.array(up, np.float64)
    if upward.shape != (3,) or not np.isfinite(upward).all() or not upward.any():
        raise ValueError(f"up is {tuple(up)}; give a direction such as {UP}, or None")
    upward = upward / np.linalg.norm(upward)
    across = np.array([1.0, 0.0, 0.0])
    if abs(upward[0]) > 1 - 1e-9:  # x is vertical: z takes its place
        across = np.array([0.0, 0.0, 1.0])
    across = across - (across @ upward) * upward
    across = across / np.linalg.norm(across)
    if vertical == "y":
        axes = [across, upward, np.cross(across, upward)]
    else:
        axes = [across, np.cross(upward, across), upward]
    return positions @ np.stack(axes).T


def without_gaps(positions: Float64[np.ndarray, "F J 3"]) -> Float64[np.ndarray, "F J 3"]:
    """Fill every joint's gaps linearly in time; before its first and after its last, hold it.

    Every joint must be there in some frame.
    """
    filled = positions.copy()
    frames = np.arange(len(positions))
    missing = np.isnan(positions[..., 0])
    for joint in np.flatnonzero(missing.any(0)):
        there = ~missing[:, joint]
        for axis in range(3):
            known = positions[there, joint, axis]
            filled[:, joint, axis] = np.interp(frames, frames[there], known)
    return filled


def at_even_times(
    places: Float64[np.ndarray, " m"],
    poses_mm: Float32[np.ndarray, "m J 3"],
    neighbours: Bool[np.ndarray, " n"],
) -> tuple[int, Float32[np.ndarray, "F J 3"]]:
    """Poses at all whole numbers from the first place to the last, and the first of these numbers.

    `places` rise. From one to the next where these are `neighbours`, poses are interpolated;
    elsewhere a pose goes to the nearest number, and what is left is NaN.
    """
    first, last = round(float(places[0])), round(float(places[-1]))
    even = np.full((last - first + 1, *poses_mm.shape[1:]), np.nan, np.float32)
    even[np.rint(places).astype(int) - first] = poses_mm
    if len(places) == 1:
        return first, even
    numbers = np.arange(first, last + 1)
    after = np.clip(np.searchsorted(places, numbers), 1, len(places) - 1)
    before = after - 1
    share = (numbers - places[before]) / (places[after] - places[before])
    share = share.clip(0, 1).astype(np.float32)[:, None, None]
    between = neighbours[before]
    even[between] = ((1 - share) * poses_mm[before] + share * poses_mm[after])[between]
    return first, even


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes its place when all went well."""
    part = path.with_name(f".part-{path.name}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
