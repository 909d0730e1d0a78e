"""Portable greymaps and pixmaps of 8 bits (.pgm, .ppm), in the pixels that are stored."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from acae_jax.images import decoding

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([56])" + 3 * (_GAP + rb"(\d{1,9})") + rb"\s")


def read(path: Path) -> UInt8[np.ndarray, "h w"] | UInt8[np.ndarray, "h w 3"]:
    """Grey or RGB pixels; ValueError if it is another file or cut short, OSError if absent."""
    content = path.read_bytes()
    header = _HEADER.match(content)
    if header is None:
        raise ValueError(f"{path} is no binary PGM or PPM file")
    kind, width, height, largest = (int(number) for number in header.groups())
    shape = (height, width) if kind == 5 else (height, width, 3)
    if largest != 255 or not 0 < height * width <= decoding.MAX_PIXELS:
        raise ValueError(f"{path} has {width} x {height} px up to {largest}; it must be of 8 bits")
    if len(content) - header.end() < np.prod(shape):
        raise ValueError(f"{path} is cut short")
    return np.frombuffer(content, np.uint8, int(np.prod(shape)), header.end()).reshape(shape)
