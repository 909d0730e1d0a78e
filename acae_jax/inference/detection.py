"""Where the people are in an image: the person detector that comes with the package.

A detector is any callable from RGB images, a score threshold, an overlap threshold and a limit on
the number of people to boxes (`Detector`). This one is NanoDet-g with its published weights, of
which only the class "person" is used.

NanoDet-g is sure of people who are some 50 to 110 px high, 150 to 230, or more than 320. Between
what two of its strides are for it is not. So it looks at every image three times, in canvases of
three sizes: who has a bad height in one view has a good one in another (tests/speed/detection.py).
The large view finds people of a tenth of the image's longer side; the small one finds those who
fill the image and are cut by its border. Boxes larger than half of the image are left to the
smaller views: the network was trained with smaller pictures than the large view is, and most of its
boxes of nobody are of that size. A person's box is the mean of what the views say.

A canvas has about the shape of the image, so that little of it stays empty. The large canvases of
all shapes have about the same area, so that all images take about the same time.

Its limits: half of the people are missed whose height is less than a twelfth of the image's longer
side, a quarter of those cut by the border, and some in a crowd, who hide each other, and who lie or
crouch. For these give boxes, or another detector.
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

Canvas = tuple[int, int]
Views = tuple[Canvas, ...]

WEIGHTS = Path(__file__).parent / "nanodet" / "nanodet.safetensors"
# Height and width in px of the large, the middle and the small view of an image, for each shape.
LYING = (
    ((576, 576), (288, 288), (160, 160)),
    ((512, 672), (224, 288), (128, 160)),
    ((448, 768), (160, 288), (96, 160)),
)
CANVASES = (*LYING, *(tuple((width, height) for height, width in views) for views in LYING[1:]))
LARGEST = (0.5, np.inf, np.inf)  # box that a view may find, in longer sides of the image
SAME_IOU, SUPPORT = 0.6, 0.5  # of a person's boxes: overlap, and score as a share of the best one's
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
    # One batch size, so that the network is compiled once for a canvas. A CPU is slower with more.
    batch = 1 if jax.default_backend() == "cpu" else 8
    boxes: list[Any] = [None] * len(images)
    views = [_views(*image.shape[:2]) for image in images]
    for canvases in dict.fromkeys(views):
        members = [index for index, own in enumerate(views) if own == canvases]
        for start in range(0, len(members), batch):
            chunk = members[start : start + batch]
            shown = [images[index] for index in chunk]
            cells = [_people(params, _drawn(shown, batch, canvas)) for canvas in canvases]
            for index, *of_views in zip(chunk, *map(np.asarray, cells), strict=False):
                size = images[index].shape[:2]
                people = _merged(of_views, canvases, size, threshold, nms_iou_threshold)
                boxes[index] = people[:max_detections] if max_detections > 0 else people
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
def _people(params: dict[str, Any], canvases: UInt8[Array, "b h w 3"]) -> Float32[Array, "b n 5"]:
    """Every cell's box in px, from the canvas's corner, and its score as a person."""
    output: Any = NanoDet().apply({"params": params}, canvases)
    scores, boxes = output
    return jnp.concatenate([boxes, scores[..., PERSON, None]], axis=-1)


def _views(height: int, width: int) -> Views:
    """The canvases whose first shows such an image largest."""
    return max(CANVASES, key=lambda views: min(views[0][0] / height, views[0][1] / width))


def _place(canvas: Canvas, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, left, height and width in px of an image, as large as it fits, in the middle."""
    scale = min(canvas[0] / height, canvas[1] / width)
    # Even sizes, so that margins are equal on both sides.
    drawn = [2 * max(1, round(side * scale / 2)) for side in (height, width)]
    return (canvas[0] - drawn[0]) // 2, (canvas[1] - drawn[1]) // 2, drawn[0], drawn[1]


def _drawn(
    images: Sequence[UInt8[np.ndarray, "_h _w 3"]], count: int, canvas: Canvas
) -> UInt8[np.ndarray, "{count} h w 3"]:
    """Images on black canvases; further canvases stay empty."""
    drawn = np.zeros((count, *canvas, 3), np.uint8)
    for picture, image in zip(drawn, images, strict=False):
        top, left, height, width = _place(canvas, *image.shape[:2])
        picture[top : top + height, left : left + width] = resize(image, height, width)
    return drawn


def _merged(
    cells: Sequence[Float32[np.ndarray, "_n 5"]],
    canvases: Views,
    size: Canvas,
    threshold: float | int,
    nms_iou_threshold: float | int,
) -> Float32[np.ndarray, "_m 5"]:
    """The people of all views of an image of this (height, width), best first, in its px."""
    parts = [
        _in_image(view[view[:, 4] >= SUPPORT * threshold], canvas, *size, largest)
        for view, canvas, largest in zip(cells, canvases, LARGEST, strict=True)
    ]
    fineness = np.repeat(
        [max(_place(canvas, *size)[2:]) for canvas in canvases], [*map(len, parts)]
    )
    people = np.concatenate(parts)
    order = np.argsort(-people[:, 4], kind="stable")[:MAX_CANDIDATES]
    people, fineness = people[order], fineness[order].astype(np.float32)
    sure = people[people[:, 4] >= threshold]
    found = [
        _agreed(one, people, fineness) for one in sure[suppress(sure[:, :4], nms_iou_threshold)]
    ]
    return np.array(found, np.float32).reshape(-1, 5)


def _agreed(
    one: Float32[np.ndarray, "5"],
    people: Float32[np.ndarray, "n 5"],
    fineness: Float32[np.ndarray, " n"],
) -> Float32[np.ndarray, "5"]:
    """The mean of a person's boxes, weighted by score and by how large the view shows the image.

    The small view may be surest of a person and yet least exact: its cells are the largest.
    """
    overlap = box_geometry.iou(np.broadcast_to(one[:4], (len(people), 4)), people[:, :4])
    same = (overlap > SAME_IOU) & (people[:, 4] >= SUPPORT * one[4])
    weights = people[same, 4] * fineness[same]
    return np.append(np.average(people[same, :4], axis=0, weights=weights), one[4])


def _in_image(
    people: Float32[np.ndarray, "_n 5"], canvas: Canvas, height: int, width: int, largest: float
) -> Float32[np.ndarray, "_m 5"]:
    """Boxes in px of the canvas as px of the image, cut at its edges; without those outside, and
    those larger than `largest` times the image's longer side.
    """
    top, left, drawn_height, drawn_width = _place(canvas, height, width)
    zoom = np.array([width / drawn_width, height / drawn_height], np.float32)
    corner = (people[:, :2] - np.array([left, top], np.float32)) * zoom
    # The image's corner lies half a pixel before the centre of its first pixel.
    boxes = np.concatenate([corner - np.float32(0.5), people[:, 2:4] * zoom], axis=1)
    is_small = boxes[:, 2:].max(axis=1, initial=0) <= largest * max(height, width)
    whole = np.broadcast_to(box_geometry.of_image(width, height), boxes.shape)
    boxes = box_geometry.intersect(boxes, whole)
    kept = is_small & (box_geometry.area(boxes) > 0)
    return np.concatenate([boxes, people[:, 4:]], axis=1)[kept]
