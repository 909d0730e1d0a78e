"""Records → a TFDS dataset of ArrayRecord files, at <folder>/<name>/<version>/.

They can be read without the code of a builder:
`tfds.builder_from_directory(folder).as_data_source(split)`. TensorFlow is never needed. The folder
of a version is complete or absent.
"""

import errno
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import dataset_info, example_serializer, hashing, naming
from tensorflow_datasets.core import splits as tfds_splits

from acae_jax.data import crop_record, sources
from acae_jax.data import schema as schemas
from acae_jax.data.schema import Schema
from acae_jax.files import plain_names

_FORMAT = "array_record"
_OPTIONS = "group_size:1"  # records are read one by one
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
    features = schemas.features(schema)
    try:
        written = [
            _write_split(unfinished, name, split, features, _examples(name, schema, make()))
            for split, make in splits.items()
        ]
    except RuntimeError as error:  # the type of all errors of ArrayRecord
        if "No space left" not in str(error):
            raise
        raise OSError(errno.ENOSPC, f"no space left for {name} in {out}") from error
    info = tfds.core.DatasetInfo(
        builder=dataset_info.DatasetIdentity(name, tfds.core.Version(version), str(unfinished), ""),
        description=description,
        features=features,
        metadata=tfds.core.MetadataDict(_stored(joint_names, metadata)),
    )
    info.set_file_format(tfds.core.FileFormat(_FORMAT))
    info.set_splits(tfds_splits.SplitDict(written))
    info.write_to_directory(unfinished)
    unfinished.rename(place)
    return place


def _examples(name: str, schema: Schema, records: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """The keys of records, and their values as TFDS takes them."""
    keys = set()
    for record in records:
        if record.key in keys:
            raise ValueError(f"{name}: two records have the key {record.key!r}; make it unique")
        keys.add(record.key)
        yield record.key, schemas.to_dict(schema, record)


def _write_split(
    place: Path,
    name: str,
    split: str,
    features: tfds.features.FeaturesDict,
    examples: Iterable[tuple[str, Any]],
) -> tfds.core.SplitInfo:
    """Write the file of a split, in the order of its keys' hashes.

    TFDS itself holds a gigabyte of examples in memory, and needs TensorFlow for more. So they go to
    a file as they come, and from there to the next file in order.
    """
    from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

    info = features.get_serialized_info()
    serializer = example_serializer.ExampleSerializer(info)  # pyright: ignore
    hasher = hashing.Hasher(split)
    template = naming.ShardedFileTemplate(
        data_dir=epath.Path(place), dataset_name=name, filetype_suffix=_FORMAT, split=split
    )
    path = str(template.sharded_filepath(shard_index=0, num_shards=1))
    hashes, size = [], 0
    unordered = f"{path}.unordered"
    writer = ArrayRecordWriter(unordered, _OPTIONS)
    for key, values in examples:
        data = serializer.serialize_example(features.encode_example(values))
        writer.write(data)
        hashes.append(hasher.hash_key(key))
        size += len(data)
    writer.close()
    writer, reader = ArrayRecordWriter(path, _OPTIONS), ArrayRecordReader(unordered)
    for index in sorted(range(len(hashes)), key=hashes.__getitem__):
        (data,) = reader.read([index])
        writer.write(data)
    writer.close()
    reader.close()
    Path(unordered).unlink()
    return tfds.core.SplitInfo(
        name=split, shard_lengths=[len(hashes)], num_bytes=size, filename_template=template
    )


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
