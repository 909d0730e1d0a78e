"""Encoded image bytes → RGB pixels. Damaged or too large images are refused before decoding.

Images are uint8 (height, width, 3) in RGB order. An orientation tag is ignored: the geometry stored
beside an image always refers to its pixels as they are. (`decode_upright` is for pictures that have
no geometry.)
"""

import struct

import cv2
import numpy as np
from jaxtyping import UInt8

MAX_PIXELS = 64_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Frame headers SOF0..SOF15 carry the size; C4, C8 and CC share the range but are other tables.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def size(encoded: bytes) -> tuple[int, int]:
    """Read (height, width) from a JPEG or PNG header without decoding; ValueError otherwise."""
    try:
        if encoded.startswith(_PNG):
            width, height = struct.unpack_from(">II", encoded, 16)
            return height, width
        if encoded.startswith(_JPEG):
            return _jpeg_size(encoded)
    except (struct.error, IndexError) as error:
        raise ValueError(f"image header is cut short ({len(encoded)} bytes)") from error
    raise ValueError(f"image is neither JPEG nor PNG: it begins with {encoded[:8]!r}")


def decode(encoded: bytes, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Decode a JPEG or PNG to RGB.

    ValueError if the bytes are something else, incomplete, or hold more than `max_pixels` pixels
    (checked from the header, so that a small file cannot ask for gigabytes).
    """
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return _decode(encoded, flags, 3, max_pixels)


def decode_upright(encoded: bytes, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Decode as `decode` does, and turn the image as its orientation tag says."""
    return _decode(encoded, cv2.IMREAD_COLOR_RGB, 3, max_pixels)


def decode_cutout(encoded: bytes, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 4"]:
    """Decode a PNG with an alpha channel to RGBA, with straight alpha.

    ValueError as in `decode`, and for an image without alpha or with 16 bits a channel.
    """
    if not encoded.startswith(_PNG):
        raise ValueError("a cut-out must be a PNG with an alpha channel (RGBA)")
    image = _decode(encoded, cv2.IMREAD_UNCHANGED, 4, max_pixels)
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)


def check_size(encoded: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Read (height, width) from a header as `size` does; ValueError beyond `max_pixels` pixels."""
    height, width = size(encoded)
    if not 0 < height * width <= max_pixels:
        raise ValueError(f"image of {width}×{height} px is outside the limit of {max_pixels} px")
    return height, width


def _decode(
    encoded: bytes, flags: int, channels: int, max_pixels: int
) -> UInt8[np.ndarray, "h w {channels}"]:
    height, width = check_size(encoded, max_pixels)
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f"image of {len(encoded)} bytes cannot be decoded") from error
    is_turned = not flags & cv2.IMREAD_IGNORE_ORIENTATION
    sizes = {(height, width), (width, height)} if is_turned else {(height, width)}
    if image is None or image.shape[:2] not in sizes:
        raise ValueError(f"image of {len(encoded)} bytes cannot be decoded")
    if image.ndim != 3 or image.shape[2] != channels or image.dtype != np.uint8:
        of = "x".join(map(str, image.shape[2:])) or "1"
        raise ValueError(
            f"image has {of} channel(s) of {image.dtype}; it needs {channels} channels of 8 bits"
        )
    return image


def _jpeg_size(encoded: bytes) -> tuple[int, int]:
    """Walk the marker segments of a JPEG up to its frame header."""
    at = 2
    while True:
        if encoded[at] != 0xFF:
            raise ValueError("JPEG header is damaged: a segment does not begin with a marker")
        marker = encoded[at + 1]
        if marker == 0xFF:  # padding before a marker
            at += 1
        elif marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", encoded, at + 5)
            # The decoder fills missing pixels with grey and only warns. Searched from here on:
            # an embedded preview has an end marker of its own.
            if encoded.rfind(b"\xff\xd9", at) < 0:
                raise ValueError(f"JPEG of {len(encoded)} bytes is cut short: it has no end marker")
            return height, width
        elif marker in (0xD9, 0xDA):
            raise ValueError("JPEG header is damaged: no frame header before the pixels")
        else:
            at += 2 + max(2, struct.unpack_from(">H", encoded, at + 2)[0])
