"""Where the people are in an image: the person detector that comes with the package.

A detector is any callable from RGB images, a score threshold, an overlap threshold and a limit on
the number of people to boxes (`Detector`). This one is NanoDet-g with its published weights, of
which only the class "person" is used.

NanoDet-g is unsure of people whose height lies between what two of its strides are for, near 140
and 280 px. So it looks at every image twice, fitted into 416 and into 288 px: who has such a height
in one view has another in the other (tests/speed/detection.py shows both).

Its limits: people are missed whose height is less than about a ninth of the image's longer side,
and so are many in a crowd, who hide each other, and some who lie or crouch. For these give boxes,
or another detector.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict
from jaxtyping import Array, Float32, Int, UInt8
from safetensors.numpy import load_file

from acae_jax.geometry import boxes as box_geometry
from acae_jax.images.resizing import resize
from acae_jax.inference import arguments
from acae_jax.models.nanodet import PERSON, NanoDet

Detector = Callable[[list[np.ndarray], float, float, int], Sequence[np.ndarray]]
"""(images, threshold, nms_iou_threshold, max_detections) → for each image its boxes (n, 5)."""

WEIGHTS = Path(__file__).parent / "nanodet" / "nanodet.safetensors"
SIDES_PX = (416, 288)
MAX_CANDIDATES = 1000


def load() -> Detector:
    """The packaged detector: `detect` with its weights on the default device."""
    weights = {name: jnp.asarray(value, jnp.float32) for name, value in load_file(WEIGHTS).items()}
    return partial(detect, unflatten_dict(weights, sep="/"))


def detect(
    params: dict[str, Any],
    images: Sequence[np.ndarray],
    threshold: float | int = 0.4,
    nms_iou_threshold: float | int = 0.6,
    max_detections: int = -1,
) -> list[Float32[np.ndarray, "_n 5"]]:
    """The people in each image, best first: rows of x, y, width, height in px, and score.

    x, y is the box's top left corner; boxes end at the image's edges (`geometry.boxes`).

    Args:
        params: of `NanoDet`.
        images: RGB, uint8 (height, width, 3), of any sizes.
        threshold: the least score of a box.
        nms_iou_threshold: of two boxes with a larger intersection over union the worse is left out.
        max_detections: the most boxes of an image; if not positive, no limit.

    Raises:
        ValueError: for a threshold outside [0, 1] or an image that is not as described.
    """
    for name, value in (("threshold", threshold), ("nms_iou_threshold", nms_iou_threshold)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}: choose it from 0 to 1")
    for image in images:
        if image.dtype != np.uint8 or image.shape[2:] != (3,) or not image.size:
            raise ValueError(
                f"image is {image.dtype} {image.shape}: detection takes RGB, uint8 (h, w, 3)"
            )
    # One batch size, so that the network is compiled once. A CPU is slower with more images.
    batch = 1 if jax.default_backend() == "cpu" else 8
    boxes = []
    for start in range(0, len(images), batch):
        chunk = images[start : start + batch]
        views = [_people(params, _canvases(chunk, batch, side)) for side in SIDES_PX]
        for image, *cells in zip(chunk, *map(np.asarray, views), strict=False):
            people = np.concatenate([view[view[:, 4] >= threshold] for view in cells])
            people = people[np.argsort(-people[:, 4])[:MAX_CANDIDATES]]
            people = _in_image(people, *image.shape[:2])
            people = people[suppress(people[:, :4], nms_iou_threshold)]
            boxes.append(people[:max_detections] if max_detections > 0 else people)
    return boxes


def with_mirror_images(
    detector: Detector,
    images: Sequence[np.ndarray],
    threshold: float | int,
    nms_iou_threshold: float | int,
    max_detections: int,
) -> list[Float32[np.ndarray, "_n 5"]]:
    """The people that a detector finds in each image or in its mirror image, best first.

    Arguments as of `detect`. Of a person who is found in both, the box of the better score counts.
    """
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    both = [
        arguments.check_boxes(detector(list(side), threshold, nms_iou_threshold, -1), len(images))
        for side in (images, mirrored)
    ]
    together = []
    for image, plain, turned in zip(images, *both, strict=True):
        # Pixel centres lie at integers: column x is column width - 1 - x of the mirror image.
        turned[:, 0] = image.shape[1] - 1 - turned[:, 0] - turned[:, 2]
        people = np.concatenate([plain, turned])
        people = people[np.argsort(-people[:, 4], kind="stable")]
        people = people[suppress(people[:, :4], nms_iou_threshold)]
        together.append(people[:max_detections] if max_detections > 0 else people)
    return together


def suppress(boxes: Float32[np.ndarray, "n 4"], iou_threshold: float) -> Int[np.ndarray, " k"]:
    """Indices of the boxes, best first, that overlap no better one of the result."""
    indices, rest = [], np.arange(len(boxes))
    while rest.size:
        best, rest = rest[0], rest[1:]
        indices.append(best)
        one = np.broadcast_to(boxes[best], (len(rest), 4))
        rest = rest[box_geometry.iou(one, boxes[rest]) <= iou_threshold]
    return np.array(indices, np.int64)


@jax.jit
def _people(params: dict[str, Any], canvases: UInt8[Array, "b s s 3"]) -> Float32[Array, "b n 5"]:
    """Every cell's box, in sides of the canvas from its corner, and its score as a person."""
    output: Any = NanoDet().apply({"params": params}, canvases)
    scores, boxes = output
    return jnp.concatenate([boxes / canvases.shape[1], scores[..., PERSON, None]], axis=-1)


def _canvases(
    images: Sequence[UInt8[np.ndarray, "_h _w 3"]], count: int, side: int
) -> UInt8[np.ndarray, "{count} {side} {side} 3"]:
    """Images as large as they fit, in the middle of black squares; further squares stay empty."""
    canvases = np.zeros((count, side, side, 3), np.uint8)
    for canvas, image in zip(canvases, images, strict=False):
        # Even sizes, so that margins are equal on both sides, as `_in_image` takes them to be.
        halves = (n * side / max(image.shape[:2]) / 2 for n in image.shape[:2])
        height, width = (2 * max(1, round(half)) for half in halves)
        top, left = (side - height) // 2, (side - width) // 2
        canvas[top : top + height, left : left + width] = resize(image, height, width)
    return canvases


def _in_image(
    people: Float32[np.ndarray, "_n 5"], height: int, width: int
) -> Float32[np.ndarray, "_m 5"]:
    """Boxes in sides of the canvas as px of the image, cut at its edges; without those outside."""
    longer = max(height, width)
    boxes = people[:, :4] * np.float32(longer)
    boxes[:, :2] -= np.array([longer - width, longer - height], np.float32) / 2
    # The image's corner lies half a pixel before the centre of its first pixel.
    boxes[:, :2] -= np.float32(0.5)
    whole = np.broadcast_to(box_geometry.of_image(width, height), boxes.shape)
    boxes = box_geometry.intersect(boxes, whole)
    return np.concatenate([boxes, people[:, 4:]], axis=1)[box_geometry.area(boxes) > 0]
