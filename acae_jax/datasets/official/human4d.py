"""HUMAN4D: one person between four RealSense sensors in a studio (Chatzitofis et al., IEEE Access
2020).

The sensors lie on their sides: pictures, cameras and labels are turned by 90 degrees, so that
people stand, which the detector needs. A sensor's pose is that of its depth camera. The colour
camera lies beside it, and the release's own tools take it from there; PosePile took one for the
other. Some recordings have infrared pictures instead, which are of the depth camera: the release's
2D labels tell which camera it was, where they are there.

The release does not say which way is up: it is the axis of the world along which people stand.
Images are sampled by subject and sensor. The pose of an image is the one that PosePile takes; the
release's own tools take the one before.
"""

import collections
import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from acae_jax.datasets import release
from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.readers import images
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling, upright
from acae_jax.files import json_files, numpy_files
from acae_jax.geometry import cameras

RELEASE = Release(
    name="human4d",
    title="HUMAN4D",
    version="1.0.0",
    url="https://tofis.github.io/human4d_dataset",
    access="research; ask the authors",
    size="not stated; images of four sensors",
    layout=(
        "S*/*/Dump/color/*.png",
        "S*/*/Dump/gposes3d/*.npy",
        "S*/offsets.txt",
        "S*/pose/*.extrinsics",
    ),
    format="human4d",
    quota=1,
    boxes=partial(
        person_boxes.of_size,
        rule=partial(person_boxes.best_detected, factor=1.2, least_iou=0.5, joints_if_unseen=True),
        longer_px=30.0,
    ),
)
SUBJECTS = ("S1", "S2", "S3", "S4")
JOINTS = tuple(index for index in range(33) if index != 15)  # which is the 9th again
NECK, ANKLES = 5, (22, 28)
WIDTH_PX, HEIGHT_PX = 1280, 720
RULE = sampling.buffered(100)
TURN = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # of camera space, as the picture is turned
MM = 1000.0  # in a m
EVERY = 10


class Shot(NamedTuple):
    """An image: its file and number, its recording, and the file and number of its pose."""

    path: Path
    index: int
    recording: Path
    pose: Path
    pose_index: int


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each sensor of a subject."""
    found = []
    for subject in SUBJECTS:
        for path in sorted((raw / subject / "pose").glob("*.extrinsics")):
            read_cameras(raw, subject, path.stem)
            found.append(Unit(f"{subject}/{path.stem}", "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The images of a sensor, in all recordings of a subject, in which the person has moved."""
    subject, sensor = unit.name.split("/")
    both = read_cameras(raw, subject, sensor)
    recordings = _recordings(raw / subject, sensor)
    up = _up([shot for shots in recordings.values() for shot in shots])
    kept: sampling.Kept = None
    for recording, shots in recordings.items():
        labels_px = _read_labels(recording, sensor)
        camera = _fitting(both, shots, labels_px)
        clip = f"{subject}/{recording.name}"
        for shot in shots:
            try:
                joints_mm = read_pose(shot.pose)
            except ValueError as error:
                yield release.broken(error, clip, shot.index, sensor)
                continue
            kept, is_kept = sampling.step(RULE, kept, joints_mm)
            if is_kept:
                is_labelled = shot.pose_index < len(labels_px)
                seen_px = labels_px[shot.pose_index] if is_labelled else None
                people = (Person(subject, joints_mm, seen_px),)
                image = partial(_read_turned, shot.path)
                yield Frame(image, camera, people, clip, shot.index, sensor, up)


def read_cameras(raw: Path, subject: str, sensor: str) -> tuple[cameras.Camera, cameras.Camera]:
    """The colour camera and the depth camera of a sensor, for turned pictures."""
    path = raw / subject / "device_repository.json"
    path = path if path.exists() else raw / path.name
    if not path.exists():
        raise ValueError(f"human4d: no {path}; get it from the release's page")
    try:
        entry = next(item for item in json_files.read(path) if item["Device"] == sensor)
        size = f"{WIDTH_PX}x{HEIGHT_PX}"
        colour_k, depth_k = (
            np.array(entry[f"{kind} Intrinsics"][0][size], float).reshape(3, 3)
            for kind in ("Color", "Depth")
        )
        turn = np.array(entry["Color Depth Rotation"], float).reshape(3, 3)
        shift_mm = MM * np.array(entry["Color Depth Translation"], float).reshape(3)
    except (StopIteration, LookupError) as error:
        raise ValueError(
            f"human4d: {path} lacks {error} of sensor {sensor}; download it again"
        ) from None
    placed = np.loadtxt(raw / subject / "pose" / f"{sensor}.extrinsics").reshape(4, 3)
    to_world, position_mm = placed[:3], placed[3]
    return (
        _turned(colour_k, (to_world @ turn).T, position_mm + to_world @ shift_mm),
        _turned(depth_k, to_world.T, position_mm),
    )


def read_pose(path: Path) -> Float[np.ndarray, "32 3"]:
    """The joints of a file; NaN for those at the origin, and for all if they are in one point."""
    joints_mm = numpy_files.matrix(path).reshape(33, 3)[list(JOINTS)].astype(np.float64)
    is_there = joints_mm.any(axis=-1, keepdims=True) & (np.ptp(joints_mm, axis=0).max() > 1)
    return np.where(is_there, joints_mm, np.nan)


def _recordings(folder: Path, sensor: str) -> dict[Path, list[Shot]]:
    """The images of a sensor that have poses, by recording and in order."""
    found: dict[Path, list[Shot]] = collections.defaultdict(list)
    for line in (folder / "offsets.txt").read_text(encoding="utf-8").splitlines():
        name, offset, *_ = line.split("\t")
        recording = folder / name
        for path in recording.glob(f"Dump/color/*_{sensor}_color_*.png"):
            index = int(path.name.split("_")[0])
            pose_index = index - (int(offset) - 1)
            pose = recording / "Dump/gposes3d" / f"{pose_index}.npy"
            if pose_index >= 0 and pose.exists():
                found[recording].append(Shot(path, index, recording, pose, pose_index))
    return {
        recording: sorted(found[recording], key=lambda s: s.index) for recording in sorted(found)
    }


def _some_poses(shots: Sequence[Shot]) -> Iterator[tuple[Shot, Float[np.ndarray, "32 3"]]]:
    """Every tenth pose, without those that cannot be read."""
    for shot in shots[::EVERY]:
        with contextlib.suppress(ValueError):
            yield shot, read_pose(shot.pose)


def _up(shots: Sequence[Shot]) -> tuple[float, float, float]:
    """The axis of the world along which people stand."""
    trunks = [mm[NECK] - mm[list(ANKLES)].mean(axis=0) for _, mm in _some_poses(shots)]
    up = upright.axis(np.array(trunks).reshape(-1, 3))
    if up is None:
        raise ValueError("no pose tells which way is up: none has a neck and ankles")
    x, y, z = up.tolist()
    return x, y, z


def _read_labels(recording: Path, sensor: str) -> Float[np.ndarray, "f 32 2"]:
    """The release's 2D labels in turned pictures, by the number of the pose; maybe none."""
    path = next(recording.glob(f"*{sensor}*_2d.npy"), None)
    if path is None:
        return np.zeros((0, len(JOINTS), 2))
    labels_px = numpy_files.matrix(path).reshape(-1, 33, 2)[:, list(JOINTS)].astype(np.float64)
    return np.stack([HEIGHT_PX - 1 - labels_px[..., 1], labels_px[..., 0]], axis=-1)


def _fitting(
    both: Sequence[cameras.Camera], shots: Sequence[Shot], labels_px: Float[np.ndarray, "f 32 2"]
) -> cameras.Camera:
    """The camera that fits the 2D labels best; without any, the first."""
    labelled = [shot for shot in shots if shot.pose_index < len(labels_px)]
    errors_px = [
        [projected_px(camera, mm) - labels_px[shot.pose_index] for camera in both]
        for shot, mm in _some_poses(labelled)
    ]
    if not errors_px:
        return both[0]
    median_px = np.nanmedian(np.linalg.norm(errors_px, axis=-1), axis=(0, 2))
    return both[int(np.nanargmin(median_px))]


def _turned(
    intrinsics: Float[np.ndarray, "3 3"],
    rotation: Float[np.ndarray, "3 3"],
    position_mm: Float[np.ndarray, "3"],
) -> cameras.Camera:
    """The camera of a picture that was turned clockwise by 90 degrees."""
    (fx, _, cx), (_, fy, cy) = intrinsics[:2]
    k = np.array([[fy, 0, HEIGHT_PX - 1 - cy], [0, fx, cx], [0, 0, 1]])
    return cameras.create(k, TURN @ rotation, position_mm)


def _read_turned(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    image = images.read(path)
    if image.shape[:2] != (HEIGHT_PX, WIDTH_PX):
        raise ValueError(f"{path} is no picture of {WIDTH_PX} x {HEIGHT_PX} px")
    return cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)
