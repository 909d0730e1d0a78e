"""Records → a TFDS dataset of ArrayRecord files, at <folder>/<name>/<version>/.

Readable without builder code: `tfds.builder_from_directory(folder).as_data_source(split)`.
TensorFlow is never needed. TFDS writes into a temporary folder and renames it at the end, so the
version's folder is complete or absent.
"""

import contextlib
import errno
import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import tensorflow_datasets as tfds
from tensorflow_datasets.core import registered

from acae_jax.data import record as records
from acae_jax.data import sources
from acae_jax.files import plain_names


def folder(out: str | Path, name: str, version: str) -> Path:
    """Where a dataset lies."""
    return Path(out) / name / version


def write(
    out: str | Path,
    name: str,
    version: str,
    splits: Mapping[str, Callable[[], Iterable[records.Record]]],
    *,
    description: str,
    metadata: Mapping[str, str | int | float] | None = None,
) -> Path:
    """Writes a dataset with the one record schema; returns its folder.

    `splits` gives a fresh iterable of records per split. A complete dataset that is there already
    is kept. Order on disk is shuffled by key, the same way every time. Raises ValueError for a
    record that breaks the schema or a key that occurs twice.
    """
    sources.check_platform()
    plain_names.check_utf8(out)
    for left_over in Path(out).glob(f"{name}/*incomplete*"):
        shutil.rmtree(left_over)

    def info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=records.features(),
            metadata=tfds.core.MetadataDict(metadata or {}),
        )

    def split_generators(self, download_manager):
        return {split: self._generate_examples(make) for split, make in splits.items()}

    def generate(self, make):
        keys = set()
        for record in make():
            if record.key in keys:
                raise ValueError(f"{name}: two records have the key {record.key!r}; make it unique")
            keys.add(record.key)
            yield record.key, records.to_dict(record)

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
