"""Frames: the crop camera that shows one person, and how much of the image it takes."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from acae_jax.geometry import cameras
from acae_jax.images import crops
from acae_jax.inference import batches, cropping
from acae_jax.inference.arguments import Scene
from acae_jax.inference.variants import Variant


class Frame(NamedTuple):
    """A plain crop camera, and about how many px of the image its side spans."""

    camera: cameras.Camera
    extent_px: float


def of_box(
    scene: Scene, box: Float[np.ndarray, "4"], side_px: int, up: Float[np.ndarray, "3"]
) -> Frame:
    """The frame whose side is the longer side of a box; the world direction `up` is up in it."""
    camera = crops.camera(scene.camera, box, side_px, up=up)
    return Frame(camera, float(max(box[2], box[3])))


def varied(frame: Frame, view: crops.View) -> Frame:
    """A frame with the zoom, roll and flip of a view."""
    return Frame(crops.varied(frame.camera, view), frame.extent_px / view.zoom)


def of_region(
    frame: Frame, region_px: Float[np.ndarray, "2 2"], side_px: int, radii: float
) -> Frame:
    """The frame around a region: its middle, and above it a point of its circle, in px of `frame`.

    Its side is `radii` radii of the circle.
    """
    middle, top = region_px
    share = radii * float(np.linalg.norm(top - middle)) / side_px
    camera = crops.around(frame.camera, middle, top, side_px, radii)
    return Frame(camera, share * frame.extent_px)


def of_points(
    scene: Scene, region_mm: Float[np.ndarray, "2 3"], side_px: int, radii: float
) -> Frame:
    """The frame around a region as `of_region`, whose two points lie in the space of the camera."""
    camera = scene.camera
    pinhole = camera._replace(distortion=np.zeros_like(camera.distortion))
    middle, top = cameras.camera_to_image(pinhole, region_mm)
    crop = crops.around(pinhole, middle, top, side_px, radii)
    return Frame(crop, radii * float(np.linalg.norm(top - middle)))


def crops_of(
    levels: cropping.Levels,
    camera: cameras.Camera,
    frames: Iterable[Frame],
    variants: Sequence[Variant],
    side_px: int,
    antialias: int,
) -> Iterator[batches.Crop]:
    """The crops of an image, which `camera` took: all variants of the first frame, the second, …"""
    for frame in frames:
        for variant in variants:
            crop, extent_px = varied(frame, variant.view)
            level, image = levels.at_most(cropping.level_of(extent_px, side_px, antialias))
            stored = cameras.scale_output(camera, 0.5**level)
            yield batches.Crop(
                crop, partial(cropping.draw, image, stored, crop, side_px, variant.gamma, antialias)
            )
