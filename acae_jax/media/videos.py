"""Video files, animations and cameras as frames with a rate, one at a time.

Frames are RGB as people see them: square pixels, turned and mirrored as the file says (`display`).
They have the times at which they are shown, which may be uneven (`clock`), while `fps` is what the
file states. Frames are counted as they are decoded, because a header's count may be absent or
wrong.

Of an animation, fps is the mean rate without its pauses, such as a last frame that stays for a
while: people are followed and smoothed by how fast they move, and with the pauses they would be
taken to move slower than they do. In what is made of it, a pause is a frame like others, and a
frame's time is its index / fps.
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

from acae_jax.files import plain_names
from acae_jax.media import clock, display, durations, stills

SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts",
    ".m2ts", ".m2v", ".vob", ".3gp", ".3g2", ".ogv", ".asf", ".f4v", ".mxf",
})  # fmt: skip
USUAL_FPS = 30.0  # where a file or camera states none
FASTEST_FPS = 1000.0  # some containers give their clock's ticks for want of a rate
STILL_MS = 100  # an animation's frame without a duration, as browsers show it
PAUSE = 2.0  # times the usual duration: what is shown for longer is a pause
DURATIONS = {"GIF": durations.of_gif, "PNG": durations.of_png, "WEBP": durations.of_webp}


class Frame(NamedTuple):
    """One frame: its index, from 0, the picture, and seconds since the first frame."""

    index: int
    image: UInt8[np.ndarray, "h w 3"]
    time_s: float


class Video(NamedTuple):
    """A source of frames in ascending order, the rate and the count that it states, or None."""

    fps: float
    frame_count: int | None
    frames: Iterator[Frame]


def open_file(path: str | Path, first: int = 0, every: int = 1) -> Video:
    """The frames `first`, `first` + `every`, … of a video file or an animated image.

    A ValueError if it cannot be read. A file cut short gives what can be read, with a warning.
    """
    path = Path(path)
    if stills.is_animation(path):
        return _open_animation(path, first, every)
    if not path.is_file():
        raise FileNotFoundError(f"no video file at {path}")
    with plain_names.plain_name(path) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise ValueError(f"{path} is no video or image that can be read, is damaged, or is cut off")
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    fps = credible_fps(capture.get(cv2.CAP_PROP_FPS), str(path))
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    video = Video(fps, int(count) if 0 < count < 1e9 else None, iter(()))
    return video._replace(frames=_frames(capture, path, video, first, every))


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
    shots: Iterable[UInt8[np.ndarray, "h w 3"]], fps: float, now_s: Callable[[], float]
) -> Iterator[Frame]:
    """Images as they come, indexed by the clock in seconds; of two at one index, the first."""
    start_s, last = None, -1
    for image in shots:
        time_s = now_s()
        start_s = time_s if start_s is None else start_s
        index = round((time_s - start_s) * fps)
        if index > last:
            last = index
            yield Frame(index, image, index / fps)


def credible_fps(fps: float, name: str) -> float:
    """The frame rate that a file or camera states, or with a warning a usual one."""
    if math.isfinite(fps) and 0 < fps < FASTEST_FPS:
        return float(fps)
    warnings.warn(f"{name} states no frame rate; {USUAL_FPS:g} a second are assumed", stacklevel=3)
    return USUAL_FPS


def _shots(capture: cv2.VideoCapture) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    try:
        while (shot := capture.read())[0]:
            yield cv2.cvtColor(shot[1], cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


def _frames(
    capture: cv2.VideoCapture, path: Path, video: Video, first: int, every: int
) -> Iterator[Frame]:
    # Frames are grabbed one by one also up to `first`: seeking is inexact in many files.
    shape, count, last_s, longest_s = display.of_file(capture, path), 0, 0.0, 1 / video.fps
    try:
        for index, time_s in enumerate(clock.credible(_grabbed(capture), video.fps)):
            if index >= first and (index - first) % every == 0:
                ok, image = capture.retrieve()
                if not ok:
                    break
                image = display.shown(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), shape)
                yield Frame(index, image, time_s)
            count, longest_s, last_s = index + 1, max(longest_s, time_s - last_s), time_s
    finally:
        capture.release()
    if count == 0:
        raise ValueError(f"{path}: not one frame of it can be read")
    # The count may be no more than the duration times a rate that the frames do not have.
    announced = video.frame_count or 0
    seconds = announced / video.fps
    if count < 0.98 * announced - 1 and last_s + longest_s < 0.98 * seconds - 0.1:
        warnings.warn(
            f"{path} announces {announced} frames in {seconds:.1f} s, but only {count} can be "
            "read: it is cut short or damaged",
            stacklevel=2,
        )


def _grabbed(capture: cv2.VideoCapture) -> Iterator[float]:
    """The time in seconds that each frame states, when it is ready to be retrieved."""
    while capture.grab():
        yield capture.get(cv2.CAP_PROP_POS_MSEC) / 1000


def _open_animation(path: Path, first: int, every: int) -> Video:
    with path.open("rb") as file, stills.open_checked(file) as image:
        count = image.n_frames  # pyright: ignore[reportAttributeAccessIssue] - of animations
        if image.format in DURATIONS:
            durations_ms = np.fromiter(DURATIONS[image.format](file), float)
        else:  # AVIF, of which only the first frame is looked at
            image.load()
            durations_ms = np.array([image.info.get("duration", 0)], float)
    fps = credible_fps(_usual_fps(durations_ms), str(path))
    return Video(fps, count, _animation_frames(path, count, fps, first, every))


def _usual_fps(durations_ms: Float[np.ndarray, " f"]) -> float:
    """The mean rate without pauses."""
    if not len(durations_ms):  # damaged, but Pillow may make something of it
        return 1000 / STILL_MS
    shown_ms = np.where(durations_ms > 0, durations_ms, STILL_MS)
    usual_ms = shown_ms[shown_ms <= PAUSE * np.median(shown_ms)]
    return 1000 / float(usual_ms.mean())


def _animation_frames(
    path: Path, count: int, fps: float, first: int, every: int
) -> Iterator[Frame]:
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
            yield Frame(index, rgb, index / fps)
