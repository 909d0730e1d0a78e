"""AIST++: one dancer among nine cameras (Li et al., ICCV 2021; Tsuchida et al., ISMIR 2019).

Labels are 60 a second. A frame is found by its number, or by its time where a video states a rate
a little other than that. Neck and pelvis are the middles of shoulders and hips. Only the labels
optimised over time are used; the floor is not at y = 0.

The training and validation sequences together are the split "train"; of the test sequences, which
no training uses, one frame a second is kept. Public code of PosePile decodes through a filter that
rounds times up, which can shift frames by one; here frames are those of the file.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int

from acae_jax.datasets import release
from acae_jax.datasets.readers import pickled_tables, videos
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.datasets.steps.stored_crop import Cropping
from acae_jax.geometry import cameras

RELEASE = Release(
    name="aist",
    title="AIST++",
    version="1.0.0",
    url="https://google.github.io/aistplusplus_dataset",
    access="research, by the terms of the AIST Dance DB; the refined videos of 10M",
    size="about 200 GB of videos",
    layout=(
        "videos/*.mp4",
        "annotations/keypoints3d/*.pkl",
        "annotations/cameras/mapping.txt",
        "annotations/splits/pose_*.txt",
        "annotations/ignore_list.txt",
    ),
    format="aist",
    quota=6,
    boxes=partial(person_boxes.of_joints, factor=1.15),
    cropping=Cropping(expansion=0.8),
)
SPLITS = {"pose_train": "train", "pose_val": "train", "pose_test": "test"}
RATE = 60.0  # labels a second
LARGEST_RATE_ERROR = 0.5
TEST_STEP = 60
SHOULDERS, HIPS = [5, 6], [11, 12]
MM = 10.0  # in a cm


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video of a sequence in the splits that is not on the list to ignore."""
    annotations = raw / "annotations"
    ignored, settings = _lines(annotations / "ignore_list.txt"), _settings(raw)
    split_of = {
        name: split
        for part, split in SPLITS.items()
        for name in _lines(annotations / "splits" / f"{part}.txt")
        if name not in ignored
    }
    found = []
    for video in sorted((raw / "videos").glob("*.mp4")):
        name, _ = _sequence(video.stem)
        if name not in split_of:
            continue
        for path in (
            annotations / "keypoints3d" / f"{name}.pkl",
            annotations / "cameras" / f"{settings.get(name)}.json",
        ):
            if not path.exists():
                raise ValueError(f"{path} is missing; unpack all annotations of AIST++")
        found.append(Unit(video.stem, split_of[name]))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video."""
    name, camera_name = _sequence(unit.name)
    joints_mm = read_joints(raw / "annotations" / "keypoints3d" / f"{name}.pkl")
    labels = np.arange(0, len(joints_mm), TEST_STEP)
    if unit.split == "train":
        labels = np.flatnonzero(sampling.sample(sampling.PLAIN, joints_mm))
    setting = _settings(raw)[name]
    camera = read_cameras(raw / "annotations" / "cameras" / f"{setting}.json")[camera_name]
    video = raw / "videos" / f"{unit.name}.mp4"
    dancer = "".join(re.findall(r"_(d\d\d)_", name))
    shown = video_frames(labels, videos.frame_rate_hz(video))
    for index, image in videos.chosen(video, shown):
        person = Person(dancer, joints_mm[shown[index]])
        yield Frame(image, camera, (person,), name, shown[index], camera_name, release.Y_UP)


def read_joints(path: Path) -> Float[np.ndarray, "f 19 3"]:
    """The joints of a sequence in mm; ValueError if the file is another."""
    found = pickled_tables.numbers(pickled_tables.read(path), "keypoints3d_optim").astype(float)
    if found.ndim != 3 or found.shape[1:] != (17, 3):
        raise ValueError(f"{path} has joints of shape {found.shape}, not (frames, 17, 3)")
    middles = [found[:, pair].mean(axis=1, keepdims=True) for pair in (SHOULDERS, HIPS)]
    return np.concatenate([found, *middles], axis=1) * MM


def read_cameras(path: Path) -> dict[str, cameras.Camera]:
    """The cameras of a setting by name."""
    found = {}
    for entry in json.loads(path.read_text(encoding="utf-8")):
        rotation = cv2.Rodrigues(np.array(entry["rotation"], float))[0]
        translation = np.array(entry["translation"], float).ravel()
        found[entry["name"]] = cameras.create(
            np.array(entry["matrix"], float),
            rotation,
            -rotation.T @ translation * MM,
            np.array(entry["distortions"], float).ravel(),
        )
    return found


def video_frames(labels: Int[np.ndarray, " n"], rate: float) -> dict[int, int]:
    """The frames of a video of this rate at the times of labels, and the label of each.

    Of labels that share a frame, the first.
    """
    if abs(rate - RATE) > LARGEST_RATE_ERROR:
        raise ValueError(
            f"a video has {rate:g} frames a second, not {RATE:g}; get the refined ones"
        )
    frames, first = np.unique(np.rint(labels * (rate / RATE)), return_index=True)
    return dict(zip(frames.astype(int).tolist(), labels[first].tolist(), strict=True))


def _sequence(video: str) -> tuple[str, str]:
    """The sequence and the camera of a video: "gBR_sBM_c01_d04…" is of "gBR_sBM_cAll_d04…"."""
    camera = "".join(re.findall(r"_(c\d\d)_", video))
    return video.replace(f"_{camera}_", "_cAll_"), camera


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split()


def _settings(raw: Path) -> dict[str, str]:
    """The setting of the cameras of each sequence."""
    words = _lines(raw / "annotations" / "cameras" / "mapping.txt")
    return dict(zip(words[::2], words[1::2], strict=True))
