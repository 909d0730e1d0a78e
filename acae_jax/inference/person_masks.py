"""Which pixels of an image show the person in a box, by the landmark network of BlazePose.

The network gives the mask of the one person around whose region a crop is centred, so that others
in the box hardly count. Datasets without masks are prepared with these.
"""

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import jax
import numpy as np
from jaxtyping import Array, Float32, UInt8

from acae_jax.bundles import bundle as bundles
from acae_jax.foreign import blazepose_weights
from acae_jax.geometry import cameras
from acae_jax.inference import arguments, box_poses, cropping, framing
from acae_jax.inference.arguments import ArrayLike
from acae_jax.inference.variants import Variant
from acae_jax.models.blazepose import SIDE_PX

UP = np.array([0.0, -1.0, 0.0])
FOV_DEGREES = 55.0  # of images whose camera is unknown

PersonMasks = Callable[..., Iterator[Float32[np.ndarray, "h w"]]]
"""(image, boxes, intrinsic_matrix=None) → for each box the probability that a pixel shows it."""


def load() -> PersonMasks:
    """The packaged network as a function from an RGB image (h, w, 3), uint8, and boxes (n, 4) in px
    to masks, made one by one.

    ValueError for images, boxes and intrinsics as the estimator raises it.
    """
    bundle = bundles.load(bundles.PHOTOGRAPHS)
    network, variables = blazepose_weights.load()

    @jax.jit
    def probability(crops: UInt8[Array, "1 s s 3"]) -> Float32[Array, "1 s s"]:
        person: Any = network.apply(variables, crops.astype(np.float32) / 255.0)
        return jax.nn.sigmoid(person.mask_logits)

    def masks(
        image: ArrayLike, boxes: ArrayLike, intrinsic_matrix: ArrayLike | None = None
    ) -> Iterator[Float32[np.ndarray, "h w"]]:
        (scene,) = arguments.create([image], intrinsic_matrix, None, None, FOV_DEGREES)
        (checked,) = arguments.check_boxes([boxes], 1)
        levels = cropping.Levels(scene.image)
        frames = box_poses.frames(bundle, scene, levels, checked[:, :4], UP)
        height, width = scene.image.shape[:2]
        for crop in framing.crops_of(levels, scene.camera, frames, [Variant()], SIDE_PX, 1):
            in_crop = np.asarray(probability(crop.draw()[None]))[0]
            to_crop = cameras.homography(scene.camera, crop.camera).astype(np.float64)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            yield cv2.warpPerspective(in_crop, to_crop, (width, height), flags=flags)

    return masks
