"""What a stored record holds: named fields of four kinds, checked alike wherever records pass.

A schema belongs to one NamedTuple, such as `crop_record.CropRecord`. A field with a default may be
missing in a stored dataset, so that records can gain fields and older datasets still open.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

_JPEG_START = b"\xff\xd8"
_SHAPE = "_shape"
ARRAY, NUMBER, TEXT, JPEG = "array", "number", "text", "jpeg"


class Field(NamedTuple):
    """One field: its kind, shape and type; None in the shape stands for any size."""

    kind: str
    shape: tuple[int | None, ...] = ()
    dtype: type = np.float32
    default: Any = None  # what a dataset without the field has; None: every dataset must have it


class Schema(NamedTuple):
    """The fields of a record class, in its order, and what must hold beyond their types.

    `check` raises ValueError, in one line, for a record whose fields are of the right type each but
    mean nothing together.
    """

    record: Callable[..., Any]
    fields: Mapping[str, Field]
    check: Callable[[Any], None]


def array(*shape: int | None, dtype: type = np.float32, default: Any = None) -> Field:
    """A NumPy array of this shape."""
    return Field(ARRAY, shape, dtype, default)


def number(kind: type, default: Any = None) -> Field:
    """An `int` or a `float`; like all of TFDS's numbers a float keeps single precision."""
    return Field(NUMBER, (), {int: np.int64, float: np.float64}[kind], default)


def text(default: str | None = None) -> Field:
    """A `str`, which may be empty only with the default ""."""
    return Field(TEXT, default=default)


def jpeg() -> Field:
    """The bytes of an encoded JPEG image."""
    return Field(JPEG)


def features(schema: Schema) -> tfds.features.FeaturesDict:
    """Return the TFDS features of a record, for a builder's DatasetInfo."""
    made = {}
    for name, field in schema.fields.items():
        if field.kind == JPEG:
            made[name] = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
        elif field.kind == TEXT:
            made[name] = tfds.features.Text()
        else:
            shape = (None,) if _is_flat(field) else field.shape
            made[name] = tfds.features.Tensor(shape=shape, dtype=field.dtype)
        if _is_flat(field):
            made[f"{name}{_SHAPE}"] = tfds.features.Tensor(shape=(None,), dtype=np.int64)
    return tfds.features.FeaturesDict(made)


def to_dict(schema: Schema, record: Any) -> dict[str, Any]:
    """Return what a TFDS builder yields for the record, checked."""
    values = check(schema, record)._asdict()
    for name, field in schema.fields.items():
        if _is_flat(field):
            values[f"{name}{_SHAPE}"] = np.array(values[name].shape, np.int64)
            values[name] = values[name].ravel()
    return values


def from_dict(schema: Schema, example: Mapping[str, Any]) -> Any:
    """Return the checked record of a dict as TFDS reads it (SkipDecoding: images as bytes).

    Raises ValueError if a field without a default is missing, or a field breaks the schema.
    """
    required = (name for name, field in schema.fields.items() if field.default is None)
    missing = [name for name in required if name not in example]
    if missing:
        raise ValueError(f"not a record: no field {', '.join(missing)}; rebuild the dataset")
    values = {
        name: _plain(field, example[name]) if name in example else field.default
        for name, field in schema.fields.items()
    }
    for name, field in schema.fields.items():
        if _is_flat(field) and name in example:
            values[name] = values[name].reshape(example[f"{name}{_SHAPE}"])
    return check(schema, schema.record(**values))


def check(schema: Schema, record: Any) -> Any:
    """Return the record unchanged, or raise ValueError naming the field that breaks the schema."""
    for name, field in schema.fields.items():
        try:
            _check_field(name, field, getattr(record, name))
        except ValueError as error:
            raise ValueError(f"record {record.key!r}: {error}") from None
    schema.check(record)
    return record


def _is_flat(field: Field) -> bool:
    """Whether an array is stored as numbers and shape: TFDS leaves one size open, not two."""
    return field.shape.count(None) > 1


def _plain(field: Field, value: Any) -> Any:
    """A value as TFDS reads it in the type that records have."""
    if field.kind == TEXT and isinstance(value, bytes):
        return value.decode("utf-8")
    if field.kind == NUMBER and isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        return value.item()
    return value


def _check_field(name: str, field: Field, value: Any) -> None:
    if field.kind == JPEG:
        if not isinstance(value, bytes) or not value.startswith(_JPEG_START):
            raise ValueError(f"{name} must be encoded JPEG bytes")
    elif field.kind == TEXT:
        may_be_empty = field.default == ""
        if not isinstance(value, str) or not (value or may_be_empty):
            kind = "a text" if may_be_empty else "a non-empty text"
            raise ValueError(f"{name} must be {kind}, got {value!r}")
    elif field.kind == NUMBER:
        kind = int if field.dtype == np.int64 else float
        if type(value) is not kind:
            raise ValueError(f"{name} must be {kind.__name__}, got {value!r}")
    else:
        _check_array(name, field, value)


def _check_array(name: str, field: Field, value: Any) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != field.dtype:
        have = getattr(value, "dtype", type(value).__name__)
        raise ValueError(f"{name} must be {np.dtype(field.dtype)}, got {have}")
    fits = value.ndim == len(field.shape) and all(
        want is None or have == want for have, want in zip(value.shape, field.shape, strict=True)
    )
    if not fits:
        want = tuple("any" if size is None else size for size in field.shape)
        raise ValueError(f"{name} must have shape {want}, got {value.shape}")
