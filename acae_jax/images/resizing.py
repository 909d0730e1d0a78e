"""Makes pictures smaller, without moiré and fast."""

import cv2
import numpy as np
from jaxtyping import UInt8


def resize(image: UInt8[np.ndarray, "h w c"], height: int, width: int) -> np.ndarray:
    """Resize to (height, width).

    Linear interpolation to a power of two times that size, not larger than the image, then
    averaging: this takes a third of the time of exact area averaging.
    """
    multiple = 1
    while image.shape[0] >= 2 * multiple * height and image.shape[1] >= 2 * multiple * width:
        multiple *= 2
    image = cv2.resize(image, (multiple * width, multiple * height))
    if multiple == 1:
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
