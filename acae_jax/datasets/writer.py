"""Records → a TFDS dataset of ArrayRecord files, at <folder>/<name>/<version>/.

Readable without builder code: `tfds.builder_from_directory(folder).as_data_source(split)`.
TensorFlow is never needed. TFDS writes into a temporary folder and renames it at the end, so the
version's folder is complete or absent.
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
    """Where a dataset lies."""
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
    """Writes a dataset of records of a schema; returns its folder.

    `splits` gives a fresh iterable of records per split. `joint_names` are those of each skeleton
    that the labels have, in the order of the records' joints: whoever reads the dataset matches
    joints by them. `metadata` must tell all that the content follows from, such as seed and size: a
    complete dataset with the same metadata is kept. Order on disk is shuffled by key, the same way
    every time. Raises ValueError for a record that breaks the schema, a key that occurs twice, or
    another dataset in this one's place.
    """
    sources.check_platform()
    plain_names.check_utf8(out)
    named = {skeleton: list(joints) for skeleton, joints in joint_names.items()}
    facts = {**(metadata or {}), "joint_names": json.dumps(named)}
    if _is_there(folder(out, name, version), facts, bool(metadata)):
        return folder(out, name, version)
    for left_over in Path(out).glob(f"{name}/*incomplete*"):
        shutil.rmtree(left_over)

    def info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=schemas.features(schema),
            metadata=tfds.core.MetadataDict(facts),
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
    # TFDS wants a place for downloads although there are none, and announces itself on stdout.
    with tempfile.TemporaryDirectory() as downloads, contextlib.redirect_stdout(io.StringIO()):
        try:
            builder.download_and_prepare(download_dir=downloads)
        except RuntimeError as error:  # ArrayRecord's only kind
            if "No space left" not in str(error):
                raise
            raise OSError(errno.ENOSPC, f"no space left for {name} in {out}") from error
    return folder(out, name, version)


def _is_there(place: Path, facts: Mapping[str, Any], is_described: bool) -> bool:
    """Whether this very dataset is complete; a ValueError if its place holds another one."""
    if not (place / "dataset_info.json").is_file():
        return False
    path = place / "metadata.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if is_described and stored == dict(facts):
        return True
    different = sorted(k for k in stored.keys() | facts if stored.get(k) != facts.get(k))
    differs = f"it differs in {', '.join(different)}" if different else "nothing tells its content"
    raise ValueError(
        f"{place} already holds a dataset, and {differs}: delete that folder, or write another "
        "version or into another folder"
    )
