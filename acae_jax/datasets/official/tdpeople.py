"""3DPeople: single rendered people in clothes before photographs (Pumarola et al., ICCV 2019).

The release gives no cameras: each is solved from the image's 67 points in 3D and 2D, with the focal
length and centre that all images share. The release's list of the points' names is not that of its
files, in which the eyes come before the top of the head, and the left leg before the right one.

Images are sampled by action and camera; the recipe's sampler runs on from one to the next. It keeps
images of 640 x 480 px whole; here they become crops as those of other datasets.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import images
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, placed, sampling

RELEASE = Release(
    name="tdpeople",
    title="3DPeople",
    version="1.0.0",
    url="https://github.com/albertpumarola/3DPeople-Dataset",
    access="non-commercial research; ask the authors",
    size="80 subjects, 70 actions, 4 cameras: about 2 million images",
    layout=(
        "rgb/*/*/camera*/**/*.jpg",
        "skeleton/*/*/camera*/*.txt",
        "segmentation_clothes/*/*/camera*/*.png",
    ),
    format="tdpeople",
    quota=4,
    boxes=person_boxes.given,
)
JOINTS = (*range(14), 33, 34, 35, 36, 53, *range(57, 67))
INTRINSICS = np.array([[700.0, 0, 320], [0, 700, 240], [0, 0, 1]])
MM = 100.0  # in the release's unit
GREY, TOLERANCE = 153, 10  # of what is no person in the pictures of clothes


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each subject."""
    subjects = sorted(path.name for path in (raw / "rgb").iterdir() if path.is_dir())
    for subject in subjects:
        for folder in (raw / "skeleton" / subject, raw / "segmentation_clothes" / subject):
            if not folder.is_dir():
                raise ValueError(f"tdpeople: no {folder}; unpack all of {subject}, or remove it")
    return tuple(Unit(subject, "train") for subject in subjects)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The images of a subject, all actions and cameras, in which the person has moved."""
    last, kept = "", None
    for path in sorted((raw / "rgb" / unit.name).glob("*/camera*/**/*.jpg")):
        action, camera_name, *_ = path.relative_to(raw / "rgb" / unit.name).parts
        clip, index = f"{unit.name}/{action}", int(path.stem)
        place = f"{clip}/{camera_name}"
        last, kept = place, kept if place == last else None
        try:
            points_px, points_mm = read_points(raw / "skeleton" / place / f"{path.stem}.txt")
            kept, is_kept = sampling.step(sampling.PLAIN, kept, points_mm)
            if not is_kept:
                continue
            camera = placed.camera_at(points_mm, points_px, INTRINSICS)
            mask = _read_mask(raw / "segmentation_clothes" / place / f"{path.stem}.png")
        except (ValueError, OSError) as error:
            yield release.broken(error, clip, index, camera_name)
            continue
        person = Person(
            unit.name,
            points_mm[list(JOINTS)],
            points_px[list(JOINTS)],
            person_boxes.of_mask(mask),
            mask,
        )
        read = partial(images.read, path)
        yield Frame(read, camera, (person,), clip, index, camera_name, release.Z_UP)


def read_points(path: Path) -> tuple[Float[np.ndarray, "67 2"], Float[np.ndarray, "67 3"]]:
    """The points of an image in px and in mm; ValueError if the file has others."""
    rows = np.loadtxt(path, ndmin=2)
    if rows.shape[0] != 67 or rows.shape[1] < 5:
        raise ValueError(f"{path} has {rows.shape[0]} x {rows.shape[1]} numbers, not 67 x 5 or 6")
    return rows[:, :2], rows[:, -3:] * MM


def _read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    is_other = np.abs(images.read(path).astype(np.int16) - GREY) > TOLERANCE
    return np.asarray(is_other.any(axis=-1))
