"""A person's joints over time, seen by one camera: in 2D, and in 3D if the dataset has that.

The conventions are those of `crop_record`, with one exception: 2D joints are in pixels of the
camera's original image, with its lens distortion. NaN marks a missing joint; all joints of a
missing frame are NaN.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from acae_jax.data import crop_record, schema


class TrackRecord(NamedTuple):
    """One person in one clip of one camera, T frames."""

    joints_px: Float32[np.ndarray, "t j 2"]  # NaN = missing
    confidence: Float32[np.ndarray, "t j"]  # of the 2D joints, 0 … 1; (0, 0) if unknown
    joints_mm: Float32[np.ndarray, "t k 3"]  # world; NaN = not labelled; (0, 0, 3) without 3D
    times_us: Int64[np.ndarray, " t"]  # microseconds of the frames, increasing
    intrinsics: Float32[np.ndarray, "3 3"]  # px
    distortion: Float32[np.ndarray, " d"]  # OpenCV's coefficients; (0,) without distortion
    rotation: Float32[np.ndarray, "3 3"]  # world → camera
    position_mm: Float32[np.ndarray, "3"]  # camera centre in the world
    image_px: Float32[np.ndarray, "2"]  # width, height
    frames_per_second: float
    layout: str  # the skeleton of joints_px
    key: str  # readable id, "s1/walking/camera2/person0"
    format: str = ""  # the skeleton of joints_mm, several side by side as in `crop_record`
    clip: str = ""  # ids within the dataset, empty where unknown
    first_frame: int = 0  # of the clip's video
    person: str = ""
    camera: str = ""


def _check(record: TrackRecord) -> None:
    """Raise ValueError if the arrays differ in frames, or if times or camera are impossible."""
    label = f"record {record.key!r}"
    frames, joints = record.joints_px.shape[:2]
    if not frames:
        raise ValueError(f"{label}: joints_px must have at least one frame")
    if record.confidence.size and record.confidence.shape != (frames, joints):
        raise ValueError(
            f"{label}: confidence must have shape {(frames, joints)} as joints_px, or (0, 0), "
            f"got {record.confidence.shape}"
        )
    if bool(len(record.joints_mm)) != bool(record.format):
        raise ValueError(f"{label}: joints_mm and format must be given together")
    for name, count in (("joints_mm", len(record.joints_mm)), ("times_us", len(record.times_us))):
        if count != frames and (name == "times_us" or count):
            raise ValueError(f"{label}: {name} has {count} frames, but joints_px has {frames}")
    if (np.diff(record.times_us) <= 0).any():
        raise ValueError(f"{label}: times_us must be increasing")
    if not 0 < record.frames_per_second < np.inf:
        raise ValueError(f"{label}: frames_per_second must be positive")
    for name in ("intrinsics", "distortion", "rotation", "position_mm", "image_px"):
        if not np.isfinite(getattr(record, name)).all():
            raise ValueError(f"{label}: {name} must be finite")
    if (record.image_px <= 0).any():
        raise ValueError(f"{label}: image_px must be width and height > 0")
    crop_record.check_camera(label, record.intrinsics, record.rotation)


SCHEMA = schema.Schema(
    record=TrackRecord,
    fields={
        "joints_px": schema.array(None, None, 2),
        "confidence": schema.array(None, None),
        "joints_mm": schema.array(None, None, 3),
        "times_us": schema.array(None, dtype=np.int64),
        "intrinsics": schema.array(3, 3),
        "distortion": schema.array(None),
        "rotation": schema.array(3, 3),
        "position_mm": schema.array(3),
        "image_px": schema.array(2),
        "frames_per_second": schema.number(float),
        "layout": schema.text(),
        "key": schema.text(),
        "format": schema.text(""),
        "clip": schema.text(""),
        "first_frame": schema.number(int, 0),
        "person": schema.text(""),
        "camera": schema.text(""),
    },
    check=_check,
)
