"""People whom a user points out instead of having them detected.

Boxes are lists of x, y, width, height in px, with a score or without: of an image by its path or
name, of a video by its path or name and then by the index of a frame.

    {"photo.jpg": [[120, 40, 90, 260]], "walk.mp4": {"0": [[10, 10, 100, 300]], "1": []}}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from acae_jax.inference import arguments

Boxes = Mapping[str, Any]


def of_image(boxes: Boxes, path: Path) -> Float32[np.ndarray, "n 5"]:
    """The boxes of an image; a ValueError if there is nothing for it, or no list of boxes."""
    content = _entry(boxes, path, "[]")
    if not isinstance(content, list):
        raise ValueError(f"the boxes of the image {path} must be a list: [[x, y, width, height]]")
    return _checked(content, str(path))


def of_video(boxes: Boxes, path: Path) -> dict[int, Float32[np.ndarray, "n 5"]]:
    """The boxes of a video's frames, by index; a ValueError as for an image."""
    content = _entry(boxes, path, "{}")
    if not isinstance(content, Mapping) or not all(index.isdecimal() for index in content):
        raise ValueError(
            f"the boxes of the video {path} must be an object by indices of frames: "
            '{"0": [[x, y, width, height]]}'
        )
    return {int(index): _checked(content[index], f"{path}, frame {index}") for index in content}


def _entry(boxes: Boxes, path: Path, nobody: str) -> Any:
    for key in (str(path), path.name):
        if key in boxes:
            return boxes[key]
    raise ValueError(f"the boxes hold nothing for '{path}' or '{path.name}'; {nobody} means nobody")


def _checked(content: Any, where: str) -> Float32[np.ndarray, "n 5"]:
    try:
        return arguments.check_boxes([content], 1)[0]
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
