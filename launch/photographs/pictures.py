"""Photographs with labelled people, read from the files of the datasets that they come from.

    h36m, mpi_inf_3dhp   3D joints and their places in the picture, arrays as MMPose writes them
    coco, posetrack18    2D joints, boxes, and where people are that have no labels; COCO's JSON
    mpii                 2D joints of some people, the JSON that HRNet reads

Labels of pictures that are not there are left out. Joints become those of COCO, in its order; what
has no label is NaN.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from acae_jax.benchmarks import keypoints
from acae_jax.files import json_files, numpy_files
from acae_jax.geometry import boxes as box_geometry
from acae_jax.skeletons import catalogue

BODY_SHARE = 0.53  # of a box; what MMPose takes for a person's area where no outline is known
JOINTS_TO_BOX = 1.1
LIMIT_BYTES = 1 << 20
STUDIO_FILES = {
    "h36m/test_h36m_body3d.npz": "h36m_17",
    "mpi_inf_3dhp/test_3dhp_train.npz": "mpi_inf_3dhp_17",
    "mpi_inf_3dhp/test_3dhp_test.npz": "mpi_inf_3dhp_17",
}


class Person(NamedTuple):
    """A labelled person; joints in px, box in px, area in px²."""

    joints_px: Float[np.ndarray, "k 2"]
    box: Float[np.ndarray, "4"]
    area_px2: float


class Picture(NamedTuple):
    """A picture and its labelled people.

    `unlabelled` are outlines (n, 2) in px with more people in them. None: they may be anywhere.
    """

    path: Path
    people: tuple[Person, ...]
    unlabelled: tuple[np.ndarray, ...] | None


class StudioPicture(NamedTuple):
    """A picture of one person whose joints are known in the camera's space."""

    path: Path
    joints_mm: Float[np.ndarray, "k 3"]
    box: Float[np.ndarray, "4"]  # of the joints
    intrinsics: Float[np.ndarray, "3 3"]


def studio(samples: Path) -> list[StudioPicture]:
    """The pictures with true 3D poses."""
    pictures = []
    for name, skeleton in STUDIO_FILES.items():
        path, joint_names = samples / name, catalogue.load(skeleton).joint_names
        if not path.is_file():
            continue
        images, points_m, points_px = numpy_files.arrays(
            path, ("imgname", "S", "part"), LIMIT_BYTES
        )
        for image, of_image_m, of_image_px in zip(images, points_m, points_px, strict=True):
            picture = path.parent / Path(str(image)).name
            if picture.is_file():
                joints_mm, joints_px = 1000 * of_image_m[:, :3], of_image_px[:, :2]
                box = box_geometry.of_points(joints_px)
                camera_px = pinhole(joints_mm, joints_px)
                ordered_mm = keypoints.in_order(joints_mm, joint_names)
                pictures.append(StudioPicture(picture, ordered_mm, box, camera_px))
    return pictures


def pinhole(
    points_mm: Float[np.ndarray, "n 3"], points_px: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "3 3"]:
    """The camera that projects these points to these pixels, in least squares."""
    intrinsics = np.eye(3)
    for axis in range(2):
        ratio = points_mm[:, axis] / points_mm[:, 2]
        rows = np.stack([ratio, np.ones_like(ratio)], axis=1)
        intrinsics[axis, [axis, 2]] = np.linalg.lstsq(rows, points_px[:, axis], rcond=None)[0]
    return intrinsics


def ordinary(samples: Path) -> list[Picture]:
    """The pictures with 2D labels."""
    coco = _in_coco_form(samples.glob("coco/*.json"), samples / "coco")
    posetrack = _in_coco_form(
        samples.glob("posetrack18/annotations/val/*.json"), samples / "posetrack18"
    )
    return [*coco, *posetrack, *_of_mpii(samples.glob("mpii/*.json"), samples / "mpii")]


def _in_coco_form(files: Any, folder: Path) -> list[Picture]:
    pictures = []
    for content in map(json_files.read_object, sorted(files)):
        joint_names = content["categories"][0]["keypoints"]
        for image in content["images"]:
            labels = [each for each in content["annotations"] if each["image_id"] == image["id"]]
            path = folder / image["file_name"]
            if not path.is_file():
                continue
            crowds = [_corners(each["bbox"]) for each in labels if each["iscrowd"]]
            outlines = zip(
                image.get("ignore_regions_x", ()), image.get("ignore_regions_y", ()), strict=True
            )
            people = [_person(each, joint_names) for each in labels if not each["iscrowd"]]
            regions = [np.array(outline, np.float64).T for outline in outlines]
            pictures.append(Picture(path, tuple(people), (*crowds, *regions)))
    return pictures


def _person(label: dict[str, Any], joint_names: Sequence[str]) -> Person:
    points = np.array(label["keypoints"], np.float64).reshape(-1, 3)
    points[points[:, 2] == 0] = np.nan
    box = np.array(label["bbox"], np.float64)
    area_px2 = label.get("area", BODY_SHARE * box_geometry.area(box))
    return Person(keypoints.in_order(points[:, :2], joint_names), box, float(area_px2))


def _of_mpii(files: Any, folder: Path) -> list[Picture]:
    joint_names, people = catalogue.load("mpii_2d").joint_names, {}
    for label in (label for path in sorted(files) for label in json_files.read(path)):
        points_px = np.array(label["joints"], np.float64) - 1  # its pixels count from 1
        points_px[np.array(label["joints_vis"]) == 0] = np.nan
        box = box_geometry.expand(box_geometry.of_points(points_px), JOINTS_TO_BOX)
        area_px2 = float(BODY_SHARE * box_geometry.area(box))
        person = Person(keypoints.in_order(points_px, joint_names), box, area_px2)
        people.setdefault(folder / label["image"], []).append(person)
    return [Picture(path, tuple(of), None) for path, of in people.items() if path.is_file()]


def _corners(box: Sequence[float]) -> Float[np.ndarray, "4 2"]:
    x, y, width, height = box
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float64)
