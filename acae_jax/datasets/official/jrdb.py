"""JRDB-Pose: pedestrians about a robot with 17 joints in 2D (Vendrow et al., CVPR 2023).

The release has its five cameras one by one, with their lenses, and a cylinder stitched of them,
each with labels. Used are the single images as they are, and their labels: they have a camera, so
that crops are turned to the person, upright with respect to the robot.

A label's image is the second after the one that its file names.

Everybody takes part in the matching with the detector. A person makes a record if more than 6 of
the 12 joints of the limbs have labels, and since the person's last sampled frame a joint has become
labelled or has moved by a tenth of the longer side of the joints' box.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import images, video_keypoints
from acae_jax.datasets.readers.video_keypoints import Annotation
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import limbs, person_boxes, sampling
from acae_jax.datasets.steps.stored_crop import Cropping
from acae_jax.geometry import cameras

LABELS = "train_dataset/labels/labels_2d_pose_coco"
RELEASE = Release(
    name="jrdb",
    title="JRDB-Pose",
    version="1.0.0",
    url="https://jrdb.erc.monash.edu",
    access="non-commercial; register there",
    size="some ten GB of images",
    layout=(
        "train_dataset/images/image_0/*/*.jpg",
        f"{LABELS}/*_image*.json",
        "train_dataset/calibration/cameras.yaml",
    ),
    format="jrdb_2d",
    quota=8,
    boxes=partial(person_boxes.detected, factor=1.15, least_iou=0.1),
    cropping=Cropping(ends_with_image=False),
    finds_masks=False,
)
CAMERAS = ("image_0", "image_2", "image_4", "image_6", "image_8")  # by the number of the sensor
LATER = 2  # frames that a label's image is after the one it names
MOVED = 0.1  # of the box's longer side
JOINTS = (
    "head", "right eye", "left eye", "right shoulder", "center shoulder", "left shoulder",
    "right elbow", "left elbow", "center hip", "right wrist", "right hip", "left hip", "left wrist",
    "right knee", "left knee", "right foot", "left foot",
)  # fmt: skip


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each camera of a training sequence."""
    read_cameras(raw)
    found = sorted(
        f"{path.stem.rpartition('_')[0]}/{name}"
        for name in CAMERAS
        for path in raw.glob(f"{LABELS}/*_{name.replace('_', '')}.json")
    )
    if found:
        video_keypoints.check(_labels_of(raw, found[0]), JOINTS)
    return tuple(Unit(name, "train") for name in found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a camera in which somebody has moved."""
    sequence, camera_name = unit.name.split("/")
    camera = read_cameras(raw)[camera_name]
    folder = raw / "train_dataset/images" / camera_name / sequence
    kept: dict[int, sampling.Kept] = {}
    for name, annotations in video_keypoints.by_image(_labels_of(raw, unit.name)):
        people = tuple(_people(annotations, kept))
        if any(person.is_kept for person in people):
            index = int(Path(name).stem) + LATER
            read = partial(images.read, folder / f"{index:06d}.jpg")
            yield Frame(read, camera, people, sequence, index, camera_name, release.Y_DOWN)


def read_cameras(raw: Path) -> dict[str, cameras.Camera]:
    """The cameras by name, each at the origin and level; ValueError if the file lacks any."""
    path = raw / RELEASE.layout[2]
    try:
        sensors = yaml.safe_load(path.read_text(encoding="utf-8"))["cameras"]
        numbers = {int(key.removeprefix("sensor_")): value for key, value in sensors.items()}
        if len(numbers) != len(CAMERAS):
            raise ValueError(f"it has {len(numbers)} cameras, not {len(CAMERAS)}")
        return {
            name: cameras.create(
                _numbers(numbers[number]["K"], 9).reshape(3, 3),
                distortion=_numbers(numbers[number]["D"], 5),
            )
            for name, number in zip(CAMERAS, sorted(numbers), strict=True)
        }
    except (ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is no file of JRDB's cameras: {error}") from error


def _labels_of(raw: Path, unit: str) -> Path:
    sequence, camera_name = unit.split("/")
    return raw / LABELS / f"{sequence}_{camera_name.replace('_', '')}.json"


def _people(annotations: list[Annotation], kept: dict[int, sampling.Kept]) -> Iterator[Person]:
    """The people of a frame; notes in `kept` what was sampled of each track."""
    names = release.joint_names(RELEASE)
    for annotation in annotations:
        labels = np.array(annotation["keypoints"], float).reshape(len(JOINTS), 3)
        labels_px = np.where(labels[:, 2:] > 0, labels[:, :2], np.nan)
        track = annotation["track_id"]
        threshold = MOVED * float(person_boxes.joints_box(labels_px)[2:].max())
        rule = sampling.NEW_OR_MOVED._replace(threshold=threshold)
        kept[track], has_moved = sampling.step(rule, kept.get(track), labels_px)
        is_kept = has_moved and limbs.are_labelled(names, labels_px)
        yield Person(str(track), np.zeros((0, 3)), labels_px, is_kept=is_kept)


def _numbers(value: Any, count: int) -> Float[np.ndarray, " n"]:
    """Numbers in text or lists."""
    found = re.findall(r"[-+\d.][-+\d.eE]*", str(value))
    if len(found) != count:
        raise ValueError(f"{len(found)} numbers where {count} belong")
    return np.array(found, float)
