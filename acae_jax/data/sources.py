"""Prepared datasets as random-access sequences of records, read only.

A dataset lies in `data_dir/<name>/<version>/` as TFDS wrote it (ArrayRecord). It is read without
TensorFlow and without the code that built it; images stay encoded JPEG bytes. A list of records
serves equally wherever `Records` are asked for.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import tensorflow_datasets as tfds

from acae_jax import messages
from acae_jax.data import record as records
from acae_jax.files import paths

_INFO_FILE = "dataset_info.json"


@runtime_checkable
class Records(Protocol):
    """What examples are made from: records by index, such as a `Source` or a list of records."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> records.Record: ...


class UnreadableRecordError(ValueError):
    """A record cannot be read; the message names dataset, index and cause."""


class Source:
    """One split of a prepared dataset; picklable, and cheap to send to a worker process."""

    def __init__(self, name: str, directory: Path, split: str):
        self.name = name
        self.split = split
        self.directory = directory
        try:
            builder = tfds.builder_from_directory(directory)
        except Exception as error:  # whatever TFDS stumbles over in a damaged folder
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
        decoders = {"image": tfds.decode.SkipDecoding()}
        # TFDS's logging decorator hides the signature from the type checker.
        self._records = builder.as_data_source(split, decoders=decoders)  # pyright: ignore
        self._length = splits[split]

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {self.split!r}, {self._length} records)"

    def __iter__(self) -> Iterator[records.Record]:
        return (self[index] for index in range(self._length))

    def __getitem__(self, index: int, /) -> records.Record:
        """Read one record, or raise UnreadableRecordError."""
        if not -self._length <= index < self._length:
            raise IndexError(f"dataset {self.name!r} has {self._length} records, no {index}")
        index %= self._length
        try:
            example = self._records[index]
            if example.get("image") is None:  # how TFDS reads behind the end of a file
                raise ValueError("nothing is stored there, the file is cut short")
            return records.from_dict(example)
        except Exception as error:  # array_record and protobuf raise types of their own
            raise UnreadableRecordError(
                f"dataset {self.name!r} ({self.split}), record {index}: "
                f"{messages.one_line(error)}; prepare {self.directory} again"
            ) from error


def open(name: str, data_dir: str | Path, split: str) -> Source:
    """Open a split of the newest version of a prepared dataset.

    Raises ValueError, in one line, if it is not there: with what is, and how to prepare it.
    """
    data_dir = paths.local(data_dir).expanduser()
    versions = _versions(data_dir / name)
    if not versions:
        raise ValueError(_missing(name, data_dir))
    check_platform()
    return Source(name, versions[-1], split)


def check_platform() -> None:
    """A ValueError where array_record is missing, by which datasets are read and written."""
    if importlib.util.find_spec("array_record") is None:
        raise ValueError(
            "datasets need array_record, which has no build for Windows: use Linux, macOS or WSL; "
            "elsewhere, pip install array_record"
        )


def available(data_dir: str | Path) -> tuple[str, ...]:
    """Return the names of the prepared datasets in a folder."""
    folders = sorted(Path(data_dir).expanduser().glob("*/"))
    return tuple(folder.name for folder in folders if _versions(folder))


def _versions(folder: Path) -> list[Path]:
    """Folders of the dataset's versions, "1.2.0", oldest first."""
    found = [
        (tuple(int(part) for part in path.parent.name.split(".")), path.parent)
        for path in folder.glob(f"*/{_INFO_FILE}")
        if path.parent.name.replace(".", "").isdecimal()
    ]
    return [path for _, path in sorted(found)]


def _missing(name: str, data_dir: Path) -> str:
    """Say which dataset is missing, what is there, and the command that makes it."""
    there = available(data_dir)
    if there:
        meant = messages.near_misses(name, there).rstrip("?")
        state = f"it holds {', '.join(there)}"
        state += f"; {meant}" if meant.startswith("did you mean") else ""
    else:
        state = "no dataset is there" if data_dir.is_dir() else "the folder does not exist"
    return (
        f"no dataset {name!r} in {data_dir}; {state}; "
        f"run: python -m acae_jax.prepare --out {data_dir} --datasets {name}"
    )
