"""MS COCO 2014: people in photographs with 17 joints in 2D (Lin et al., ECCV 2014).

People need nine labelled joints, seven of them of limbs, six visible ones, and a joints' box of
160 px (200 px with the room about it). Others may be in the crop; the mask of the person is the
release's.

The release's boxes and outlines count from the corner of the image, its joints from the centre of
the first pixel. Training and validation images together are the split "train".
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from acae_jax.datasets import release
from acae_jax.datasets.readers import images, json_items
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import limbs, person_boxes

RELEASE = Release(
    name="coco",
    title="MS COCO keypoints (2014 train + val)",
    version="1.0.0",
    url="https://cocodataset.org",
    access="public; labels CC BY 4.0, images under the terms of Flickr",
    size="19 GB",
    layout=(
        "annotations/person_keypoints_train2014.json",
        "annotations/person_keypoints_val2014.json",
        "train2014/*.jpg",
        "val2014/*.jpg",
    ),
    format="coco_2d",
    quota=8,
    boxes=person_boxes.given,
    finds_masks=False,
)
PARTS = {"train2014": 8, "val2014": 4}  # units, by the remainder of an image's number
LEAST_LABELLED, LEAST_VISIBLE = 9, 6
ROOM, LEAST_SIDE_PX = 1.25, 200
FINE = 4  # times as fine, outlines become masks


def units(raw: Path) -> tuple[Unit, ...]:
    """Some parts of the training and of the validation images."""
    return tuple(
        Unit(f"{folder}/{part}", "train")
        for folder, parts in PARTS.items()
        for part in range(parts)
    )


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The images of a part, by number."""
    folder, part = unit.name.split("/")
    files: dict[int, dict[str, Any]] = {}
    people: dict[int, list[dict[str, Any]]] = {}
    for member, item in json_items.items(raw / f"annotations/person_keypoints_{folder}.json"):
        number = {"images": "id", "annotations": "image_id"}.get(member)
        if number is None or item[number] % PARTS[folder] != int(part):
            continue
        if member == "images":
            files[item["id"]] = item
        elif _is_usable(_labels(item)):
            people.setdefault(item["image_id"], []).append(item)
    for number in sorted(people):
        file = files[number]
        found = tuple(_person(item, file["height"], file["width"]) for item in people[number])
        read = partial(images.read, raw / folder / file["file_name"])
        yield Frame(read, None, found, folder, number)


def _person(annotation: dict[str, Any], height: int, width: int) -> Person:
    labels = _labels(annotation)
    return Person(
        str(annotation["id"]),
        np.zeros((0, 3)),
        _placed(labels),
        np.array(annotation["bbox"], float) - np.array([0.5, 0.5, 0, 0]),
        partial(_outlined, annotation["segmentation"], height, width),
    )


def _labels(annotation: dict[str, Any]) -> Float[np.ndarray, "17 3"]:
    """x, y, and 0 for joints without a label, 1 for hidden ones, 2 for visible ones."""
    return np.array(annotation["keypoints"], float).reshape(17, 3)


def _placed(labels: Float[np.ndarray, "17 3"]) -> Float[np.ndarray, "17 2"]:
    """Where joints are; NaN without a label."""
    return np.where(labels[:, 2:] > 0, labels[:, :2], np.nan)


def _is_usable(labels: Float[np.ndarray, "17 3"]) -> bool:
    is_labelled, is_visible = labels[:, 2] > 0, labels[:, 2] == 2
    if is_labelled.sum() < LEAST_LABELLED or is_visible.sum() < LEAST_VISIBLE:
        return False
    if not limbs.are_labelled(release.joint_names(RELEASE), _placed(labels)):
        return False
    return bool(person_boxes.joints_box(labels[is_labelled, :2], ROOM)[2:].max() >= LEAST_SIDE_PX)


def _outlined(outlines: Any, height: int, width: int) -> UInt8[np.ndarray, "h w"]:
    """The mask of polygons; ValueError if they are of another kind, as those of crowds are."""
    if not isinstance(outlines, list):
        raise ValueError("the outline of a single person is no list of polygons")
    # OpenCV fills the pixels of the edge, too: finer ones, so that this hardly matters.
    fine = np.zeros((FINE * height, FINE * width), np.uint8)
    for outline in outlines:
        points = FINE * np.array(outline, float).reshape(-1, 2) - 0.5
        cv2.fillPoly(fine, [np.rint(points).astype(np.int32)], (255,))
    return (cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA) > 127).astype(np.uint8)
