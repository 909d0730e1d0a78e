"""Person masks as run lengths, in COCO's uncompressed form.

The mask is read down its columns; the counts alternate between background and person and begin with
background (a 0 if the first pixel is a person's). Masks are uint8 (height, width), 0 or 1.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Integer, UInt8, UInt32

from acae_jax.images import decoding


def encode(
    mask: Bool[np.ndarray, "h w"] | Integer[np.ndarray, "h w"],
) -> UInt32[np.ndarray, " runs"]:
    """Encode a mask (nonzero = person) as run lengths; ValueError if it has no pixels."""
    _check_size(*mask.shape)
    flat = (mask != 0).ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(edges, prepend=0, append=flat.size)
    if flat[0]:
        counts = np.insert(counts, 0, 0)
    return counts.astype(np.uint32)


def decode(
    counts: Integer[np.ndarray, " runs"], height: int, width: int
) -> UInt8[np.ndarray, "{height} {width}"]:
    """Unpack run lengths to a 0/1 mask; ValueError unless they cover exactly height × width."""
    _check_size(height, width)
    wide = counts.astype(np.int64)
    if (wide.size and wide.min() < 0) or wide.sum() != height * width:
        raise ValueError(
            f"mask runs cover {wide.sum()} px but the image is {width}×{height}; "
            "encode the mask at the size of the stored image"
        )
    values = np.arange(wide.size, dtype=np.uint8) & 1
    return cv2.transpose(np.repeat(values, wide).reshape(width, height))


def _check_size(height: int, width: int) -> None:
    if not 0 < height * width <= decoding.MAX_PIXELS:
        raise ValueError(
            f"mask of {width}×{height} px is outside the limit of {decoding.MAX_PIXELS} px"
        )
