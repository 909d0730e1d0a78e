"""Records → a TFDS dataset of ArrayRecord files, at <folder>/<name>/<version>/.

They can be read without the code of a builder:
`tfds.builder_from_directory(folder).as_data_source(split)`. TensorFlow is never needed. TFDS writes
to a temporary folder and renames it at the end, so the folder of a version is complete or absent.
"""

import contextlib
import errno
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import registered

from acae_jax.data import crop_record, sources
from acae_jax.data import schema as schemas
from acae_jax.data.schema import Schema
from acae_jax.files import plain_names


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
    named = {skeleton: list(joints) for skeleton, joints in joint_names.items()}
    stored = {**(metadata or {}), "joint_names": json.dumps(named)}
    if _is_there(folder(out, name, version), stored, bool(metadata)):
        return folder(out, name, version)
    for left_over in Path(out).glob(f"{name}/*incomplete*"):
        shutil.rmtree(left_over)

    def info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=schemas.features(schema),
            metadata=tfds.core.MetadataDict(stored),
        )

    def split_generators(self, download_manager):
        return {split: self._generate_examples(make) for split, make in splits.items()}

    def generate(self, make):
        keys = set()
        for record in make():
            if record.key in keys:
                raise ValueError(f"{name}: two records have the key {record.key!r}; make it unique")
            keys.add(record.key)
            yield record.key, schemas.to_dict(schema, record)

    with registered.skip_registration():
        builder_class = type(
            "RecordBuilder",
            (tfds.core.GeneratorBasedBuilder,),
            {
                "name": name,
                "VERSION": tfds.core.Version(version),
                "pkg_dir_path": None,
                "_info": info,
                "_split_generators": split_generators,
                "_generate_examples": generate,
            },
        )
    builder = builder_class(data_dir=str(out), file_format="array_record")
    tfds.disable_progress_bar()
    # TFDS needs a folder for downloads although there are none, and prints to stdout.
    with tempfile.TemporaryDirectory() as downloads, contextlib.redirect_stdout(io.StringIO()):
        try:
            builder.download_and_prepare(download_dir=downloads)
        except RuntimeError as error:  # the type of all errors of ArrayRecord
            if "No space left" not in str(error):
                raise
            raise OSError(errno.ENOSPC, f"no space left for {name} in {out}") from error
    return folder(out, name, version)


def _is_there(place: Path, metadata: Mapping[str, Any], is_described: bool) -> bool:
    """Whether this dataset is there and complete; ValueError if its folder holds another one."""
    if not (place / "dataset_info.json").is_file():
        return False
    path = place / "metadata.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if is_described and before == dict(metadata):
        return True
    different = sorted(k for k in before.keys() | metadata if before.get(k) != metadata.get(k))
    differs = f"it differs in {', '.join(different)}" if different else "its content is unknown"
    raise ValueError(
        f"{place} already holds a dataset, and {differs}: delete that folder, or write another "
        "version or to another folder"
    )
