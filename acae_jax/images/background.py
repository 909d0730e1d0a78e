"""Replacing what is behind a person, given the person's mask.

Images are uint8 RGB; backgrounds are of any size.
"""

import cv2
import numpy as np
from jaxtyping import UInt8

from acae_jax.images import resizing

Background = UInt8[np.ndarray, "_bh _bw 3"]


def draw(
    background: Background,
    side_px: int,
    rng: np.random.Generator,
    *,
    zoom: tuple[float, float] = (1.2, 1.5),
    shift: float = 0.1,
) -> UInt8[np.ndarray, "{side_px} {side_px} 3"]:
    """Cut a random square view out of a background.

    The background is scaled to cover the crop, then by U(*zoom); its centre is moved within a disc
    of radius `shift` × side_px. With a zoom of at least 1 + 2 × shift it still covers the crop.
    """
    height, width = background.shape[:2]
    factor, radius, angle = rng.random(3)
    view = min(height, width) / (zoom[0] + factor * (zoom[1] - zoom[0]))
    radius, angle = shift * view * np.sqrt(radius), 2 * np.pi * angle
    side = max(1, min(round(view), height, width))
    left = round((width - side) / 2 + radius * np.cos(angle))
    top = round((height - side) / 2 + radius * np.sin(angle))
    left, top = min(max(left, 0), width - side), min(max(top, 0), height - side)
    region = background[top : top + side, left : left + side]
    return resizing.resize(region, side_px, side_px)


def composite(
    image: UInt8[np.ndarray, "h w 3"],
    alpha: UInt8[np.ndarray, "h w"],
    behind: UInt8[np.ndarray, "h w 3"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Blend alpha / 255 × image + (1 - alpha / 255) × behind; both products are rounded."""
    weight = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    front = cv2.multiply(image, weight, scale=1 / 255)
    return cv2.add(front, cv2.multiply(behind, cv2.bitwise_not(weight), scale=1 / 255))
