"""Video files, animations and cameras as frames with a rate, one at a time.

Frames are upright RGB as in `stills`: OpenCV turns them as the file's header says. A frame's time
is its index / fps; where frames of a video come at a varying rate, that is their mean rate. Frames
are counted as they are decoded, because a header's count may be absent or wrong.

Of an animation, fps is the mean rate without its pauses, such as a last frame that stays for a
while: people are followed and smoothed by how fast they move, and with the pauses they would be
taken to move slower than they do. In what is made of it, a pause is a frame like others.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from acae_jax.media import durations, stills

SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts",
    ".m2ts", ".m2v", ".vob", ".3gp", ".3g2", ".ogv", ".asf", ".f4v", ".mxf",
})  # fmt: skip
USUAL_FPS = 30.0  # where a file or camera states none
FASTEST_FPS = 1000.0  # some containers give their clock's ticks for want of a rate
STILL_MS = 100  # an animation's frame without a duration, as browsers show it
PAUSE = 2.0  # times the usual duration: what is shown for longer is a pause
DURATIONS = {"GIF": durations.of_gif, "PNG": durations.of_png, "WEBP": durations.of_webp}


class Video(NamedTuple):
    """A source of frames: (index, image), in ascending order; the count is None if unknown."""

    fps: float
    frame_count: int | None
    frames: Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]


def open_file(path: str | Path, first: int = 0, every: int = 1) -> Video:
    """The frames `first`, `first` + `every`, … of a video file or an animated image.

    A ValueError if it cannot be read. A file cut short gives what can be read, with a warning.
    """
    path = Path(path)
    if stills.is_animation(path):
        return _open_animation(path, first, every)
    if not path.is_file():  # OpenCV would take names for addresses or patterns
        raise FileNotFoundError(f"no video file at {path}")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise ValueError(f"{path} is no video or image that can be read, is damaged, or is cut off")
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    fps = credible_fps(capture.get(cv2.CAP_PROP_FPS), str(path))
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    frame_count = int(count) if 0 < count < 1e9 else None
    return Video(fps, frame_count, _frames(capture, path, frame_count, first, every))


def open_camera(index: int) -> Video:
    """The frames of a camera until it ends; each has the index that its time has at `fps`.

    A ValueError if there is no such camera.
    """
    capture = cv2.VideoCapture(index)
    if not capture.isOpened():
        raise ValueError(f"there is no camera {index}, or another program has it")
    fps = credible_fps(capture.get(cv2.CAP_PROP_FPS), f"camera {index}")
    return Video(fps, None, timed_frames(_shots(capture), fps, time.monotonic))


def timed_frames(
    shots: Iterable[UInt8[np.ndarray, "h w 3"]], fps: float, clock: Callable[[], float]
) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
    """Images as they come, indexed by the clock in seconds; of two at one index, the first."""
    start, last = None, -1
    for image in shots:
        now = clock()
        start = now if start is None else start
        index = round((now - start) * fps)
        if index > last:
            last = index
            yield index, image


def credible_fps(stated: float, name: str) -> float:
    """The frame rate that a file or camera states, or with a warning a usual one."""
    if math.isfinite(stated) and 0 < stated < FASTEST_FPS:
        return float(stated)
    warnings.warn(f"{name} states no frame rate; {USUAL_FPS:g} a second are assumed", stacklevel=3)
    return USUAL_FPS


def _shots(capture: cv2.VideoCapture) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    try:
        while (shot := capture.read())[0]:
            yield cv2.cvtColor(shot[1], cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


def _frames(
    capture: cv2.VideoCapture, path: Path, frame_count: int | None, first: int, every: int
) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
    # Frames are grabbed one by one also up to `first`: seeking is inexact in many files.
    index = 0
    try:
        while capture.grab():
            if index >= first and (index - first) % every == 0:
                ok, image = capture.retrieve()
                if not ok:
                    break
                yield index, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            index += 1
    finally:
        capture.release()
    if index == 0:
        raise ValueError(f"{path}: not one frame of it can be read")
    if frame_count is not None and index < 0.98 * frame_count - 1:
        warnings.warn(
            f"{path} announces {frame_count} frames but only {index} can be read: it is cut short "
            "or damaged",
            stacklevel=2,
        )


def _open_animation(path: Path, first: int, every: int) -> Video:
    with path.open("rb") as file, stills.open_checked(file) as image:
        count = image.n_frames  # pyright: ignore[reportAttributeAccessIssue] - of animations
        if image.format in DURATIONS:
            durations_ms = np.fromiter(DURATIONS[image.format](file), float)
        else:  # AVIF, of which only the first frame is looked at
            image.load()
            durations_ms = np.array([image.info.get("duration", 0)], float)
    fps = credible_fps(_usual_fps(durations_ms), str(path))
    return Video(fps, count, _animation_frames(path, count, first, every))


def _usual_fps(durations_ms: Float[np.ndarray, " f"]) -> float:
    """The mean rate without pauses."""
    if not len(durations_ms):  # damaged, but Pillow may make something of it
        return 1000 / STILL_MS
    shown_ms = np.where(durations_ms > 0, durations_ms, STILL_MS)
    usual_ms = shown_ms[shown_ms <= PAUSE * np.median(shown_ms)]
    return 1000 / float(usual_ms.mean())


def _animation_frames(
    path: Path, count: int, first: int, every: int
) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
    with path.open("rb") as file, stills.open_checked(file) as image:
        for index in range(first, count, every):
            try:
                image.seek(index)
                rgb = stills.to_rgb(image)
            except Exception as error:  # each of Pillow's formats stumbles in its own way
                warnings.warn(
                    f"{path} can be read up to frame {index} of {count}: {error}", stacklevel=2
                )
                return
            yield index, rgb
