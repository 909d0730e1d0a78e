"""Chosen frames of a video file, in the pixels that are stored: neither turned nor stretched."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from acae_jax.files import plain_names


def chosen(path: Path, indices: Iterable[int]) -> Iterator[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
    """The RGB frames with these indices, which ascend, counted from 0 as they are decoded.

    Frames between them are not converted. Never seeks, which is inexact in many files. ValueError
    if the file is no video, or ends before the last index.
    """
    with plain_names.plain_name(path) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise ValueError(f"{path} is missing, or no video that can be read")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        position = 0
        for index in indices:
            image = None
            while position <= index and capture.grab():
                position += 1
                if position == index + 1:
                    image = capture.retrieve()[1]
            if image is None:
                raise ValueError(
                    f"{path} ends, or is damaged, at frame {position}; frame {index} is missing"
                )
            yield index, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


def frame_count(path: Path) -> int:
    """The number of frames that a video's header states, which may be wrong; 0 if none."""
    count = _stated(path, cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if 0 < count < 1e9 else 0


def frame_rate_hz(path: Path) -> float:
    """The rate that a video's header states; ValueError if it is no video, or states none."""
    rate_hz = _stated(path, cv2.CAP_PROP_FPS)
    if not 0 < rate_hz < 1e4:
        raise ValueError(f"{path} is missing, or no video that states its frame rate")
    return rate_hz


def _stated(path: Path, what: int) -> float:
    with plain_names.plain_name(path) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    value = capture.get(what)
    capture.release()
    return value
