"""A builder whose release is a folder of images: three units of two people in five frames."""

import functools
import os
import time
from functools import partial
from pathlib import Path

import miniature
import numpy as np

from acae_jax.datasets import release
from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.readers import images
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes

RELEASE = Release(
    name="toy",
    title="Toy",
    version="1.0.0",
    url="https://toy.example",
    access="free",
    size="1 MB",
    layout=("*/*.png",),
    format="h36m",
    quota=1,
    boxes=person_boxes.given,
    finds_masks=False,
)
UNITS = (Unit("walk/ä", "train"), Unit("run", "train"), Unit("jump", "test"))
COUNT = 5


@functools.cache
def people_mm() -> np.ndarray:
    return miniature.people_mm(25, COUNT, people=2)


def write(raw: Path) -> None:
    """The images."""
    for unit, camera in zip(UNITS, miniature.ring(3), strict=True):
        for index, joints_mm in enumerate(people_mm()):
            path = raw / unit.name.replace("/", "_") / f"{index}.png"
            miniature.write_image(path, miniature.picture(camera, joints_mm))


def units(raw: Path) -> tuple[Unit, ...]:
    return UNITS


def frames(raw: Path, unit: Unit):
    camera = miniature.ring(3)[UNITS.index(unit)]
    for index, joints_mm in enumerate(people_mm()):
        people = tuple(
            Person(str(number), mm, projected_px(camera, mm), miniature.box(camera, mm, 1.1))
            for number, mm in enumerate(joints_mm)
        )
        path = raw / unit.name.replace("/", "_") / f"{index}.png"
        read = partial(images.read, path)
        yield Frame(read, camera, people, unit.name, index, "left", release.Z_UP)


def slow_frames(raw: Path, unit: Unit):
    """The same, but one unit stops in the middle until it is killed; notes who worked at what."""
    (raw / f"{unit.name.replace('/', '_')}.{os.getpid()}.started").touch()
    for frame in frames(raw, unit):
        yield frame
        time.sleep(300 if unit.name == "jump" else 0)
