"""Image files of datasets, in the pixels that are stored: an orientation tag is ignored, because
labels refer to the pixels as they are."""

from pathlib import Path

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
