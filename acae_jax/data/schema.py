"""What a stored record holds: named fields of four kinds, checked when written and when read.

A schema belongs to one NamedTuple, such as `crop_record.CropRecord`. A stored dataset may lack a
field that has a default. So records can gain fields, and older datasets still open.
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
    default: Any = None  # for datasets without the field; None: every dataset must have it


class Schema(NamedTuple):
    """The fields of a record class, in its order, and a check of the whole record.

    `check` raises ValueError, in one line, for a record whose fields have the right types but
    impossible values.
    """

    record: Callable[..., Any]
    fields: Mapping[str, Field]
    check: Callable[[Any], None]


def array(*shape: int | None, dtype: type = np.float32, default: Any = None) -> Field:
    """A NumPy array of this shape."""
    return Field(ARRAY, shape, dtype, default)


def number(kind: type, default: Any = None) -> Field:
    """An `int` or a `float`; TFDS keeps single precision of a float."""
    return Field(NUMBER, (), {int: np.int64, float: np.float64}[kind], default)


def text(default: str | None = None) -> Field:
    """A `str`; it may be empty only if the default is ""."""
    return Field(TEXT, default=default)


def jpeg() -> Field:
    """The bytes of an encoded JPEG image."""
    return Field(JPEG)


def features(schema: Schema) -> tfds.features.FeaturesDict:
    """Return the TFDS features of a record, for a builder's DatasetInfo."""
    by_name = {}
    for name, field in schema.fields.items():
        if field.kind == JPEG:
            by_name[name] = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
        elif field.kind == TEXT:
            by_name[name] = tfds.features.Text()
        elif _is_map(field):
            shape = (None,) * len(field.shape)  # TFDS stores it beside the bytes
            by_name[name] = tfds.features.Tensor(shape=shape, dtype=np.float16, encoding="bytes")
        else:
            shape = (None,) if _is_flat(field) else field.shape
            by_name[name] = tfds.features.Tensor(shape=shape, dtype=field.dtype)
        if _is_flat(field):
            by_name[f"{name}{_SHAPE}"] = tfds.features.Tensor(shape=(None,), dtype=np.int64)
    return tfds.features.FeaturesDict(by_name)


def to_dict(schema: Schema, record: Any) -> dict[str, Any]:
    """Check the record and return what a TFDS builder yields for it."""
    values = check(schema, record)._asdict()
    for name, field in schema.fields.items():
        if _is_flat(field):
            values[f"{name}{_SHAPE}"] = np.array(values[name].shape, np.int64)
            values[name] = values[name].ravel()
    return values


def from_dict(schema: Schema, example: Mapping[str, Any]) -> Any:
    """Return the record of a dict that TFDS read with SkipDecoding (images as bytes), checked.

    Raises ValueError if a field without a default is missing, or if the record breaks the schema.
    """
    required = (name for name, field in schema.fields.items() if field.default is None)
    missing = [name for name in required if name not in example]
    if missing:
        raise ValueError(
            f"not a record: it has no field {', '.join(missing)}; prepare the dataset again"
        )
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
    """Whether an array is stored flat beside its shape, as TFDS allows only one open size."""
    return field.shape.count(None) > 1 and not _is_map(field)


def _is_map(field: Field) -> bool:
    """Whether an array is a network's map, of half precision and large: stored as its bytes, which
    takes a seventieth of the time and half of the space of a list of numbers.
    """
    return field.dtype == np.float16 and len(field.shape) > 1


def _plain(field: Field, value: Any) -> Any:
    """A value that TFDS read, in the type that records have."""
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
        kind = getattr(value, "dtype", type(value).__name__)
        raise ValueError(f"{name} must be {np.dtype(field.dtype)}, got {kind}")
    fits = value.ndim == len(field.shape) and all(
        expected is None or size == expected
        for size, expected in zip(value.shape, field.shape, strict=True)
    )
    if not fits:
        shape = tuple("any" if size is None else size for size in field.shape)
        raise ValueError(f"{name} must have shape {shape}, got {value.shape}")
