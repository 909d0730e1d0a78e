"""C3D: markers over time in the binary format of biomechanics, written by ezc3d (extra [c3d]).

Joints are points. Vertical axis z, which POINT:X_SCREEN and Y_SCREEN state, unit mm. A missing
point has zeros and residual -1, any other residual 0. A frame is numbered as in the video, from 1;
where these numbers are too large for the header, it counts from 1 on, and the first and last
numbers stand in TRIAL:ACTUAL_START_FIELD and ACTUAL_END_FIELD, low word first, as the format says.
More than 255 points have their labels in POINT:LABELS, LABELS2 and so on, as the format asks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from acae_jax.files import plain_names
from acae_jax.motion import track

# The header's frame numbers are 16-bit words, and some readers add one to the last.
LAST_FRAME = 65_534
INTEGER = 2  # a parameter's type: words of 16 bits
LONGEST_NAME = 127  # lengths in the parameter section are signed bytes


def write(
    path: str | Path,
    joint_names: Sequence[str],
    positions_mm: Float[np.ndarray, "F J 3"],
    fps: float,
    *,
    first_frame: int = 0,
    up: Sequence[float] | None = track.UP,
) -> None:
    """Write one person's joints as a C3D file; the path must end in .c3d.

    `first_frame` is the video's frame of the first position, from 0. `up` is the given world's
    upward direction, which becomes z; None leaves the axes alone and out of the file. Raises
    ImportError without ezc3d and ValueError, in one line, for what cannot be written.
    """
    path = Path(path)
    names, positions = track.checked(joint_names, positions_mm, fps)
    _check_limits(path, names, len(positions))
    if first_frame < 0:
        raise ValueError(f"first_frame is {first_frame}; frames count from 0")
    try:
        import ezc3d
    except ImportError:
        raise ImportError("C3D files need ezc3d: pip install -e '.[c3d]'") from None
    positions = track.levelled(positions, up, "z")
    missing = np.isnan(positions[..., 0])
    file = ezc3d.c3d()
    count = len(positions)
    if first_frame + count <= LAST_FRAME:
        file["header"]["points"]["first_frame"] = first_frame
    else:
        _add_number(file, "ACTUAL_START_FIELD", first_frame + 1)
        _add_number(file, "ACTUAL_END_FIELD", first_frame + count)
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [float(fps)]
    point["UNITS"]["value"] = ["mm"]
    point["LABELS"]["value"] = names
    if up is not None:
        file.add_parameter("POINT", "X_SCREEN", "+X")
        file.add_parameter("POINT", "Y_SCREEN", "+Z")
    points = np.ones((4, len(names), count))
    points[:3] = np.nan_to_num(positions).T
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(missing, -1.0, 0.0).T[None]
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, *missing.T.shape), bool)
    with track.replacing(path) as part, plain_names.plain_name(part) as name:
        file.write(name)


def _add_number(file: Any, name: str, number: int) -> None:
    """Add a number of 32 bits to the group TRIAL, as two signed words."""
    words = np.array([number & 0xFFFF, number >> 16]).astype(np.uint16).astype(np.int16)
    file.add_parameter("TRIAL", name, words.tolist())
    file["parameters"]["TRIAL"][name]["type"] = INTEGER  # ezc3d takes numbers for floats


def _check_limits(path: Path, names: list[str], count: int) -> None:
    if path.suffix != ".c3d":
        raise ValueError(f"{path} does not end in .c3d; name the file so")
    for name in names:
        if len(name) > LONGEST_NAME or not name.isascii():
            raise ValueError(
                f"joint name '{name}' does not fit into C3D: at most {LONGEST_NAME} ASCII letters"
            )
    if count > LAST_FRAME:
        raise ValueError(
            f"{count} frames do not fit into a C3D file, which holds {LAST_FRAME}; write the "
            "sequence in pieces, or as TRC"
        )
