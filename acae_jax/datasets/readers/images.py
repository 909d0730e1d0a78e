"""Image files of datasets, in the pixels that are stored: an orientation tag is ignored, because
labels refer to the pixels as they are."""

import struct
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from acae_jax.images import decoding


def read(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """A JPEG, PNG or BMP file as RGB; ValueError if it is broken, OSError if it is not there."""
    content = path.read_bytes()
    try:
        return _decoded_bmp(content) if content.startswith(b"BM") else decoding.decode(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    """Where the red of a JPEG or PNG file, or its grey, is above the middle; errors as `read`."""
    return read(path)[..., 0] > 127


def _decoded_bmp(content: bytes) -> UInt8[np.ndarray, "h w 3"]:
    if len(content) < 54 or len(content) < struct.unpack_from("<I", content, 2)[0]:
        raise ValueError(f"BMP is cut short ({len(content)} bytes)")
    width, height = struct.unpack_from("<ii", content, 18)
    if not 0 < width * abs(height) <= decoding.MAX_PIXELS:  # rows that begin at the top are < 0
        raise ValueError(f"BMP of {width} x {height} px; at most {decoding.MAX_PIXELS} are read")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError("BMP cannot be decoded")
    return image.astype(np.uint8, copy=False)
