"""NumPy's files from anywhere: arrays of numbers or text, or one line that says what is wrong."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from acae_jax import messages


def arrays(
    file: Path | io.BytesIO,
    names: Sequence[str],
    limit_bytes: int,
    defaults: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> list[np.ndarray]:
    """The arrays of these names in a .npz file, in this order; one it lacks is that of `defaults`.

    A ValueError of one line if it expands to more than `limit_bytes`, lacks one, is damaged, or
    holds objects; a FileNotFoundError if it is not there.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            expanded = sum(entry.file_size for entry in archive.infolist())
            if expanded > limit_bytes:
                raise ValueError(
                    f"it expands to more than allowed, the limit is {limit_bytes} bytes"
                )
            held = {name for name in names if f"{name}.npy" in archive.namelist()}
            if lacking := [name for name in names if name not in held and name not in defaults]:
                raise ValueError(f"it lacks {lacking[0]}")
            return [_member(archive, name) if name in held else defaults[name] for name in names]
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, zlib and numpy's parser stumble in a dozen ways
        raise ValueError(messages.one_line(error)) from error


def matrix(path: Path) -> np.ndarray:
    """The array in a .npy file, mapped: no more memory is claimed than there are bytes."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # as above
        raise ValueError(f"it is no array of NumPy's ({messages.one_line(error)})") from error


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        array: Any = np.lib.format.read_array(file, allow_pickle=False)
    if array.size and not array.itemsize:
        raise ValueError(f"{name} has {array.size} items of no bytes")
    return array
