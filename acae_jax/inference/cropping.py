"""Images of any size → crops of people, as their virtual cameras see them.

A crop that is smaller than its place in the image is taken from a smaller copy of the image, so
that nothing aliases: every copy averages 2 × 2 pixels of the one before.
"""

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from acae_jax.geometry import cameras, lens
from acae_jax.images import crops

# Where remap is to find nothing: far outside of any image.
NOWHERE_PX = -1e6
LARGEST_REMAP_PX = 32766  # remap's coordinates are of 16 bits


class Levels:
    """An image and its smaller copies, each half as large as the last, made when asked for.

    They have four channels, which OpenCV warps in half the time of three.
    """

    def __init__(self, image: UInt8[np.ndarray, "h w 3"]):
        self._levels = [cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2RGBA)]

    def at_most(self, level: int) -> tuple[int, UInt8[np.ndarray, "h w 4"]]:
        """The copy of this level, or the last that has a pixel, and its level."""
        while len(self._levels) <= level:
            height, width = self._levels[-1].shape[:2]
            if min(height, width) < 2:
                break
            # Of an odd number of rows or columns, the last makes no pixel.
            even = self._levels[-1][: height // 2 * 2, : width // 2 * 2]
            size = (width // 2, height // 2)
            self._levels.append(cv2.resize(even, size, interpolation=cv2.INTER_AREA))
        level = min(level, len(self._levels) - 1)
        return level, self._levels[level]


def level_of(extent_px: float, side_px: int, antialias: int) -> int:
    """The level of the smallest copy of the image that a crop of this part does not enlarge."""
    return max(0, math.floor(math.log2(extent_px / (side_px * antialias))))


def draw(
    image: UInt8[np.ndarray, "h w 4"],
    stored: cameras.Camera,
    crop: cameras.Camera,
    side_px: int,
    gamma: float = 1.0,
    antialias: int = 1,
) -> UInt8[np.ndarray, "{side_px} {side_px} 3"]:
    """Show a person as the crop camera does, black where the image ends.

    `stored` is the camera of `image`. With `antialias` the crop is drawn so many times larger and
    averaged. Bilinear interpolation.
    """
    larger, side = cameras.scale_output(crop, float(antialias)), side_px * antialias
    if stored.distortion.any():
        warped = _remap(image, stored, larger, side)
    else:
        warped = crops.warp(image, cameras.homography(larger, stored), side)
    if antialias > 1:
        warped = cv2.resize(warped, (side_px, side_px), interpolation=cv2.INTER_AREA)
    warped = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)
    return warped if gamma == 1 else cv2.LUT(warped, _power(gamma))


def _power(gamma: float) -> UInt8[np.ndarray, "256"]:
    return np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)


def _remap(
    image: UInt8[np.ndarray, "h w 4"], stored: cameras.Camera, crop: cameras.Camera, side: int
) -> UInt8[np.ndarray, "{side} {side} 4"]:
    """Show an image that a lens distorted as an undistorted camera sees it."""
    turn = crop.rotation @ stored.rotation.T
    # With unit intrinsics OpenCV gives the distorted plane; it knows no skew, so ours come after.
    x, y = cv2.initUndistortRectifyMap(
        np.eye(3), stored.distortion, turn, crop.intrinsics, (side, side), cv2.CV_32FC1
    )
    (focal_x, skew, middle_x), (_, focal_y, middle_y) = stored.intrinsics[:2].tolist()
    x_px, y_px = focal_x * x + skew * y + middle_x, focal_y * y + middle_y
    x_px[_is_beyond_fold(stored, turn, crop.intrinsics, side)] = NOWHERE_PX
    image, left, top = _seen_part(image, x_px, y_px)
    return cv2.remap(
        image, x_px - left, y_px - top, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )


def _seen_part(
    image: UInt8[np.ndarray, "h w 4"],
    x_px: Float[np.ndarray, "side side"],
    y_px: Float[np.ndarray, "side side"],
) -> tuple[UInt8[np.ndarray, "_h _w 4"], int, int]:
    """The part of an image that remap looks at, and its corner; all of it if remap can take it."""
    height, width = image.shape[:2]
    if max(height, width) <= LARGEST_REMAP_PX:
        return image, 0, 0
    inside = (x_px > -1) & (x_px < width) & (y_px > -1) & (y_px < height)
    if not inside.any():
        return image[:1, :1], 0, 0
    left, top = (max(0, int(np.floor(at[inside].min()))) for at in (x_px, y_px))
    right, bottom = (int(np.floor(at[inside].max())) + 2 for at in (x_px, y_px))
    part = image[top : min(bottom, top + LARGEST_REMAP_PX)]
    return part[:, left : min(right, left + LARGEST_REMAP_PX)], left, top


def _is_beyond_fold(
    stored: cameras.Camera,
    turn: Float[np.ndarray, "3 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    side: int,
) -> Bool[np.ndarray, "{side} {side}"]:
    """Which pixels of a crop look where the lens model means nothing.

    There it would show parts of the image a second time.
    """
    to_ray = (turn.T @ np.linalg.inv(intrinsics)).astype(np.float32)
    at = np.arange(side, dtype=np.float32)
    x, y, z = (row[0] * at[None, :] + (row[1] * at[:, None] + row[2]) for row in to_ray)
    limit = lens.fold_radius(stored.distortion)
    return (z <= 0) | (x * x + y * y > (limit * z) ** 2)
