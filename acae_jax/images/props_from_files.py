"""A user's own backgrounds and occluders: folders of image files, decoded at each use.

Only paths are held: thousands of pictures take no memory and are quickly sent to worker processes.
Pictures should be small, as each use decodes one: twice the crop's side suffices for backgrounds.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from acae_jax.images import background, decoding, occlusion

_MAX_PIXELS = 16_000_000  # of one picture; photographs of 12 megapixels are common
_PHOTOGRAPHS = (".jpg", ".jpeg", ".png")
_CUTOUTS = (".png",)


class Pictures(Sequence[np.ndarray]):
    """Image files as arrays, each decoded whenever it is asked for."""

    def __init__(self, paths: Sequence[Path], decode: Callable[[bytes, int], np.ndarray]):
        self._paths = tuple(paths)
        self._decode = decode

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> "Pictures": ...
    def __getitem__(self, index: int | slice) -> "np.ndarray | Pictures":
        """The decoded picture; a ValueError that names the file if it is damaged or gone."""
        if isinstance(index, slice):
            return Pictures(self._paths[index], self._decode)
        path = self._paths[index]
        with _named(path):
            return self._decode(path.read_bytes(), _MAX_PIXELS)


def backgrounds(folder: str | Path) -> Sequence[background.Background]:
    """The photographs (JPEG or PNG) in a folder and its subfolders, in the order of their names.

    There should be no people in them. ValueError if there are no photographs, or for a file whose
    header is damaged or states more than 16 million pixels.
    """
    paths = _files(folder, _PHOTOGRAPHS, "photographs (.jpg, .jpeg, .png)")
    for path in paths:
        with _named(path):
            decoding.check_size(path.read_bytes(), _MAX_PIXELS)
    return Pictures(paths, decoding.decode)


def occluders(folder: str | Path) -> Sequence[occlusion.Occluder]:
    """The cut-out objects (PNG with an alpha channel) in a folder and its subfolders, by name.

    Each should have its size in a crop of 256 px. ValueError as in `backgrounds`, and for a file
    without an alpha channel.
    """
    paths = _files(folder, _CUTOUTS, "cut-out objects (.png with an alpha channel)")
    pictures = Pictures(paths, decoding.decode_cutout)
    for _ in pictures:  # decoding all shows damaged ones before training; they are small
        pass
    return pictures


def _files(folder: str | Path, suffixes: tuple[str, ...], content: str) -> list[Path]:
    """The folder's files of these suffixes."""
    folder = Path(folder).expanduser()
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    if not paths:
        missing = "holds none" if folder.is_dir() else "is not a folder"
        raise ValueError(f"{folder} {missing}; give a folder of {content}")
    return paths


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file and the fix in an error."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}; mend the file or remove it") from error
