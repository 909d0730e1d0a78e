"""Prepared datasets as random-access sequences of records, read only.

A dataset lies in `data_dir/<name>/<version>/` as TFDS wrote it (ArrayRecord). A name with a slash,
such as "data/own/mine", is the path of a dataset's own folder, which `data_dir` does not matter to.
Reading needs neither TensorFlow nor the code that built it; images stay encoded JPEG bytes. A list
of records can stand in for a `Source` wherever `Records` are expected.

No dataset can run code here. TFDS imports any module that a dataset's description names, so the
description is checked first: it may name only the features that records consist of.
"""

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import tensorflow_datasets as tfds

from acae_jax import messages
from acae_jax.data import crop_record
from acae_jax.data import schema as schemas
from acae_jax.data.schema import Schema
from acae_jax.files import paths

_INFO_FILE, _FEATURES_FILE = "dataset_info.json", "features.json"
_EMBEDDED = "embedded_"  # the datasets that `acae_jax.prepare` makes
MOST_FILES = 65_536  # open at a time
_MAX_JSON_BYTES = 10_000_000
_TFDS = "tensorflow_datasets.core.features"
_DICT_CLASS = f"{_TFDS}.features_dict.FeaturesDict"
_FIELD_CLASSES = (
    f"{_TFDS}.image_feature.Image",
    f"{_TFDS}.tensor_feature.Tensor",
    f"{_TFDS}.text_feature.Text",
)


@runtime_checkable
class Records(Protocol):
    """Records by index, such as a `Source` or a list of records."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


class UnreadableRecordError(ValueError):
    """A record cannot be read; the message names dataset, index and cause."""


class Source:
    """One split of a prepared dataset; picklable, and cheap to send to a worker process.

    `joint_names` has the joint names of each skeleton that the dataset labels. It is empty for
    datasets of version 0.1, which do not store them.
    """

    def __init__(self, name: str, directory: Path, split: str, schema: Schema = crop_record.SCHEMA):
        self.name = name
        self.split = split
        self.directory = directory
        self._schema = schema
        try:
            _check_features(directory / _FEATURES_FILE)
            builder = tfds.builder_from_directory(directory)
            self.joint_names = _joint_names(builder.info.metadata or {})
        except Exception as error:  # a damaged folder can make TFDS raise anything
            raise ValueError(
                f"dataset {name!r}: {directory} cannot be opened ({messages.one_line(error)}); "
                "delete the folder and prepare the dataset again"
            ) from error
        splits = {split: info.num_examples for split, info in builder.info.splits.items()}
        if split not in splits:
            raise ValueError(
                f"dataset {name!r} has no split {split!r}; it has {', '.join(splits) or 'none'}"
            )
        if splits[split] == 0:
            raise ValueError(f"dataset {name!r}: split {split!r} is empty; prepare it again")
        # The type checker cannot see through TFDS's lazy types and logging decorator.
        features = builder.info.features.items()  # pyright: ignore
        decoders = {
            field: tfds.decode.SkipDecoding()
            for field, feature in features
            if isinstance(feature, tfds.features.Image)
        }
        self._records = builder.as_data_source(split, decoders=decoders)  # pyright: ignore
        self._length = splits[split]

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {self.split!r}, {self._length} records)"

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self._length))

    def __getitem__(self, index: int, /) -> Any:
        """Read one record, or raise UnreadableRecordError."""
        if not -self._length <= index < self._length:
            raise IndexError(
                f"dataset {self.name!r} has {self._length} records; there is no record {index}"
            )
        index %= self._length
        try:
            example = self._records[index]
            if any(value is None for value in example.values()):
                # That is what TFDS returns beyond the end of a file.
                raise ValueError("nothing is stored there; the file is cut short")
            return schemas.from_dict(self._schema, example)
        except Exception as error:  # array_record and protobuf raise their own types
            raise UnreadableRecordError(
                f"dataset {self.name!r} ({self.split}), record {index}: "
                f"{messages.one_line(error)}; prepare {self.directory} again"
            ) from error


def open(
    name: str, data_dir: str | Path, split: str, schema: Schema = crop_record.SCHEMA
) -> Source:
    """Open a split of the newest version of a prepared dataset whose records have this schema.

    Raises ValueError, in one line, if it is missing; the message lists the datasets that are there
    and says how to prepare this one.
    """
    folder = _folder(name, data_dir)
    versions = _versions(folder)
    if not versions:
        raise ValueError(_missing(folder.name, folder.parent))
    check_platform()
    allow_many_files()
    return Source(folder.name, versions[-1], split, schema)


def plain_name(name: str) -> str:
    """The name of a dataset without the path of its folder."""
    return name.rstrip("/").rpartition("/")[2]


def is_prepared(name: str, data_dir: str | Path) -> bool:
    """Whether `open` finds a dataset of this name."""
    return bool(_versions(_folder(name, data_dir)))


def check_platform() -> None:
    """Raise ValueError if array_record, which reads and writes datasets, is not installed."""
    if importlib.util.find_spec("array_record") is None:
        raise ValueError(
            "datasets need array_record, which has no build for Windows: use Linux, macOS or WSL, "
            "and there pip install array_record"
        )


def allow_many_files() -> None:
    """Let this process have as many files open as the system permits, where that can be set.

    Datasets have up to some hundreds of files, which readers keep open, and shells often allow only
    1024 files in all unless a program asks for more.
    """
    if importlib.util.find_spec("resource") is None:  # Windows
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def available(data_dir: str | Path) -> tuple[str, ...]:
    """Return the names of the prepared datasets in a folder."""
    folders = sorted(Path(data_dir).expanduser().glob("*/"))
    return tuple(folder.name for folder in folders if _versions(folder))


def _folder(name: str, data_dir: str | Path) -> Path:
    """The folder of a dataset's versions: that of its name, or the one whose path is given."""
    own = "/" in name
    return paths.local(name if own else data_dir).expanduser() / ("" if own else name)


def _check_features(path: Path) -> None:
    """Raise ValueError unless a dataset's description names only the features of records."""
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise ValueError(f"{path.name} is too large for a description")
    content = json.loads(path.read_text(encoding="utf-8"))
    match content:
        case {"pythonClassName": name, "featuresDict": {"features": dict(fields)}, **rest}:
            if name == _DICT_CLASS and not rest:
                for field, feature in fields.items():
                    kind = feature.get("pythonClassName") if isinstance(feature, dict) else None
                    if kind not in _FIELD_CLASSES or "type" in feature:
                        raise ValueError(
                            f"its field {field!r} is a {kind}; records have images, tensors and "
                            "texts only, and nothing else is loaded"
                        )
                return
    raise ValueError(f"{path.name} does not describe records")


def _joint_names(metadata: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The joint names of each skeleton, as the writer stored them."""
    names = json.loads(metadata.get("joint_names") or "{}")
    return {skeleton: tuple(map(str, joints)) for skeleton, joints in names.items()}


def _versions(folder: Path) -> list[Path]:
    """The folders of a dataset's versions, such as "1.2.0", oldest first."""
    versions = [
        (tuple(int(part) for part in path.parent.name.split(".")), path.parent)
        for path in folder.glob(f"*/{_INFO_FILE}")
        if path.parent.name.replace(".", "").isdecimal()
    ]
    return [path for _, path in sorted(versions)]


def _missing(name: str, data_dir: Path) -> str:
    """The message for a missing dataset: its name, what is there, and the command that makes it."""
    names = available(data_dir)
    if names:
        guess = messages.near_misses(name, names).rstrip("?")
        state = f"it holds {', '.join(names)}"
        state += f"; {guess}" if guess.startswith("did you mean") else ""
    else:
        state = "no dataset is there" if data_dir.is_dir() else "the folder does not exist"
    advice = "check data.folder and data.quotas of the config"
    if name.startswith(_EMBEDDED):
        advice = f"run: python -m acae_jax.prepare --out {data_dir}"
    return f"no dataset {name!r} in {data_dir}; {state}; {advice}"
