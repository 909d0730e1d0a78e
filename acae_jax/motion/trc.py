"""TRC: markers over time as tab-separated text, as OpenSim reads them.

Joints are markers. Vertical axis y, unit mm (or m), stated in the header. Fields of a missing
marker are empty. A frame is numbered as in the video, from 1, and its time is that of the video.
Every row ends with a tab: OpenSim's reader, which counts fields by their tabs, needs it where the
last marker is missing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.motion import track

_UNITS = {"mm": (1.0, 3), "m": (0.001, 6)}  # scale and decimals: micrometres either way
_KEYS = (
    "DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units",
    "OrigDataRate", "OrigDataStartFrame", "OrigNumFrames",
)  # fmt: skip


def write(
    path: str | Path,
    joint_names: Sequence[str],
    positions_mm: Float[np.ndarray, "F J 3"],
    fps: float,
    *,
    first_frame: int = 0,
    up: Sequence[float] | None = track.UP,
    unit: str = "mm",
) -> None:
    """Write one person's joints as a TRC file.

    `first_frame` is the video's frame of the first position, from 0. `up` is the given world's
    upward direction, which becomes y; None leaves the axes alone. Raises ValueError, in one line,
    for what cannot be written.
    """
    path = Path(path)
    names, positions = track.checked(joint_names, positions_mm, fps)
    if unit not in _UNITS:
        raise ValueError(f"unit is '{unit}'; TRC files are in {' or '.join(_UNITS)}")
    scale, decimals = _UNITS[unit]
    positions = track.levelled(positions, up, "y") * scale
    count = len(positions)
    rate = f"{fps:.10g}"
    values = (rate, rate, count, len(names), unit, rate, first_frame + 1, count)
    header = [
        f"PathFileType\t4\t(X/Y/Z)\t{' '.join(path.name.split())}",
        "\t".join(_KEYS),
        "\t".join(map(str, values)),
        "Frame#\tTime\t" + "".join(f"{name}\t\t\t" for name in names),
        "\t\t" + "".join(f"X{i}\tY{i}\tZ{i}\t" for i in range(1, len(names) + 1)),
        "",
    ]
    # A file's name may hold bytes that are no UTF-8, which become question marks.
    with (
        track.replacing(path) as part,
        part.open("w", encoding="utf-8", errors="replace", newline="\n") as file,
    ):
        file.write("\n".join(header) + "\n")
        for frame, row in enumerate(positions.reshape(count, -1).tolist(), start=first_frame):
            # NaN is the only number that differs from itself.
            fields = [f"{value:.{decimals}f}\t" if value == value else "\t" for value in row]
            file.write(f"{frame + 1}\t{frame / fps:.6f}\t{''.join(fields)}\n")
