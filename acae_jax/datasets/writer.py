"""Records → a TFDS dataset of ArrayRecord files, at <folder>/<name>/<version>/.

They can be read without the code of a builder:
`tfds.builder_from_directory(folder).as_data_source(split)`. TensorFlow is never needed. The folder
of a version is complete or absent.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import hashing

from acae_jax.data import crop_record, sources
from acae_jax.data.schema import Schema
from acae_jax.datasets import record_files
from acae_jax.files import plain_names

_INCOMPLETE = "incomplete."


def folder(out: str | Path, name: str, version: str) -> Path:
    """The folder of a dataset."""
    return Path(out) / name / version


def write(
    out: str | Path,
    name: str,
    version: str,
    splits: Mapping[str, Callable[[], Iterable[Any]]],
    *,
    description: str,
    joint_names: Mapping[str, Sequence[str]],
    metadata: Mapping[str, str | int | float] | None = None,
    schema: Schema = crop_record.SCHEMA,
) -> Path:
    """Write a dataset of records of a schema; returns its folder.

    `splits` has a function for each split, which returns a fresh iterable of its records.
    `joint_names` are those of each skeleton of the labels, in the order of the records' joints;
    readers of the dataset match joints by them. `metadata` must determine the content, such as seed
    and size: a complete dataset with the same metadata is kept. The order on disk is shuffled by
    key, the same way every time. Raises ValueError for a record that breaks the schema, for a key
    that occurs twice, and if the folder holds another dataset.
    """
    sources.check_platform()
    plain_names.check_utf8(out)
    place = folder(out, name, version)
    if is_there(out, name, version, joint_names, metadata):
        return place
    for left_over in Path(out).glob(f"{name}/{_INCOMPLETE}*"):
        shutil.rmtree(left_over)
    unfinished = place.with_name(f"{_INCOMPLETE}{version}")
    unfinished.mkdir(parents=True)
    written = [
        _write_split(unfinished, name, split, schema, make()) for split, make in splits.items()
    ]
    record_files.describe(
        unfinished,
        name,
        version,
        written,
        description=description,
        schema=schema,
        metadata=_stored(joint_names, metadata),
    )
    unfinished.rename(place)
    return place


def _write_split(
    place: Path, name: str, split: str, schema: Schema, records: Iterable[Any]
) -> tfds.core.SplitInfo:
    """Write the file of a split, in the order of its keys' hashes.

    TFDS itself holds a gigabyte of examples in memory, and needs TensorFlow for more. So they go to
    a file as they come, and from there to the next file in order.
    """
    hasher, hashes, sizes = hashing.Hasher(split), {}, []

    def noted() -> Iterator[bytes]:
        for data in record_files.serialised(_distinct(name, records, hasher, hashes), schema):
            sizes.append(len(data))
            yield data

    path = place / f"{name}-{split}.{record_files.FORMAT}-00000-of-00001"
    unordered = path.with_name(f"{path.name}.unordered")
    record_files.write(unordered, noted())
    in_order = list(hashes.values())
    indices = sorted(range(len(in_order)), key=in_order.__getitem__)
    record_files.write(path, record_files.read(unordered, indices))
    unordered.unlink()
    return tfds.core.SplitInfo(split, [len(indices)], sum(sizes))


def _distinct(
    name: str, records: Iterable[Any], hasher: hashing.Hasher, hashes: dict[str, int]
) -> Iterator[Any]:
    """The records, whose keys' hashes are noted; ValueError for a key that occurs twice."""
    for record in records:
        if record.key in hashes:
            raise ValueError(f"{name}: two records have the key {record.key!r}; make it unique")
        hashes[record.key] = hasher.hash_key(record.key)
        yield record


def is_there(
    out: str | Path,
    name: str,
    version: str,
    joint_names: Mapping[str, Sequence[str]],
    metadata: Mapping[str, str | int | float] | None = None,
) -> bool:
    """Whether `write` has written this dataset; ValueError if its folder holds another one."""
    place, stored = folder(out, name, version), _stored(joint_names, metadata)
    if not (place / "dataset_info.json").is_file():
        return False
    path = place / "metadata.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if metadata and before == stored:
        return True
    different = sorted(k for k in before.keys() | stored if before.get(k) != stored.get(k))
    differs = f"it differs in {', '.join(different)}" if different else "its content is unknown"
    raise ValueError(
        f"{place} already holds a dataset, and {differs}: delete that folder, or write another "
        "version or to another folder"
    )


def _stored(
    joint_names: Mapping[str, Sequence[str]], metadata: Mapping[str, str | int | float] | None
) -> dict[str, str | int | float]:
    named = {skeleton: list(joints) for skeleton, joints in joint_names.items()}
    return {**(metadata or {}), "joint_names": json.dumps(named)}
