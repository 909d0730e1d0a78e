"""Pictures of stored records: a crop with its labelled skeleton drawn on it."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from acae_jax.data import crop_record
from acae_jax.geometry import cameras
from acae_jax.images import decoding
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import skeleton as skeletons

COLOURS = {"l": (60, 150, 255), "r": (255, 120, 40), "": (255, 255, 255)}  # RGB
ZOOM = 2.0
FINE = 3  # fractional bits of drawn positions
MANY = 60  # joints, which are drawn with thin lines

Names = tuple[str, ...]
Edges = tuple[tuple[int, int], ...]


def joints_px(record: crop_record.CropRecord) -> Float[np.ndarray, "j 2"]:
    """A record's joints in its stored crop, 3D-labelled or 2D-labelled; NaN behind the camera."""
    if len(record.joints_px):
        return record.joints_px
    in_camera = crop_record.in_camera_mm(record)
    points_px = cameras.camera_to_image(cameras.create(record.intrinsics), in_camera)
    return np.where(in_camera[:, 2:] > 0, points_px, np.float32(np.nan))


def skeleton(format_name: str) -> tuple[Names, Edges]:
    """Joint names and edges of a record's format in the catalogue, or of several side by side."""
    names: list[str] = []
    edges: list[tuple[int, int]] = []
    for name in crop_record.formats(format_name):
        part = catalogue.load(name)
        edges += [(a + len(names), b + len(names)) for a, b in part.edges]
        names += part.joint_names
    return tuple(names), tuple(edges)


def draw(
    record: crop_record.CropRecord, joint_names: Names, edges: Edges, zoom: float = ZOOM
) -> UInt8[np.ndarray, "h w 3"]:
    """A record's crop, enlarged, with its joints and edges: left ones blue, right ones orange."""
    image = decoding.decode(record.image)
    way = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA
    image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=way)
    points = enlarged(joints_px(record), zoom)
    tints = [COLOURS[side] for side in skeletons.sides(joint_names)]
    # OpenCV counts in 32 bits, and what is so far away is not seen anyway.
    has_label = [bool((np.abs(point) < 1e5).all()) for point in points]
    places = [
        fine(point) if seen else (0, 0) for point, seen in zip(points, has_label, strict=True)
    ]
    width = 1 if len(joint_names) > MANY else 2
    for a, b in edges:
        if has_label[a] and has_label[b]:
            cv2.line(image, places[a], places[b], tints[b], width, cv2.LINE_AA, FINE)
    for place, tint, seen in zip(places, tints, has_label, strict=True):
        if seen:
            cv2.circle(image, place, 2 << FINE, tint, -1, cv2.LINE_AA, FINE)
    return image


def enlarged(points_px: Float[np.ndarray, "*n 2"], zoom: float) -> Float[np.ndarray, "*n 2"]:
    """Where points of an image are in the enlarged image."""
    return (points_px + 0.5) * zoom - 0.5


def fine(point_px: Float[np.ndarray, "2"]) -> tuple[int, int]:
    """A point as OpenCV's functions want it that draw with FINE fractional bits."""
    x, y = np.round(point_px * 2**FINE)
    return int(x), int(y)
