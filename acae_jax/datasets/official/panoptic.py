"""CMU Panoptic Studio: groups of people among 31 HD cameras in a dome (Joo et al., TPAMI 2017).

Everybody in view takes part in the matching with the detector; who moved makes a record. Who is who
follows from where they were. A missing joint has the confidence -1. The crops lose the greenish
yellow light of the dome here, not at each reading as in the public code.

Left out are five videos of the release that are broken or absent.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.readers import videos
from acae_jax.datasets.release import Frame, Person, Published, Release, Unit
from acae_jax.datasets.steps import person_boxes, tracks
from acae_jax.datasets.steps.stored_crop import Cropping, Light
from acae_jax.geometry import cameras

RELEASE = Release(
    name="panoptic",
    title="CMU Panoptic Studio",
    version="1.0.0",
    url="http://domedb.perception.cs.cmu.edu",
    access="non-commercial research; public, by the panoptic-toolbox's getData.sh",
    size="some TB of HD videos",
    layout=(
        "*/hdVideos/hd_00_*.mp4",
        "*/calibration_*.json",
        "*/hdPose3d_stage1_coco19/**/body3DScene_*.json",
    ),
    format="panoptic",
    quota=7,
    boxes=partial(person_boxes.detected, factor=1.25, least_iou=0.1, most_area=2.0),
    cropping=Cropping(light=Light(grey_a=120.0, grey_b=138.0)),
    published=Published(2_782_985),
)
BROKEN = {
    ("171204_pose3", "20"),
    ("171204_pose4", "20"),
    ("171204_pose5", "20"),
    ("160422_haggling1", "20"),
    ("160906_band3", "03"),
}
JOINTS = (0, 1, *range(3, 19), 2)
LEAST_CONFIDENCE = 0.1
LEAST_JOINTS = 6  # of a person, and in an image
MM = 10.0  # in a cm


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video of a sequence that has poses."""
    found = []
    for video in sorted(raw.glob("*/hdVideos/hd_00_*.mp4")):
        sequence, camera = video.parent.parent.name, video.stem.removeprefix("hd_00_")
        if (sequence, camera) in BROKEN:
            continue
        missing = [
            p for p in (_calibration(raw, sequence), _poses(raw, sequence)) if not p.exists()
        ]
        if missing:
            raise ValueError(f"panoptic: no {missing[0]}; unpack all of {sequence}, or remove it")
        found.append(Unit(f"{sequence}/00_{camera}", "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video in which somebody has moved."""
    sequence, name = unit.name.split("/")
    camera, size_px = read_camera(_calibration(raw, sequence), name)
    found = dict(_moving(_poses(raw, sequence), camera, size_px))
    path = raw / sequence / "hdVideos" / f"hd_{name}.mp4"
    for index, image in videos.chosen(path, found):
        yield Frame(image, camera, found[index], sequence, index, name, release.Y_DOWN)


def read_camera(path: Path, name: str) -> tuple[cameras.Camera, tuple[int, int]]:
    """A camera and the size of its images; ValueError if the file lacks it."""
    for entry in json.loads(path.read_text(encoding="utf-8"))["cameras"]:
        if entry["name"] == name:
            rotation, t = np.array(entry["R"], float), np.array(entry["t"], float).reshape(3)
            lens = np.array(entry["distCoef"], float)
            k = np.array(entry["K"], float)
            camera = cameras.create(k, rotation, -rotation.T @ t * MM, lens)
            width, height = entry["resolution"]
            return camera, (width, height)
    raise ValueError(f"{path} has no camera {name}")


def read_people(path: Path) -> Float[np.ndarray, "n 19 3"]:
    """The people of a frame that have joints enough, mm; NaN where a joint is missing."""
    found = []
    for person in json.loads(path.read_text(encoding="utf-8"))["bodies"]:
        joints = np.array(person["joints19"], float).reshape(19, 4)[list(JOINTS)]
        is_sure = joints[:, 3:] > LEAST_CONFIDENCE
        if is_sure.sum() >= LEAST_JOINTS:
            found.append(np.where(is_sure, joints[:, :3] * MM, np.nan))
    return np.array(found).reshape(-1, 19, 3)


def _moving(
    poses: Path, camera: cameras.Camera, size_px: tuple[int, int]
) -> Iterator[tuple[int, tuple[Person, ...]]]:
    """The frames in which somebody in the image has moved, with all people."""
    known: tracks.Tracks = ()
    for path in sorted(poses.glob("body3DScene_*.json")):
        people_mm = read_people(path)
        known, found = tracks.step(tracks.PANOPTIC, known, people_mm)
        people = tuple(
            Person(str(number), mm, is_kept=bool(is_kept) and _is_in_view(camera, size_px, mm))
            for mm, number, is_kept in zip(people_mm, found.numbers, found.is_kept, strict=True)
        )
        if any(person.is_kept for person in people):
            yield int(path.stem.rsplit("_", 1)[1]), people


def _is_in_view(
    camera: cameras.Camera, size_px: tuple[int, int], joints_mm: Float[np.ndarray, "19 3"]
) -> bool:
    seen_px = projected_px(camera, joints_mm)
    inside = ((seen_px > -0.5) & (seen_px < np.array(size_px) - 0.5)).all(axis=-1)
    return bool(inside.sum() >= LEAST_JOINTS)


def _calibration(raw: Path, sequence: str) -> Path:
    return raw / sequence / f"calibration_{sequence}.json"


def _poses(raw: Path, sequence: str) -> Path:
    folder = raw / sequence / "hdPose3d_stage1_coco19"
    return folder / "hd" if (folder / "hd").is_dir() else folder
