"""Image files of datasets, in the pixels that are stored: an orientation tag is ignored, because
labels refer to the pixels as they are."""

import struct
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from acae_jax.images import decoding


def read(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """A JPEG or PNG file as RGB; ValueError if it is broken, OSError if it is not there."""
    try:
        return decoding.decode(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    """Where the red of a JPEG or PNG file, or its grey, is above the middle; errors as `read`."""
    return read(path)[..., 0] > 127


def read_bmp(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """A bitmap file of Windows as RGB; errors as `read`."""
    content = path.read_bytes()
    width, height = struct.unpack_from("<ii", content.ljust(26, b"\0"), 18)
    image = None
    if content.startswith(b"BM") and 0 < width * abs(height) <= decoding.MAX_PIXELS:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError(f"{path} is no bitmap that can be read")
    return image
