"""IKEA ASM: somebody assembles furniture before three cameras (Ben-Shabat et al., WACV 2021).

The labels are triangulated from detections, for one frame in a hundred; a joint that was not found
is zero. They are in cm, in the space of each camera, whose lens they ignore. Here they are in the
world of the front camera ("dev2"), whose axis y points down, so that the top view is upright too.

The number of a frame is in the name of its file. Public code of PosePile pairs the files with the
frames in their order, which shifts all after a missing one. The release's own 2D labels are of
other people's eyes than the 3D ones, and some px off: they check nothing here.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import pickled_tables, videos
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.geometry import cameras

CALIBRATION = "Calibration/camera_parameters.pkl"
VIDEO = "images/scan_video.avi"
RELEASE = Release(
    name="ikea",
    title="IKEA ASM",
    version="1.0.0",
    url="https://ikeaasm.github.io",
    access="public; read the licence there",
    size="240 GB of videos",
    layout=(CALIBRATION, f"*/*/dev?/{VIDEO}", "*/*/dev?/pose3d/*.json"),
    format="ikea",
    quota=2,
    boxes=partial(person_boxes.best_detected, factor=1.2, least_iou=0.3, joints_if_unseen=True),
)
LEFT_OUT = "special_test"
LEAST_JOINTS = 4
MM = 10.0  # in a cm


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video that has labels."""
    known = read_cameras(raw / CALIBRATION)
    found = []
    for poses in sorted(raw.glob("*/*/dev?/pose3d")):
        folder = poses.parent
        name = folder.relative_to(raw).as_posix()
        if LEFT_OUT in name.split("/") or not (folder / VIDEO).exists():
            continue
        if _place(name) not in known:
            raise ValueError(f"{raw / CALIBRATION} has no camera of {name}; get the whole file")
        found.append(Unit(name, "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The labelled frames of a video in which the pose is new."""
    clip, device = unit.name.rsplit("/", 1)
    camera = read_cameras(raw / CALIBRATION)[_place(unit.name)]
    world_mm = {}
    for path in sorted((raw / unit.name / "pose3d").glob("*.json")):
        try:
            joints_mm = read_joints(path)
        except (ValueError, LookupError) as error:
            reason = ValueError(f"{path}: {error}")
            yield release.broken(reason, clip, int(path.stem), device)
            continue
        if np.isfinite(joints_mm[:, 0]).sum() >= LEAST_JOINTS:
            world_mm[int(path.stem)] = cameras.camera_to_world(camera, joints_mm)
    poses = np.array(list(world_mm.values())).reshape(-1, 17, 3)
    chosen = np.array(list(world_mm), int)[sampling.sample(sampling.VALIDITY, poses)]
    for index, image in videos.chosen(raw / unit.name / VIDEO, chosen.tolist()):
        person = Person(_words(unit.name)[0], world_mm[index])
        yield Frame(image, camera, (person,), clip, index, device, release.Y_DOWN)


def read_joints(path: Path) -> Float[np.ndarray, "17 3"]:
    """The joints in the space of the camera, mm; NaN where they were not found."""
    numbers = np.array(json.loads(path.read_text(encoding="utf-8"))["pose_keypoints_3d"], float)
    if numbers.shape != (68,):
        raise ValueError(f"{path} has {numbers.size} numbers, not 68")
    joints = numbers.reshape(17, 4)[:, :3]
    return np.where(joints.any(axis=1, keepdims=True), joints * MM, np.nan)


def read_cameras(path: Path) -> dict[tuple[str, str], cameras.Camera]:
    """The cameras by place and device, in the world of the place's front camera."""
    found = {}
    for place, devices in pickled_tables.read(path).items():
        for device, content in devices.items():
            k, r, t = (pickled_tables.numbers(content, name).astype(float) for name in "KRT")
            found[place, device] = cameras.create(k, r, -r.T @ t.ravel() * MM)
    return found


def _words(name: str) -> list[str]:
    """The words of a sequence: person, colour, surface, place, room, date."""
    return name.split("/")[-2].split("_")


def _place(name: str) -> tuple[str, str]:
    """Where the cameras of a video are, and which it is."""
    return _words(name)[3], name.rsplit("/", 1)[1]
