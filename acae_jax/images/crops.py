"""The virtual camera that sees one person, and the one warp that makes its image.

The crop camera shares its centre with the camera of the stored image but is turned to the person,
so a crop has true perspective and its own intrinsics, with square pixels and the principal point at
the image centre, (side - 1) / 2. Pixel centres lie at integers, in OpenCV's warps as well.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from acae_jax.geometry import cameras


class View(NamedTuple):
    """How a crop departs from the plain one."""

    zoom: float = 1.0
    roll: float = 0.0  # radians
    flip: bool = False


PLAIN = View()


def camera(
    stored: cameras.Camera, box: Float[np.ndarray, "4"], side_px: int, view: View = PLAIN
) -> cameras.Camera:
    """Return the crop camera for a box (x, y, w, h) in pixels of the stored camera's image.

    It looks at the box centre, upright as the stored camera is, and without lens distortion. The
    midpoints of the two short sides of the box, seen through it, lie side_px apart. Then the view's
    zoom, roll and flip follow. ValueError if the box has no extent.
    """
    x, y, width, height = (float(value) for value in box)
    if not (width > 0 and height > 0 and np.isfinite([x, y, width, height]).all()):
        raise ValueError(
            f"box {[x, y, width, height]} has no extent; give x, y, w, h with w, h > 0"
        )
    centre = np.array([x + width / 2, y + height / 2], stored.intrinsics.dtype)
    turned = cameras.undistort(cameras.turn_towards(stored, image_point_px=centre))
    turned = cameras.centre_principal_point(cameras.square_pixels(turned), side_px)
    along = np.array([0, height / 2] if width < height else [width / 2, 0], centre.dtype)
    ends = cameras.reproject(stored, turned, np.stack([centre - along, centre + along]))
    length = np.hypot(*(ends[1] - ends[0]))
    turned = cameras.zoom(turned, float(side_px / length) * view.zoom)
    if view.roll:
        turned = cameras.roll(turned, view.roll)
    return cameras.flip(turned) if view.flip else turned


def warp(
    image: UInt8[np.ndarray, "h w c"], stored: cameras.Camera, crop: cameras.Camera, side_px: int
) -> UInt8[np.ndarray, "{side_px} {side_px} c"]:
    """Show the stored camera's undistorted image, RGB or RGB and mask, as the crop camera sees it.

    One bilinear interpolation without antialiasing; black where the stored image ends.
    """
    is_rgb = image.shape[2] == 3
    # OpenCV warps four channels in half the time of three, to the same values.
    warped = cv2.warpPerspective(
        cv2.cvtColor(image, cv2.COLOR_RGB2RGBA) if is_rgb else image,
        np.asarray(cameras.homography(crop, stored), np.float64),
        (side_px, side_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB) if is_rgb else warped
