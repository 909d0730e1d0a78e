"""Random occlusion: pasted objects (before the colour change) or an erased rectangle (after it).

Both kinds are equally probable, and one is applied with the probability that the caller states: 0.5
means objects on a quarter of the images and erasing on another quarter.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from acae_jax.images import resizing

Occluder = UInt8[np.ndarray, "_h _w 4"]
Rectangle = tuple[int, int, int, int]  # top, left, bottom, right
# Sizes of the published objects refer to a crop of this side.
_REFERENCE_SIDE_PX = 256


def draw_kind(rng: np.random.Generator, probability: float) -> str:
    """Return "objects", "erase" or "none"."""
    is_objects, is_applied = rng.random(2) < (0.5, probability)
    if not is_applied:
        return "none"
    return "objects" if is_objects else "erase"


def paste_objects(
    image: UInt8[np.ndarray, "h w 3"],
    rng: np.random.Generator,
    occluders: Sequence[Occluder],
    *,
    max_objects: int = 6,
    scale: tuple[float, float] = (0.2, 1.0),
) -> UInt8[np.ndarray, "h w 3"]:
    """Paste 1 to `max_objects` random objects, centred anywhere, onto an image.

    Occluders are RGBA with straight alpha, sized for a crop of 256 px; each is resized by
    U(*scale) × height / 256.
    """
    result = image.copy()
    height, width = image.shape[:2]
    for which, size, x, y in rng.random((int(rng.integers(1, max_objects + 1)), 4)):
        occluder = occluders[int(which * len(occluders))]
        factor = (scale[0] + size * (scale[1] - scale[0])) * height / _REFERENCE_SIDE_PX
        paste(result, occluder, factor, (x * width - 0.5, y * height - 0.5))
    return result


def paste(
    image: UInt8[np.ndarray, "h w 3"],
    occluder: Occluder,
    factor: float,
    centre_px: tuple[float, float],
) -> None:
    """Paste one occluder, resized by `factor`, with its centre at `centre_px`, in place."""
    width = max(1, round(occluder.shape[1] * factor))
    height = max(1, round(occluder.shape[0] * factor))
    left = round(centre_px[0] - (width - 1) / 2)
    top = round(centre_px[1] - (height - 1) / 2)
    x0, x1 = max(left, 0), min(left + width, image.shape[1])
    y0, y1 = max(top, 0), min(top + height, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    # Averaging must weigh colours by alpha, or colours of transparent pixels get into the rim.
    premultiplied = cv2.cvtColor(occluder, cv2.COLOR_RGBA2mRGBA)
    small = resizing.resize(premultiplied, height, width)
    part = small[y0 - top : y1 - top, x0 - left : x1 - left]
    target = image[y0:y1, x0:x1]
    clear = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(part, 3)), cv2.COLOR_GRAY2RGB)
    behind = cv2.multiply(target, clear, scale=1 / 255)
    target[:] = cv2.add(behind, cv2.cvtColor(part, cv2.COLOR_RGBA2RGB))


def draw_rectangle(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    max_area: float = 1 / 3,
    max_aspect: float = 1 / 0.3,
) -> Rectangle:
    """Draw a rectangle within an image.

    Its share of the area is U(0, max_area), height / width is U(1 / max_aspect, max_aspect), and
    its top left corner lies anywhere. All are drawn again until the rectangle lies within the
    image.
    """
    while True:
        area, aspect, x, y = rng.random(4)
        aspect = 1 / max_aspect + aspect * (max_aspect - 1 / max_aspect)
        tall = round(float(np.sqrt(area * max_area * height * width * aspect)))
        wide = round(float(np.sqrt(area * max_area * height * width / aspect)))
        top, left = int(y * height), int(x * width)
        if top + tall <= height and left + wide <= width:
            return top, left, top + tall, left + wide


def erase(
    image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, rectangle: Rectangle
) -> UInt8[np.ndarray, "h w 3"]:
    """Fill the rectangle with noise."""
    top, left, bottom, right = rectangle
    result = image.copy()
    noise = rng.integers(0, 256, (bottom - top, right - left, 3), dtype=np.uint8)
    result[top:bottom, left:right] = noise
    return result
