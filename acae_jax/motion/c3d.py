"""C3D: markers over time in the binary format of biomechanics, written by ezc3d (extra [c3d]).

Joints are points. Vertical axis z, which POINT:X_SCREEN and Y_SCREEN state, unit mm. A missing
point has zeros and residual -1, any other residual 0. A frame is numbered as in the video, from 1.
More than 255 points have their labels in POINT:LABELS, LABELS2 and so on, as the format asks.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.motion import track

# Frame numbers are 16-bit words, and some readers add one to the last.
LAST_FRAME = 65_534
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
    _check_limits(path, names, first_frame, len(positions))
    try:
        import ezc3d
    except ImportError:
        raise ImportError("C3D files need ezc3d: pip install -e '.[c3d]'") from None
    positions = track.levelled(positions, up, "z")
    missing = np.isnan(positions[..., 0])
    file = ezc3d.c3d()
    file["header"]["points"]["first_frame"] = first_frame
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [float(fps)]
    point["UNITS"]["value"] = ["mm"]
    point["LABELS"]["value"] = names
    if up is not None:
        file.add_parameter("POINT", "X_SCREEN", "+X")
        file.add_parameter("POINT", "Y_SCREEN", "+Z")
    points = np.ones((4, len(names), len(positions)))
    points[:3] = np.nan_to_num(positions).T
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(missing, -1.0, 0.0).T[None]
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, *missing.T.shape), bool)
    with track.replacing(path) as part:
        file.write(str(part))


def _check_limits(path: Path, names: list[str], first_frame: int, count: int) -> None:
    if path.suffix != ".c3d":
        raise ValueError(f"{path} does not end in .c3d; name the file so")
    for name in names:
        if len(name) > LONGEST_NAME or not name.isascii():
            raise ValueError(
                f"joint name '{name}' does not fit into C3D: at most {LONGEST_NAME} ASCII letters"
            )
    if first_frame < 0 or first_frame + count > LAST_FRAME:
        raise ValueError(
            f"frames {first_frame + 1}…{first_frame + count} do not fit into C3D, which counts "
            f"1…{LAST_FRAME}; write the sequence in pieces, or as TRC"
        )
