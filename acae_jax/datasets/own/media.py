"""The images or the video of a clip."""

import collections
import contextlib
import functools
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2

from acae_jax import messages
from acae_jax.datasets.readers import images, videos
from acae_jax.datasets.release import Pixels
from acae_jax.files import plain_names
from acae_jax.media import display, stills

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
TRIED = 5  # images whose size is asked; broken ones are left out later


class Media(NamedTuple):
    """A video, or images in the order of the numbers in their names."""

    video: Path | None
    images: tuple[Path, ...]


def find(folder: Path, video: str, pattern: str) -> Media:
    """A clip's video, or its images: those of a folder or of a pattern such as "left/*.jpg".

    FileNotFoundError, in one line, if there is none.
    """
    if video:
        path = folder / Path(video).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"there is no video {path}")
        return Media(path, ())
    place = folder / Path(pattern).expanduser()
    if place.is_dir():
        found = [path for path in place.iterdir() if path.suffix.lower() in SUFFIXES]
    elif place.is_file():
        found = [place]
    else:
        found = [path for path in _glob(folder, pattern) if path.is_file()]
        for path in found:
            if path.suffix.lower() not in SUFFIXES:
                raise ValueError(f"{path} is no image: give {', '.join(SUFFIXES)}")
    if not found:
        raise FileNotFoundError(f"there are no images {place}")
    return Media(None, tuple(sorted(found, key=_natural)))


def _glob(folder: Path, pattern: str) -> Iterator[Path]:
    """What fits a pattern; the folder's own name is none."""
    place = Path(pattern).expanduser()
    root = Path(place.anchor) if place.is_absolute() else folder
    return root.glob(str(place.relative_to(root) if place.is_absolute() else place))


def _natural(path: Path) -> list[tuple[int, str]]:
    """Numbers count by their values: 9.jpg is before 10.jpg."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def count(media: Media) -> int:
    """How many frames there are; for a video as its header states, 0 if it does not."""
    return len(media.images) if media.video is None else videos.frame_count(media.video)


def true_count(media: Media) -> int:
    """How many frames there are; those of a video are decoded, and counted."""
    if media.video is None:
        return len(media.images)
    with plain_names.plain_name(media.video) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    number = 0
    while capture.grab():
        number += 1
    capture.release()
    return number


def check_upright(media: Media) -> None:
    """Raise ValueError, in one line, if players show other pixels than those that are stored.

    Nobody knows then which of the two pictures labels and cameras are of.
    """
    if media.video is not None:
        with plain_names.plain_name(media.video) as name:
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        is_upright = display.of_file(capture, media.video) == display.Display()
        capture.release()
        if not is_upright:
            raise ValueError(
                f"{media.video} is stored turned, mirrored or stretched; convert it into the "
                "picture that has labels: ffmpeg -i IN -vf 'scale=iw*sar:ih,setsar=1' -crf 12 OUT"
            )
    for path in media.images:
        if _orientation(path) not in (0, 1):
            raise ValueError(
                f"{path} is stored turned or mirrored (EXIF); make it the picture that has labels: "
                "mogrify -auto-orient FILES"
            )


def _orientation(path: Path) -> int:
    """The tag of EXIF, 1 where there is none; broken images are left out later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF
        try:
            with path.open("rb") as file, stills.open_checked(file) as image:
                return image.getexif().get(stills.ORIENTATION, 1)
        except Exception:  # each of Pillow's formats stumbles in its own way
            return 1


def size_px(media: Media) -> tuple[int, int] | None:
    """Width and height of the first frame; of images, of the first that is not broken.

    None if several are. ValueError, in one line, if it is no video.
    """
    if media.video is not None:
        _, image = next(videos.chosen(media.video, [0]))
        return image.shape[1], image.shape[0]
    for path in media.images[:TRIED]:
        with contextlib.suppress(ValueError, OSError):
            image = images.read(path)
            return image.shape[1], image.shape[0]
    return None


def rate_hz(media: Media) -> float:
    """The frames per second that a video states; ValueError for images, and if it states none."""
    if media.video is None:
        raise ValueError("images have no rate; say 'video_fps'")
    return videos.frame_rate_hz(media.video)


def frames(media: Media, indices: Sequence[int]) -> Iterator[tuple[int, Pixels]]:
    """The frames of indices that ascend; images are read when they are needed."""
    if media.video is not None:
        yield from videos.chosen(media.video, indices)
        return
    for index in indices:
        path = media.images[index]
        yield index, functools.partial(images.read, path)


def index_of_names(media: Media) -> dict[str, int]:
    """The index of each image by the ends of its path: "0001.jpg", "left/0001.jpg" and so on.

    An end that several images have leads to none.
    """
    places: dict[str, int] = {}
    counts: collections.Counter[str] = collections.Counter()
    for index, path in enumerate(media.images):
        parts = path.parts
        for start in range(1, len(parts) + 1):
            end = "/".join(parts[-start:])
            places[end] = index
            counts[end] += 1
    return {end: index for end, index in places.items() if counts[end] == 1}


def near_names(name: str, media: Media) -> str:
    """The end of a message about an image that a clip lacks."""
    if media.video is not None:
        return "a video has numbers of frames, in 'frame'"
    return messages.near_misses(name, [path.name for path in media.images[:200]])
