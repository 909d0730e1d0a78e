"""The virtual camera that sees one person, and the warp that makes its image.

The crop camera shares its centre with the camera of the stored image but is turned to the person,
so a crop has true perspective and its own intrinsics, with square pixels and the principal point at
the image centre, (side - 1) / 2. Pixel centres lie at integers, in OpenCV's warps as well.
"""

import math
import operator
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
    stored: cameras.Camera,
    box: Float[np.ndarray, "4"],
    side_px: int,
    view: View = PLAIN,
    up: Float[np.ndarray, "3"] | None = None,
) -> cameras.Camera:
    """Return the crop camera for a box (x, y, w, h) in pixels of the stored camera's image.

    It looks at the box centre without lens distortion. It is as upright as the stored camera, or
    upright with respect to `up`, a world direction. It is scaled such that the midpoints of the
    box's two short sides lie side_px apart in its image. The view's zoom, roll and flip come last.
    ValueError if the box has no extent.
    """
    x, y, width, height = (float(value) for value in box)
    if not (width > 0 and height > 0 and all(map(math.isfinite, (x, y, width, height)))):
        raise ValueError(
            f"box {[x, y, width, height]} has no extent; give x, y, w, h with w, h > 0"
        )
    # Written out for three rays, because this is done for every example: with the functions of
    # `cameras`, which also serve batches and devices, it takes several times as long.
    centre = (x + width / 2, y + height / 2)
    along = (0, height / 2) if width < height else (width / 2, 0)
    ends = [(centre[0] + sign * along[0], centre[1] + sign * along[1]) for sign in (-1, 1)]
    points_px = np.array([centre, *ends], stored.intrinsics.dtype)
    forward, *ends = cameras.image_to_camera(stored, points_px).tolist()
    if up is None:
        turn = _turn_towards(*forward)
    else:
        turn = _turn_upright(*forward, *(stored.rotation @ up).tolist())
    (x0, y0), (x1, y1) = (_image_point(turn, end) for end in ends)
    focal = view.zoom * side_px / math.hypot(x1 - x0, y1 - y0)
    rotation = (_last_turn(view) @ np.array(turn)).astype(points_px.dtype) @ stored.rotation
    return _centred(focal, side_px, rotation, stored.position_mm)


def varied(crop: cameras.Camera, view: View) -> cameras.Camera:
    """Return a plain crop camera with the zoom, roll and flip of a view."""
    intrinsics = crop.intrinsics.copy()
    intrinsics[[0, 1], [0, 1]] *= view.zoom
    turn = _last_turn(view).astype(crop.rotation.dtype)
    return crop._replace(intrinsics=intrinsics, rotation=turn @ crop.rotation)


def around(
    crop: cameras.Camera,
    centre_px: Float[np.ndarray, "2"],
    top_px: Float[np.ndarray, "2"],
    side_px: int,
    radii: float,
) -> cameras.Camera:
    """Return a crop camera from the same place that looks at `centre_px` of another crop camera's
    image and has `top_px` above it.

    Its side is `radii` times as long as from the centre to the top. ValueError if these coincide.
    """
    if not np.linalg.norm(top_px - centre_px) > 0:  # also if they are not finite
        raise ValueError("the centre and the top of a region must be two points")
    centre, top = cameras.image_to_camera(crop, np.stack([centre_px, top_px])).tolist()
    turn = _turn_upright(*centre, *(b - a for a, b in zip(centre, top, strict=True)))
    radius = math.hypot(*_image_point(turn, top))
    rotation = np.array(turn, crop.rotation.dtype) @ crop.rotation
    return _centred(side_px / (radii * radius), side_px, rotation, crop.position_mm)


def _centred(
    focal: float,
    side_px: int,
    rotation: Float[np.ndarray, "3 3"],
    position_mm: Float[np.ndarray, "3"],
) -> cameras.Camera:
    middle = (side_px - 1) / 2
    intrinsics = [[focal, 0, middle], [0, focal, middle], [0, 0, 1]]
    dtype = rotation.dtype
    return cameras.Camera(
        np.array(intrinsics, dtype), rotation, position_mm.astype(dtype), np.zeros(12, dtype)
    )


def _last_turn(view: View) -> Float[np.ndarray, "3 3"]:
    """What roll and flip of a view do to the space of a crop camera."""
    cosine, sine = math.cos(view.roll), math.sin(view.roll)
    hand = -1 if view.flip else 1
    return np.array([[hand * cosine, hand * sine, 0], [-sine, cosine, 0], [0, 0, 1]])


def _turn_towards(x: float, y: float, z: float) -> list[list[float]]:
    """The rotation that brings the ray (x, y, z), z > 0, to the z axis and keeps x level."""
    level, length = math.hypot(x, z), math.hypot(x, y, z)
    right = [z / level, 0.0, -x / level]
    forward = [x / length, y / length, z / length]
    below = [forward[1] * right[2], level / length, -forward[1] * right[0]]
    return [right, below, forward]


def _turn_upright(
    x: float, y: float, z: float, up_x: float, up_y: float, up_z: float
) -> list[list[float]]:
    """The rotation that brings the ray (x, y, z) to the z axis and `up` above it.

    If the ray is along `up`, x changes as little as possible. As `cameras.turn_towards`, for one
    ray.
    """
    length = math.hypot(x, y, z)
    x, y, z = forward = [x / length, y / length, z / length]
    right = [up_z * y - up_y * z, up_x * z - up_z * x, up_y * x - up_x * y]
    if math.hypot(*right) < 1e-4 * math.hypot(up_x, up_y, up_z):
        right = [1 - x * x, -x * y, -x * z]
    length = math.hypot(*right)
    right_x, right_y, right_z = right = [value / length for value in right]
    below = [y * right_z - z * right_y, z * right_x - x * right_z, x * right_y - y * right_x]
    return [right, below, forward]


def _image_point(turn: list[list[float]], ray: list[float]) -> tuple[float, float]:
    """Where a turned camera sees a ray, on the image plane."""
    x, y, z = (sum(map(operator.mul, row, ray)) for row in turn)
    return x / z, y / z


def warp(
    image: UInt8[np.ndarray, "h w c"], to_stored: Float[np.ndarray, "3 3"], side_px: int
) -> UInt8[np.ndarray, "{side_px} {side_px} c"]:
    """Show a stored undistorted image, RGB or RGB and mask, as a crop camera sees it.

    `to_stored` is the homography from the crop's pixels to the stored image's. One bilinear
    interpolation without antialiasing; black where the stored image ends.
    """
    is_rgb = image.shape[2] == 3
    # OpenCV warps four channels in half the time of three, to the same values.
    warped = cv2.warpPerspective(
        cv2.cvtColor(image, cv2.COLOR_RGB2RGBA) if is_rgb else image,
        to_stored.astype(np.float64),
        (side_px, side_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB) if is_rgb else warped
