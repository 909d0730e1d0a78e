"""The crop that is stored of a person: an undistorted image that looks at the person's box.

The camera turns to the middle of the box, upright with respect to the world, and loses its lens.
The crop has room for turns of 30 degrees and for the shifts and zooms of training. People become at
most 384 px high or wide, and at most 1.2 times as large as they were.

Pixels are averaged in linear light: four cubic samples a pixel, of an image that was made smaller
before if it has far more pixels than the crop, so that nothing flickers (PosePile's rule with
better antialiasing).
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from acae_jax.geometry import boxes, cameras, lens

PERSON_PX = 384.0
LARGEST_SCALE = 1.2
TURN = math.radians(30)
ROOM = 1.1 / 0.85**2  # for shifts and zooms
GAMMA = 2.2
SUPERSAMPLING = 2
WHITE_BALANCE = 1.1  # strength
JPEG_QUALITY = 95
FAKE_FOV = math.radians(8)  # of images whose camera is unknown
OUTSIDE = -1e4  # px, where the image has nothing to show


class Light(NamedTuple):
    """What corrects the light of a studio: bytes become 255 (byte / 255)^gamma, then the colour
    `grey_a`, `grey_b` (OpenCV's Lab of 8 bits) becomes grey, the more the lighter a pixel is."""

    gamma: float = 1.0
    grey_a: float = 128.0
    grey_b: float = 128.0


class Cropping(NamedTuple):
    """How a dataset's crops depart from the usual.

    expansion        times the usual room about the person
    ends_with_image  whether the crop ends where the image does; False where views are so wide that
                     the image has no box in a turned camera
    light            of the finished crop, if it is to be corrected
    """

    expansion: float = 1.0
    ends_with_image: bool = True
    light: Light | None = None


USUAL = Cropping()


class Crop(NamedTuple):
    """Where a crop lies: its undistorted camera and size, the box in it, and where its pixels are
    in the image."""

    camera: cameras.Camera
    width_px: int
    height_px: int
    box: Float[np.ndarray, "4"]
    scale: float  # px of the crop for one of the image
    map_x: Float32[np.ndarray, "y x"]  # SUPERSAMPLING times as fine as the crop
    map_y: Float32[np.ndarray, "y x"]


def fake_camera(width_px: int, height_px: int) -> cameras.Camera:
    """The made-up camera of an image without one: 8 degrees, so that its crops hardly turn."""
    return cameras.create(cameras.field_of_view(FAKE_FOV, width_px, height_px).astype(np.float64))


def place(
    size_px: tuple[int, int],
    camera: cameras.Camera,
    box: Float[np.ndarray, "4"],
    up: Float[np.ndarray, "3"] | None,
    cropping: Cropping = USUAL,
) -> Crop:
    """The crop about a box (x, y, w, h) in an image of (width, height), taken by this camera.

    `up` is a direction of the world; without it the crop is cut out and scaled, not turned.
    Computes in float64. ValueError if the box has no extent, or the crop would be outside of the
    image.
    """
    camera = cameras.Camera(*(np.asarray(part, np.float64) for part in camera))
    box = np.asarray(box, np.float64)
    if not (np.isfinite(box).all() and (box[2:] > 0).all()):
        raise ValueError(f"box {box.tolist()} has no extent; give x, y, w, h with w, h > 0")
    turned = camera
    if up is not None:
        turned = cameras.turn_towards(camera, image_point_px=boxes.centre(box), up=up)
    turned = cameras.square_pixels(cameras.undistort(turned))
    seen = boxes.reproject(box, camera, turned)
    area = boxes.of_centre(boxes.centre(seen), np.full(2, _side_px(seen) * cropping.expansion))
    image_box = boxes.of_image(*size_px).astype(np.float64)
    if cropping.ends_with_image and _is_in_front(image_box, camera, turned):
        area = boxes.intersect(area, boxes.reproject(image_box, camera, turned))
    if not boxes.area(area) > 0:
        raise ValueError(f"box {box.tolist()} lies outside of the image")
    return _cut(camera, turned, seen, area)


def draw(image: UInt8[np.ndarray, "h w 3"], crop: Crop) -> UInt8[np.ndarray, "_h _w 3"]:
    """The pixels of a crop; black where the image ends."""
    linear = _sampled(image, _TO_LINEAR, crop, cv2.INTER_CUBIC)
    return np.rint(255 * cv2.pow(np.clip(linear, 0, 1), 1 / GAMMA)).astype(np.uint8)


def draw_mask(
    mask: UInt8[np.ndarray, "h w"] | Bool[np.ndarray, "h w"], crop: Crop
) -> Bool[np.ndarray, "_h _w"]:
    """The pixels of a crop more than half of which are not zero in the image's mask."""
    return _sampled((mask != 0).astype(np.uint8), _TO_SHARE, crop, cv2.INTER_LINEAR) > 0.5


def corrected(image: UInt8[np.ndarray, "h w 3"], light: Light | None) -> UInt8[np.ndarray, "h w 3"]:
    """An image in another light; the same one for None."""
    if light is None:
        return image
    brighter = ((np.arange(256) / 255) ** light.gamma).astype(np.float32)
    lab = cv2.cvtColor(cv2.LUT(image, brighter), cv2.COLOR_RGB2Lab)  # lightness 0 to 100
    for channel, grey in ((1, light.grey_a), (2, light.grey_b)):
        lab[..., channel] -= np.float32(WHITE_BALANCE * (grey - 128) / 100) * lab[..., 0]
    return np.rint(255 * np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0, 1)).astype(np.uint8)


def encode(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """RGB pixels as a JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _side_px(box: Float[np.ndarray, "4"]) -> float:
    """The side of the square that holds a box when it is turned, with room about it."""
    cosine, sine = math.cos(TURN), math.sin(TURN)
    width, height = box[2:]
    return ROOM * max(cosine * width + sine * height, cosine * height + sine * width)


def _is_in_front(
    image_box: Float[np.ndarray, "4"], camera: cameras.Camera, turned: cameras.Camera
) -> bool:
    """Whether a turned camera sees the middles of all sides of an image."""
    rays = cameras.image_to_camera(camera, boxes.side_midpoints(image_box))
    return bool(((rays @ (turned.rotation @ camera.rotation.T).T)[:, 2] > 0.05).all())


def _cut(
    camera: cameras.Camera,
    turned: cameras.Camera,
    seen: Float[np.ndarray, "4"],
    area: Float[np.ndarray, "4"],
) -> Crop:
    """The crop of an area of a turned camera's image, in which the person's box is `seen`."""
    scale = min(LARGEST_SCALE, PERSON_PX / float(seen[2:].max()))
    width, height = (max(1, round(float(side) * scale)) for side in area[2:])
    corner = area[:2] + 0.5  # lies at -0.5, half a pixel before the centre of the first pixel
    own = cameras.scale_output(cameras.shift(turned, -corner), scale)
    box = np.concatenate([(seen[:2] - area[:2]) * scale - 0.5, seen[2:] * scale])
    return Crop(own, width, height, box, scale, *_maps(camera, own, width, height))


def _maps(
    camera: cameras.Camera, own: cameras.Camera, width: int, height: int
) -> tuple[Float32[np.ndarray, "y x"], Float32[np.ndarray, "y x"]]:
    """Where the crop's samples are in the image, in px; OUTSIDE behind the camera and where its
    lens model folds over."""
    fine = cameras.scale_output(own, float(SUPERSAMPLING))
    size = SUPERSAMPLING * width, SUPERSAMPLING * height
    turn = own.rotation @ camera.rotation.T
    k = camera.intrinsics
    map_x, map_y = cv2.initUndistortRectifyMap(
        k, camera.distortion, turn, fine.intrinsics, size, cv2.CV_32FC1
    )
    map_x += np.float32(k[0, 1] / k[1, 1]) * (map_y - np.float32(k[1, 2]))  # OpenCV has no skew
    to_rays = turn.T @ np.linalg.inv(fine.intrinsics)
    corners = np.array([(x, y, 1) for x in (0, size[0]) for y in (0, size[1])], float)
    limit = lens.fold_radius(camera.distortion) if camera.distortion.any() else np.inf
    if not _is_visible(corners @ to_rays.T, limit).all():
        columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
        rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ to_rays.T
        hidden = ~_is_visible(rays, limit)
        map_x[hidden] = map_y[hidden] = OUTSIDE
    return map_x, map_y


def _is_visible(rays: Float[np.ndarray, "*n 3"], limit: float) -> Bool[np.ndarray, "*n"]:
    """Whether rays are before the camera and within the radius on the image plane."""
    return (rays[..., 2] > 0) & (
        np.hypot(rays[..., 0], rays[..., 1]) < limit * np.maximum(rays[..., 2], 1e-9)
    )


def _sampled(
    image: UInt8[np.ndarray, "h w *c"],
    values: Float32[np.ndarray, " 256"],
    crop: Crop,
    interpolation: int,
) -> Float32[np.ndarray, "_h _w *c"]:
    """The `values` of an image's bytes in a crop: its mean over each pixel's samples."""
    height, width = image.shape[:2]
    left, right = _range(crop.map_x, width)
    top, bottom = _range(crop.map_y, height)
    part = cv2.LUT(np.ascontiguousarray(image[top:bottom, left:right]), values)
    shrink = max(1, int(1 / (SUPERSAMPLING * crop.scale)))
    if shrink > 1:  # whole blocks, so that every pixel is the mean of as many
        more_y, more_x = -part.shape[0] % shrink, -part.shape[1] % shrink
        part = cv2.copyMakeBorder(part, 0, more_y, 0, more_x, cv2.BORDER_REPLICATE)
        small = part.shape[1] // shrink, part.shape[0] // shrink
        part = cv2.resize(part, small, interpolation=cv2.INTER_AREA)
    fine = cv2.remap(
        part,
        (crop.map_x - np.float32(left - 0.5)) / shrink - np.float32(0.5),
        (crop.map_y - np.float32(top - 0.5)) / shrink - np.float32(0.5),
        interpolation,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return cv2.resize(fine, (crop.width_px, crop.height_px), interpolation=cv2.INTER_AREA)


def _range(positions_px: Float32[np.ndarray, "y x"], size: int) -> tuple[int, int]:
    """The part of an image's rows or columns that these positions need; at least one."""
    low, high = int(positions_px.min()) - 3, int(positions_px.max()) + 4
    start = min(max(low, 0), size - 1)
    return start, min(max(high, start + 1), size)


_TO_LINEAR = ((np.arange(256) / 255) ** GAMMA).astype(np.float32)
_TO_SHARE = np.arange(256, dtype=np.float32)
