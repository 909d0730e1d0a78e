"""3DOH50K: one person behind things of a room, SMPL fitted to six views (Zhang et al., CVPR 2020).

Each image has its own annotation, and nothing tells which images show one moment. So the world is
that of the camera, in which the joints are; upwards is up in the image.

Seven units of the joints are a metre. That cannot be seen in the images, only in the people.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import images, json_items
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes
from acae_jax.geometry import cameras

RELEASE = Release(
    name="tdoh",
    title="3DOH50K",
    version="1.0.0",
    url="https://www.yangangwang.com/papers/ZHANG-OOH-2020-03.html",
    access="research; OneDrive folder linked there",
    size="51 thousand images",
    layout=(
        "trainset/annots.json",
        "trainset/images/*.jpg",
        "trainset/masks/*.png",
        "testset/annots.json",
        "testset/images/*.jpg",
    ),
    format="tdoh",
    quota=3,
    boxes=person_boxes.given,
)
SPLITS = {"trainset": "train", "testset": "test"}
UNIT_IMAGES = 5000
MM = 1000 / 7


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each UNIT_IMAGES numbers of images of a set."""
    found = []
    for folder, split in SPLITS.items():
        for image_id, content in json_items.items(raw / folder / "annots.json"):
            _frame(raw / folder, image_id, content)
            break
        paths = (raw / folder / "images").glob("*.jpg")
        parts = {int(path.stem) // UNIT_IMAGES for path in paths if path.stem.isdecimal()}
        found += [Unit(f"{folder}/{part}", split) for part in sorted(parts)]
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The images whose numbers, divided by UNIT_IMAGES, give the unit's."""
    folder, part = unit.name.split("/")
    for image_id, content in json_items.items(raw / folder / "annots.json"):
        if image_id.isdecimal() and int(image_id) // UNIT_IMAGES == int(part):
            try:
                yield _frame(raw / folder, image_id, content)
            except ValueError as error:
                yield release.broken(error, folder, int(image_id))


def _frame(folder: Path, image_id: str, content: dict) -> Frame:
    """An image; ValueError if its annotation is another."""
    low, high = _numbers(content, "bbox", (2, 2))
    mask = partial(images.read_mask, folder / "masks" / f"{image_id}.png")
    person = Person(
        "0",
        MM * _numbers(content, "lsp_joints_3d", (14, 3)),
        _numbers(content, "lsp_joints_2d", (14, 2)),
        np.concatenate([low, high - low]),
        mask if SPLITS[folder.name] == "train" else None,
    )
    camera = cameras.create(_numbers(content, "intri", (3, 3)))
    read = partial(images.read, folder / "images" / f"{image_id}.jpg")
    return Frame(read, camera, (person,), folder.name, int(image_id), "", release.Y_DOWN)


def _numbers(content: dict, name: str, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """An array of an annotation; ValueError if it is another."""
    found = np.array(content.get(name), float)
    if found.shape != shape:
        raise ValueError(f"tdoh: {name} in annots.json is of {found.shape}, not of {shape}")
    return found
