"""GPA, Geometric Pose Affordance: one person among the boxes and stairs of a studio (Wang et al.,
arXiv 1905.07718).

The labels of all images are one JSON file of some GB, which each unit reads item by item. Joints
are in the coordinates of the image's camera, which has no lens distortion, and no place in a
world; up is the image's up. Images are sampled by camera, in the order of the file. Those that the
release marks for testing are not used.

Images and masks may lie in the archives' folders, or in folders of the first six and the next two
digits of their number.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from acae_jax.datasets.readers import images, json_items
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.files import numpy_files
from acae_jax.geometry import cameras

LABELS = "xyz_gpa12_mdp_cntind_crop_cam_c2g.json"
IMAGES, MASKS = "Gaussian_img_jpg_new", "img_jpg_new_resnet101deeplabv3humanmask"
CAMERA_NUMBERS = "Sequence_ids/cam_ids_750k.npy"
RELEASE = Release(
    name="gpa",
    title="GPA (Geometric Pose Affordance)",
    version="1.0.0",
    url="https://www.cs.utexas.edu/~liyanc/projects/gpa-dataset",
    access="research; the page links to a public drive",
    size="about 750 000 images in gaussian_fullimg.tar.gz",
    layout=(LABELS, f"{IMAGES}/**/*.jpg", f"{MASKS}/**/*_mask.jpg", CAMERA_NUMBERS),
    format="gpa",
    quota=4,
    boxes=partial(person_boxes.best_detected, factor=1.15, least_iou=0.3),
)
PARTS = 4  # units of a camera
LEAST_RED = 10  # more of it is the person, in the pictures of masks


class Labels(NamedTuple):
    """The labels of an image: its number, of ten digits, and its camera."""

    number: str
    joints_mm: Float[np.ndarray, "34 3"]
    focal_px: Float[np.ndarray, "2"]
    centre_px: Float[np.ndarray, "2"]


def units(raw: Path) -> tuple[Unit, ...]:
    """Some parts of the images of each camera."""
    numbers = np.unique(read_camera_numbers(raw)).tolist()
    return tuple(Unit(f"{camera}/{part}", "train") for camera in numbers for part in range(PARTS))


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """A part of a camera's images in which the person has moved."""
    camera, part = unit.name.split("/")
    found = list(training_labels(raw, int(camera)))
    if not found:
        return
    moved = np.flatnonzero(sampling.sample(sampling.PLAIN, np.stack([x.joints_mm for x in found])))
    for index in np.array_split(moved, PARTS)[int(part)].tolist():
        labels = found[index]
        (fx, fy), (cx, cy) = labels.focal_px, labels.centre_px
        mask = partial(_mask, raw / MASKS, labels.number)
        yield Frame(
            partial(_read, raw / IMAGES, labels.number),
            cameras.create(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])),
            (Person("0", labels.joints_mm, mask=mask),),
            f"camera{camera}",
            int(labels.number),
        )


def read_camera_numbers(raw: Path) -> np.ndarray:
    """The number of the camera of each image, by the image's number."""
    path = raw / CAMERA_NUMBERS
    try:
        return numpy_files.matrix(path).ravel().astype(np.int64)
    except ValueError as error:
        raise ValueError(f"gpa: {path}: {error}; download it again") from None


def training_labels(raw: Path, camera: int) -> Iterator[Labels]:
    """The labels of a camera's training images, in the order of the file."""
    names = [Path(item["file_name"]).stem for item in _members(raw / LABELS, "images")]
    cameras_of = read_camera_numbers(raw)
    for name, item in zip(names, _members(raw / LABELS, "annotations"), strict=True):
        if item["istrains"] and cameras_of[int(name)] == camera:
            yield Labels(
                name,
                np.array(item["joint_cams"], float).reshape(3, 34).T,
                np.array(item["f"], float).reshape(2),
                np.array(item["c"], float).reshape(2),
            )


def _members(path: Path, name: str) -> Iterator[dict[str, Any]]:
    """The items of one array of the file; what follows it is not read."""
    was_there = False
    for member, item in json_items.items(path):
        if member == name:
            was_there = True
            yield item
        elif was_there:
            return


def _read(folder: Path, number: str, suffix: str = "") -> np.ndarray:
    flat = folder / f"{number}{suffix}.jpg"
    grouped = folder / number[:6] / number[6:8] / flat.name
    return images.read(grouped if grouped.exists() else flat)


def _mask(folder: Path, number: str) -> Bool[np.ndarray, "h w"]:
    return _read(folder, number, "_mask")[..., 0] > LEAST_RED
