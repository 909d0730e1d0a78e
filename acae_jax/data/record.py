"""The one record schema: a stored person crop with the labels that its dataset has.

Every dataset, 3D-labelled or 2D-labelled, is stored in this form, so that one loss under one
mask serves them all. Conventions: millimetres in world space for 3D, pixels of the stored crop
for 2D (pixel centres at integers), the stored crop is undistorted, NaN marks a joint without a
label. The image is kept as the encoded JPEG bytes: decoding belongs to whoever makes examples.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float32, UInt32

_ROTATION_TOLERANCE = 1e-3
_JPEG_START = b"\xff\xd8"


class Record(NamedTuple):
    """One stored person crop (numpy arrays; image as encoded JPEG bytes)."""

    image: bytes
    intrinsics: Float32[np.ndarray, "3 3"]  # px, of the stored undistorted crop
    rotation: Float32[np.ndarray, "3 3"]  # world → camera
    position_mm: Float32[np.ndarray, "3"]  # camera centre in the world
    joints_mm: Float32[np.ndarray, "j 3"]  # world; NaN = not labelled; (0, 3) in 2D datasets
    joints_px: Float32[np.ndarray, "k 2"]  # stored crop; NaN = not labelled; (0, 2) in 3D datasets
    box: Float32[np.ndarray, "4"]  # x, y, w, h in px of the stored crop
    mask_rle: UInt32[np.ndarray, "r"]  # COCO column-major runs, background first; empty = no mask
    format: str  # the skeleton format of the labels
    key: str  # readable id, "studio_a/woman3/walk/000123"


_ARRAYS: dict[str, tuple[tuple[int | None, ...], type]] = {
    "intrinsics": ((3, 3), np.float32),
    "rotation": ((3, 3), np.float32),
    "position_mm": ((3,), np.float32),
    "joints_mm": ((None, 3), np.float32),
    "joints_px": ((None, 2), np.float32),
    "box": ((4,), np.float32),
    "mask_rle": ((None,), np.uint32),
}


def features() -> tfds.features.FeaturesDict:
    """Return the TFDS features of a record, for a builder's DatasetInfo."""
    arrays = {
        name: tfds.features.Tensor(shape=shape, dtype=dtype)
        for name, (shape, dtype) in _ARRAYS.items()
    }
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            **arrays,
            "format": tfds.features.Text(),
            "key": tfds.features.Text(),
        }
    )


def to_dict(record: Record) -> dict[str, Any]:
    """Return what a TFDS builder yields for the record, validated."""
    return check(record)._asdict()


def from_dict(example: Mapping[str, Any]) -> Record:
    """Return the validated record of a dict as TFDS reads it (SkipDecoding: image as bytes).

    Raises ValueError if a field is missing or breaks the schema.
    """
    missing = [name for name in Record._fields if name not in example]
    if missing:
        raise ValueError(f"not a record: no field {', '.join(missing)}; rebuild the dataset")
    fields = {name: example[name] for name in Record._fields}
    for name in ("format", "key"):
        if isinstance(fields[name], bytes):
            fields[name] = fields[name].decode("utf-8")
    return check(Record(**fields))


def check(record: Record) -> Record:
    """Return the record unchanged, or raise ValueError naming the field that breaks the schema."""
    label = f"record {record.key!r}"
    if not isinstance(record.image, bytes) or not record.image.startswith(_JPEG_START):
        raise ValueError(f"{label}: image must be encoded JPEG bytes")
    for name in ("format", "key"):
        value = getattr(record, name)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{label}: {name} must be a non-empty text, got {value!r}")
    for name, (shape, dtype) in _ARRAYS.items():
        _check_array(label, name, getattr(record, name), shape, dtype)
    for name in ("intrinsics", "rotation", "position_mm", "box"):
        if not np.isfinite(getattr(record, name)).all():
            raise ValueError(f"{label}: {name} must be finite")
    _check_camera(label, record)
    if (record.box[2:] <= 0).any():
        raise ValueError(
            f"{label}: box must be x, y, w, h with w, h > 0, got {record.box.tolist()}"
        )
    labelled_3d, labelled_2d = (
        bool(np.isfinite(joints).all(axis=1).any())
        for joints in (record.joints_mm, record.joints_px)
    )
    if labelled_3d == labelled_2d or (len(record.joints_mm) and len(record.joints_px)):
        raise ValueError(
            f"{label}: either joints_mm (3D datasets) or joints_px (2D datasets) must hold "
            f"labels, got {len(record.joints_mm)} and {len(record.joints_px)} joints"
        )
    return record


def _check_array(
    label: str, name: str, value: Any, shape: tuple[int | None, ...], dtype: type
) -> None:
    """Raise unless the value is an array of the schema's dtype and shape."""
    if not isinstance(value, np.ndarray) or value.dtype != dtype:
        found = getattr(value, "dtype", type(value).__name__)
        raise ValueError(f"{label}: {name} must be {np.dtype(dtype)}, got {found}")
    fits = value.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(value.shape, shape, strict=True)
    )
    if not fits:
        want = tuple("any" if size is None else size for size in shape)
        raise ValueError(f"{label}: {name} must have shape {want}, got {value.shape}")


def _check_camera(label: str, record: Record) -> None:
    """Raise unless the rotation is a proper rotation and the focal lengths are positive."""
    residual = np.abs(record.rotation @ record.rotation.T - np.eye(3)).max()
    if residual > _ROTATION_TOLERANCE or np.linalg.det(record.rotation) < 0:
        raise ValueError(f"{label}: rotation must be a proper rotation (world → camera)")
    focal_x, focal_y = record.intrinsics[0, 0], record.intrinsics[1, 1]
    if focal_x <= 0 or focal_y <= 0 or not np.array_equal(record.intrinsics[2], [0, 0, 1]):
        raise ValueError(
            f"{label}: intrinsics must be [[fx, s, cx], [0, fy, cy], [0, 0, 1]], fx > 0"
        )
