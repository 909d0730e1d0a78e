"""HSPACE: rendered groups of people of the body model GHUM in rendered places (Bazavan et al.,
arXiv 2112.12867).

Joints are as the camera sees them; there is no world, and up is the image's up. Pictures are stored
with red and blue exchanged. A person's mask is where the picture of labels has the person's number
or the one below; specks of other people's edges are taken off. The mask that is kept is that of
everybody, as in the recipe.

The recipe samples all people of a file together, so that they suppress each other; here each is
sampled for itself.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from acae_jax.datasets import release
from acae_jax.datasets.readers import tfrecords
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.geometry import cameras
from acae_jax.images import decoding

RELEASE = Release(
    name="hspace",
    title="HSPACE",
    version="1.0.0",
    url="https://github.com/google-research/google-research/tree/master/hspace",
    access="research; fill in the form on the page",
    size="1020 TFRecord files",
    layout=("2021_01/train/*.tfrecord*",),
    format="hspace",
    quota=3,
    boxes=partial(person_boxes.of_size, rule=person_boxes.given, shorter_px=100.0),
)
JOINTS = (
    *(0, 1, 2, 3, 4, 5, 6, 7, 9, 13, 14, 15, 16, 20, 22, 31, 32, 33, 34, 35, 39, 41),
    *range(50, 63),
)
RULE = sampling.buffered(20)
MM = 1000.0  # in a m
SPECK = np.ones((5, 5), np.uint8)  # px; less is no part of a person


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each file."""
    files = sorted((raw / "2021_01/train").glob("*.tfrecord*"))
    return tuple(Unit(path.name, "train") for path in files)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a file in which somebody has moved."""
    kept: dict[int, sampling.Kept] = {}
    for index, example in enumerate(tfrecords.examples(raw / "2021_01/train" / unit.name)):
        try:
            people = _moved(example, kept)
        except (ValueError, LookupError) as error:
            yield release.broken(ValueError(str(error)), unit.name, index)
            continue
        if people:
            fx, fy, cx, cy = example["camera_intrinsics"].astype(np.float64)
            camera = cameras.create(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]))
            image = partial(_read_image, example["image/rgb"][0])
            yield Frame(image, camera, people, unit.name, index)


def _moved(example: dict[str, Any], kept: dict[int, sampling.Kept]) -> tuple[Person, ...]:
    """The people who have moved since they were kept; `kept` is brought up to date."""
    labels = _read_labels(example["character_masks"][0])
    everybody = _without_specks(labels > 0)
    people = []
    for number in range(int(example["number_of_rigged_characters"][0])):
        joints_mm = example[f"RIGGED_{number}/joints_3d"].reshape(63, 3)[list(JOINTS)] * MM
        kept[number], is_kept = sampling.step(RULE, kept.get(number), joints_mm)
        if is_kept:
            label = int(example[f"RIGGED_{number}/mask_id"][0])
            is_own = (labels > 0) & ((labels == label) | (labels == label - 1))
            box = person_boxes.of_mask(_without_specks(is_own))
            people.append(Person(str(number), joints_mm, box=box, mask=everybody))
    return tuple(people)


def _read_image(encoded: bytes) -> UInt8[np.ndarray, "h w 3"]:
    return np.ascontiguousarray(decoding.decode(encoded)[..., ::-1])


def _read_labels(encoded: bytes) -> Shaped[np.ndarray, "h w"]:
    decoding.check_size(encoded)
    labels: Any = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise ValueError("character_masks is no PNG of one channel")
    return labels.astype(np.int64)


def _without_specks(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, SPECK) > 0
