"""What stands on a command line, as images, videos and cameras."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from acae_jax.media import stills, videos

OVERLAYS = "overlays"  # the folder of results that holds images
# How other files of results end; a stopped run may leave a part of a video.
RESULTS = (
    ".overlay.mp4", ".overlay.part.mp4", ".jsonl", ".npz", ".html", ".bvh", ".trc", ".c3d",
)  # fmt: skip
MOVING = frozenset({".gif", ".png", ".apng", ".webp", ".avif"})  # images that may be animations
KINDS = stills.SUFFIXES | stills.UNREADABLE | videos.SUFFIXES


class Inputs(NamedTuple):
    """Files in the order given, each once, and numbers of cameras."""

    stills: tuple[Path, ...]
    videos: tuple[Path, ...]
    cameras: tuple[int, ...]


def find(arguments: Sequence[str], out: Path) -> Inputs:
    """Everything that the arguments name, but no results that lie in the folder `out`.

    An argument is a file, a folder (searched with all folders in it), a pattern such as
    "takes/**/*.mp4", a text file NAME.txt that lists arguments line by line, or the number of a
    camera. Animated images count as videos. Folders give pictures too that `stills` refuses, for
    people to be told. A FileNotFoundError if an argument names nothing.
    """
    paths: dict[Path, Path] = {}  # by where it is, as it was named
    cameras: dict[int, None] = {}
    for argument in _listed(arguments):
        if argument.isdecimal() and not Path(argument).exists():
            cameras[int(argument)] = None
            continue
        for path in _files(argument, out):
            paths.setdefault(_place(path), path)
    moving = {path: _is_video(path) for path in paths.values()}
    return Inputs(
        tuple(path for path, moves in moving.items() if not moves),
        tuple(path for path, moves in moving.items() if moves),
        tuple(cameras),
    )


def names(paths: Sequence[Path]) -> list[Path]:
    """A distinct relative path for each, below the deepest folder that holds them all."""
    places = [_place(path) for path in paths]
    shared = 0
    for parts in zip(*(place.parent.parts for place in places), strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return [Path(*place.parts[shared:]) for place in places]


def stamp(path: Path) -> str:
    """Size and modification time of a file, to detect changed files; "" if there is none."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} bytes, {status.st_mtime_ns} ns"


def _place(path: Path) -> Path:
    """Where a file is, links not followed: a link's own name is the one that people know."""
    return Path(os.path.normpath(path.absolute()))


def _listed(arguments: Sequence[str]) -> Iterator[str]:
    for argument in arguments:
        path = Path(argument)
        if path.suffix == ".txt" and path.is_file():
            # Windows marks UTF-8; names of files may be none.
            lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
            yield from (line.strip() for line in lines if line.strip())
        else:
            yield argument


def _files(argument: str, out: Path) -> list[Path]:
    path = Path(argument)
    if path.is_file():
        return [path]
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if _is_media(file, path)]
    else:
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - absolute ones too
        files = [Path(match) for match in matches]
    files = [file for file in files if file.is_file() and not _is_result(file, out)]
    if not files:
        what = "image or video in" if path.is_dir() else "file or folder"
        raise FileNotFoundError(f"there is no {what} {argument}")
    return files


def _is_result(file: Path, out: Path) -> bool:
    """Whether a file is of those that predictions make in the folder `out`, which may hold more."""
    place, out = _place(file), _place(out)
    return out / OVERLAYS in place.parents or (out in place.parents and file.name.endswith(RESULTS))


def _is_media(file: Path, folder: Path) -> bool:
    # Hidden files are previews and remains of other programs.
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.suffix.lower() in KINDS


def _is_video(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in videos.SUFFIXES:
        return True
    if suffix in stills.SUFFIXES:
        return suffix in MOVING and stills.is_animation(path)
    if suffix in stills.UNREADABLE:
        return False
    return not stills.is_image(path)
