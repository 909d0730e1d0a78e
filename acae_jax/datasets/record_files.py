"""ArrayRecord files of serialised records, which are complete or absent, and their description."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_info, example_serializer
from tensorflow_datasets.core import splits as tfds_splits

from acae_jax.data import schema as schemas
from acae_jax.data.schema import Schema

FORMAT = "array_record"

READ_AT_ONCE = 64


def serialised(records: Iterable[Any], schema: Schema) -> Iterator[bytes]:
    """Records, checked, as TFDS stores them; ValueError for one that breaks the schema."""
    features = schemas.features(schema)
    serializer = example_serializer.ExampleSerializer(
        features.get_serialized_info()  # pyright: ignore - its type is recursive
    )
    for record in records:
        values = schemas.to_dict(schema, record)
        example = serializer.get_tf_example(features.encode_example(values))
        # A protocol buffer's map has an order of its own in every process.
        yield example.SerializeToString(deterministic=True)


def parsed(examples: Iterable[bytes], schema: Schema) -> Iterator[Any]:
    """The records of examples that `serialised` made."""
    features = schemas.features(schema)
    raw = {
        name: tfds.decode.SkipDecoding()
        for name, field in schema.fields.items()
        if field.kind == schemas.JPEG
    }
    for example in examples:
        values = features.deserialize_example_np(example, decoders=raw)
        yield schemas.from_dict(schema, values)  # pyright: ignore - its type is recursive


def describe(
    place: Path,
    name: str,
    version: str,
    splits: Sequence[tfds.core.SplitInfo],
    *,
    description: str,
    schema: Schema,
    metadata: Mapping[str, str | int | float],
) -> None:
    """Write TFDS's description of the dataset whose files are in a folder."""
    info = tfds.core.DatasetInfo(
        builder=dataset_info.DatasetIdentity(name, tfds.core.Version(version), str(place), ""),
        description=description,
        features=schemas.features(schema),
        metadata=tfds.core.MetadataDict(metadata),
    )
    info.set_file_format(tfds.core.FileFormat(FORMAT))
    info.set_splits(tfds_splits.SplitDict(splits))
    info.write_to_directory(place)


def write(path: Path, examples: Iterable[bytes]) -> None:
    """Write a file; OSError if the disk is full."""
    # Imported late: there is no array_record on Windows.
    from array_record.python import array_record_module  # pyright: ignore

    with _completed(path) as temporary:
        try:
            file = array_record_module.ArrayRecordWriter(str(temporary), "group_size:1")
            try:
                for example in examples:
                    file.write(example)
            finally:
                file.close()
        except RuntimeError as error:  # the type of all errors of ArrayRecord
            if "No space left" not in str(error):
                raise
            raise OSError(
                errno.ENOSPC, f"no space left for {path.name} in {path.parent}"
            ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file, likewise."""
    with _completed(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read(path: Path, indices: Sequence[int]) -> Iterator[bytes]:
    """The examples of a file with these indices, of which few are in memory."""
    from array_record.python import array_record_module  # pyright: ignore

    if not indices:
        return
    reader = array_record_module.ArrayRecordReader(str(path))
    for start in range(0, len(indices), READ_AT_ONCE):
        yield from reader.read(list(indices[start : start + READ_AT_ONCE]))
    reader.close()


@contextlib.contextmanager
def _completed(path: Path) -> Iterator[Path]:
    """A name for a file, which gets its own name when nothing has gone wrong."""
    # Other machines may be at the same work.
    temporary = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
