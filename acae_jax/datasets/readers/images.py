"""Image files of datasets, in the pixels that are stored: an orientation tag is ignored, because
labels refer to the pixels as they are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from acae_jax.images import decoding


def read(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """A JPEG or PNG file as RGB; ValueError if it is broken, OSError if it is not there."""
    try:
        return decoding.decode(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def unreadable(error: Exception) -> Callable[[], UInt8[np.ndarray, "h w 3"]]:
    """The pixels to give for a frame that cannot be made, so that it is named and counted."""

    def read() -> UInt8[np.ndarray, "h w 3"]:
        raise error

    return read
