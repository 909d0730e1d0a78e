"""Frames → a video file that plays nearly everywhere but in browsers.

MPEG-4 part 2 in an mp4 is what every build of OpenCV writes, at over 100 frames of 720p a second on
a core; VP8 and VP9, which browsers play, take ten to seventy times as long.
"""

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from jaxtyping import UInt8

from acae_jax.files import plain_names

CODEC = "mp4v"
MOST_TICKS = 65_535  # MPEG-4 part 2 counts the ticks of a second with 16 bits
SLOWEST_FPS = 0.002  # OpenCV counts thousandths, and none at 0.001


def written_fps(fps: float) -> float:
    """The rate that a file can state: up to 65, 655 or 6553 a second to 3, 2 or 1 decimals."""
    decimals = next((few for few in (3, 2, 1) if fps * 10**few <= MOST_TICKS), 0)
    return max(SLOWEST_FPS, round(fps, decimals))


class Recorder:
    """Writes RGB frames of one size as an mp4; use as a context, which completes the file.

    The file has its name only when it is complete, however the context ends. An OSError if it
    cannot be written. Its rate is that of `written_fps`.
    """

    def __init__(self, path: str | Path, fps: float):
        self._path = Path(path)
        self._part = self._path.with_name(f"{self._path.stem}.part{self._path.suffix}")
        self._fps = written_fps(fps)
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def write(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """One more frame; if its size is another than the first one's, it is stretched to that."""
        if self._writer is None:
            height, width = image.shape[:2]
            self._size = (max(2, width - width % 2), max(2, height - height % 2))  # even sides
            codec = cv2.VideoWriter.fourcc(*CODEC)
            with plain_names.plain_name(self._part) as name:
                writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, codec, self._fps, self._size)
            if not writer.isOpened():
                self._part.unlink(missing_ok=True)
                raise OSError(f"OpenCV cannot write a video to {self._part}")
            self._writer = writer
        if image.shape[1::-1] != self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
            # OpenCV is silent about what it could not write: the index, at the end, tells.
            with plain_names.plain_name(self._part) as name:
                complete = cv2.VideoCapture(name, cv2.CAP_FFMPEG).isOpened()
            if complete:
                self._part.replace(self._path)
                return
            self._part.unlink(missing_ok=True)
            if error is None:
                raise OSError(f"{self._path} could not be completed; is the disk full?")
