"""A stored person crop with the labels that its dataset has: 3D, 2D, both or none.

Every dataset of crops is stored in this form, so that one masked loss serves all of them.
Conventions: 3D labels are in millimetres in world space; 2D labels are in pixels of the stored
crop, with pixel centres at integers; the stored crop is undistorted; NaN marks a joint without a
label. The image is stored as encoded JPEG bytes and decoded when an example is made.

`format` names the skeleton of the labels, or several side by side: "coco_body+mixamo" has the
joints of coco_body, then those of mixamo.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt32

from acae_jax.data import schema

_ROTATION_TOLERANCE = 1e-3
_BESIDE = "+"
# The formats that version 0.1 called "every", in its embedded test set.
_EVERY_0_1 = "mh_default+cmu_mb+game_engine+mixamo+coco_body+markers"


class CropRecord(NamedTuple):
    """One stored person crop (numpy arrays; image as encoded JPEG bytes)."""

    image: bytes
    intrinsics: Float32[np.ndarray, "3 3"]  # px, of the stored undistorted crop
    rotation: Float32[np.ndarray, "3 3"]  # world → camera
    position_mm: Float32[np.ndarray, "3"]  # camera centre in the world
    joints_mm: Float32[np.ndarray, "j 3"]  # world; NaN = not labelled; (0, 3) without 3D labels
    joints_px: Float32[np.ndarray, "k 2"]  # stored crop; NaN = not labelled; (0, 2) without 2D ones
    box: Float32[np.ndarray, "4"]  # x, y, w, h in px of the stored crop
    mask_rle: UInt32[np.ndarray, " r"]  # COCO column-major runs, background first; empty = no mask
    format: str  # of the labels; empty if there are none
    key: str  # readable id, "studio_a/woman3/walk/000123"
    format_px: str = ""  # of joints_px, if it differs from that of joints_mm
    clip: str = ""  # ids within the dataset, empty where unknown
    frame: int = -1  # of the clip's video, from 0
    person: str = ""
    camera: str = ""


def beside(formats: tuple[str, ...]) -> str:
    """The value of a record's `format` for labels of several formats side by side."""
    return _BESIDE.join(formats)


def formats(text: str) -> tuple[str, ...]:
    """The single formats in a record's `format`, in the order of its joints."""
    return tuple(text.split(_BESIDE)) if text else ()


def format_of_px(record: CropRecord) -> str:
    """The format of the 2D labels."""
    return record.format_px or record.format


def in_camera_mm(record: CropRecord) -> Float32[np.ndarray, "j 3"]:
    """The 3D labels in the space of the record's camera."""
    return (record.joints_mm - record.position_mm) @ record.rotation.T


def _build(**values: Any) -> CropRecord:
    """A record from its stored values."""
    if values["format"] == "every":
        values["format"] = _EVERY_0_1
    return CropRecord(**values)


def _check(record: CropRecord) -> None:
    """Raise ValueError if camera, box or labels are impossible."""
    label = f"record {record.key!r}"
    for name in ("intrinsics", "rotation", "position_mm", "box"):
        if not np.isfinite(getattr(record, name)).all():
            raise ValueError(f"{label}: {name} must be finite")
    check_camera(label, record.intrinsics, record.rotation)
    if (record.box[2:] <= 0).any():
        raise ValueError(
            f"{label}: box must be x, y, w, h with w, h > 0, got {record.box.tolist()}"
        )
    if not record.format and (len(record.joints_mm) or len(record.joints_px)):
        raise ValueError(f"{label}: format must name the skeleton of the labels, but it is empty")


def check_camera(
    label: str,
    intrinsics: Float32[np.ndarray, "3 3"],
    rotation: Float32[np.ndarray, "3 3"],
) -> None:
    """Raise ValueError unless the rotation is proper and the intrinsics have their usual form."""
    residual = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if residual > _ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise ValueError(f"{label}: rotation must be a proper rotation (world → camera)")
    focal_x, focal_y = intrinsics[0, 0], intrinsics[1, 1]
    if focal_x <= 0 or focal_y <= 0 or not np.array_equal(intrinsics[2], [0, 0, 1]):
        raise ValueError(
            f"{label}: intrinsics must be [[fx, s, cx], [0, fy, cy], [0, 0, 1]], fx > 0"
        )


SCHEMA = schema.Schema(
    record=_build,
    fields={
        "image": schema.jpeg(),
        "intrinsics": schema.array(3, 3),
        "rotation": schema.array(3, 3),
        "position_mm": schema.array(3),
        "joints_mm": schema.array(None, 3),
        "joints_px": schema.array(None, 2),
        "box": schema.array(4),
        "mask_rle": schema.array(None, dtype=np.uint32),
        "format": schema.text(""),
        "key": schema.text(),
        "format_px": schema.text(""),
        "clip": schema.text(""),
        "frame": schema.number(int, -1),
        "person": schema.text(""),
        "camera": schema.text(""),
    },
    check=_check,
)
