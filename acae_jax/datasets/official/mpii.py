"""MPII Human Pose: people in web videos with 16 joints in 2D (Andriluka et al., CVPR 2014).

Only training images have labels. Everybody who is labelled takes part in the matching with the
detector; who has more than 6 of the 12 joints of the limbs makes a record.

The labels are MATLAB's and count pixels from 1, as others who use them found; here from 0.
"""

import functools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import images, mat
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import limbs, person_boxes

RELEASE = Release(
    name="mpii",
    title="MPII Human Pose",
    version="1.0.0",
    url="http://human-pose.mpi-inf.mpg.de",
    access="public; see the terms there",
    size="13 GB",
    layout=("images/*.jpg", "**/mpii_human_pose_v1_u12_1.mat"),
    format="mpii_2d",
    quota=8,
    boxes=partial(person_boxes.detected, factor=1.25, least_iou=0.1),
    finds_masks=False,
)
PARTS = 8  # units
JOINTS = 16


def units(raw: Path) -> tuple[Unit, ...]:
    """Some parts of the training images."""
    return tuple(Unit(f"train/{part}", "train") for part in range(PARTS))


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The images of a part that show somebody with enough labels."""
    labelled = _labelled(next(raw.glob(RELEASE.layout[1])))
    for name, people in labelled[int(unit.name.split("/")[1]) :: PARTS]:
        if any(person.is_kept for person in people):
            read = partial(images.read, raw / "images" / name)
            yield Frame(read, None, people, "images", int(Path(name).stem))


@functools.lru_cache(maxsize=1)  # MATLAB's structs take half a minute and, for then, 1 GB
def _labelled(path: Path) -> list[tuple[str, tuple[Person, ...]]]:
    """The training images by name, with everybody who has labels."""
    content = mat.read(path).get("RELEASE")
    if not (isinstance(content, dict) and {"annolist", "img_train"} <= set(content)):
        raise ValueError(f"{path} has no RELEASE with annolist and img_train")
    is_train = np.ravel(content["img_train"]) > 0
    chosen = np.flatnonzero(is_train).tolist()
    return [_image(content["annolist"][index]) for index in chosen]


def _image(annotation: dict[str, Any]) -> tuple[str, tuple[Person, ...]]:
    names = release.joint_names(RELEASE)
    people = []
    for number, entry in enumerate(mat.listed(annotation["annorect"])):
        labels_px = _labels(entry)
        if np.isfinite(labels_px).any():
            is_kept = limbs.are_labelled(names, labels_px)
            people.append(Person(str(number), np.zeros((0, 3)), labels_px, is_kept=is_kept))
    return annotation["image"]["name"], tuple(people)


def _labels(entry: dict[str, Any]) -> Float[np.ndarray, "16 2"]:
    """A person's joints, px counted from 0; NaN without a label. Some have the head's box only."""
    labels_px = np.full((JOINTS, 2), np.nan)
    for points in mat.listed(entry.get("annopoints", [])):
        for point in mat.listed(points["point"]):
            x, y = point["x"].item(), point["y"].item()
            labels_px[int(point["id"].item())] = x - 1, y - 1
    return labels_px
