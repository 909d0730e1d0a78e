"""IMAR's releases Fit3D, CHI3D and HumanSC3D, which have one layout, and the lens that IMAR uses.

Each sequence is a video per camera and one file of joints; only the training subjects have joints.
`T` of a camera is its position. There are two generations of the releases: in the older one joints
are of 200 a second, and every fourth is that of a frame; in the newer one there is one for each
frame. In the older CHI3D only one of the two people has joints. Videos may be some frames longer.

The lens is not quite OpenCV's: its tangential distortion has no factor 2 on its product with x and
y. With half of it as OpenCV's tangential terms and half as thin-prism terms it is the same to the
last digit.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import videos
from acae_jax.datasets.release import Frame, Person, Unit
from acae_jax.datasets.steps import sampling
from acae_jax.geometry import cameras

VIDEOS = "train/*/videos/*/*.mp4"
LAYOUT = (VIDEOS, "train/*/camera_parameters/*/*.json", "train/*/joints3d_25/*.json")
SAMPLING = sampling.buffered(10000)
RATES = (1, 4)  # joints to a frame
JOINTS = 25
MM = 1000.0  # in a metre


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video; ValueError if a sequence lacks its joints or camera."""
    found = []
    for video in sorted(raw.glob(VIDEOS)):
        subject, camera = video.parent.parent.parent, video.parent.name
        for path in (_camera_path(subject, camera, video.stem), _joints_path(subject, video.stem)):
            if not path.exists():
                raise ValueError(
                    f"{path} is missing; unpack all of the release, or remove {video.name} of "
                    f"{subject.name}"
                )
        found.append(Unit(f"{subject.name}/{video.stem}.{camera}", "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video in which somebody's pose is new; with two people, always both."""
    name, take = unit.name.split("/", 1)
    action, camera_name = take.rsplit(".", 1)
    subject = raw / "train" / name
    camera = read_camera(_camera_path(subject, camera_name, action))
    path = subject / "videos" / camera_name / f"{action}.mp4"
    people_mm = read_joints(_joints_path(subject, action), videos.frame_count(path))
    is_kept = np.array([sampling.sample(SAMPLING, joints_mm) for joints_mm in people_mm])
    ids = (name, f"{name}_partner")[: len(people_mm)]
    for index, image in videos.chosen(path, np.flatnonzero(is_kept.any(axis=0)).tolist()):
        people = tuple(
            Person(ids[i], people_mm[i, index], is_kept=bool(is_kept[i, index]))
            for i in range(len(ids))
        )
        yield Frame(image, camera, people, f"{name}/{action}", index, camera_name, release.Z_UP)


def read_camera(path: Path) -> cameras.Camera:
    """The camera in a file of parameters, with its lens."""
    content = json.loads(path.read_text(encoding="utf-8"))
    inside, outside = content["intrinsics_w_distortion"], content["extrinsics"]
    (fx, fy), (cx, cy), k, p = (np.array(inside[key], float).ravel() for key in "fckp")
    return cameras.create(
        np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
        np.array(outside["R"], float),
        np.array(outside["T"], float).ravel() * MM,
        distortion(k, p),
    )


def distortion(radial: Float[np.ndarray, "3"], tangential: Float[np.ndarray, "2"]) -> np.ndarray:
    """OpenCV's 12 coefficients of IMAR's lens."""
    (k1, k2, k3), (p1, p2) = radial, tangential
    return np.array([k1, k2, p1 / 2, p2 / 2, k3, 0, 0, 0, p2 / 2, 0, p1 / 2, 0])


def read_joints(path: Path, frame_count: int) -> Float[np.ndarray, "people f 25 3"]:
    """The joints of each person in mm, for each frame of a video that has them."""
    stored = np.array(json.loads(path.read_text(encoding="utf-8"))["joints3d_25"], float)
    if stored.ndim not in (3, 4) or stored.shape[-2:] != (JOINTS, 3):
        raise ValueError(f"{path} has joints of shape {stored.shape}; (frames, 25, 3) is expected")
    people = stored.reshape(-1, *stored.shape[-3:])
    count = people.shape[1]
    rate = min(RATES, key=lambda rate: abs(rate * frame_count - count))
    if abs(rate * frame_count - count) > count / 4:
        raise ValueError(f"{path} has {count} poses for a video of {frame_count} frames")
    return people[:, ::rate][:, :frame_count] * MM


def _camera_path(subject: Path, camera: str, action: str) -> Path:
    return subject / "camera_parameters" / camera / f"{action}.json"


def _joints_path(subject: Path, action: str) -> Path:
    return subject / "joints3d_25" / f"{action}.json"
