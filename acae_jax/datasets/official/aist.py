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
    """One for each sequence of the splits that has videos and is not on the list to ignore."""
    annotations = raw / "annotations"
    ignored = _lines(annotations / "ignore_list.txt")
    settings = _settings(raw)
    filmed = {re.sub(r"_c\d\d_", "_cAll_", p.stem) for p in (raw / "videos").glob("*.mp4")}
    found = []
    for part, split in SPLITS.items():
        for name in _lines(annotations / "splits" / f"{part}.txt"):
            if name in ignored or name not in filmed:
                continue
            camera_path = annotations / "cameras" / f"{settings.get(name)}.json"
            for path in (annotations / "keypoints3d" / f"{name}.pkl", camera_path):
                if not path.exists():
                    raise ValueError(f"{path} is missing; unpack all annotations of AIST++")
            found.append(Unit(name, split))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of all videos of a sequence."""
    joints_mm = read_joints(raw / "annotations" / "keypoints3d" / f"{unit.name}.pkl")
    labels = np.arange(0, len(joints_mm), TEST_STEP)
    if unit.split == "train":
        labels = np.flatnonzero(sampling.sample(sampling.PLAIN, joints_mm))
    dancer = "".join(re.findall(r"_(d\d\d)_", unit.name))
    path = raw / "annotations" / "cameras" / f"{_settings(raw)[unit.name]}.json"
    for name, camera in read_cameras(path).items():
        video = raw / "videos" / f"{unit.name.replace('cAll', name)}.mp4"
        if not video.exists():
            continue
        shown = video_frames(labels, videos.frame_rate(video))
        for index, image in videos.readers(video, shown):
            person = Person(dancer, joints_mm[shown[index]])
            yield Frame(image, camera, (person,), unit.name, shown[index], name, release.Y_UP)


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

    Of labels that share a frame, the first. A rate of 0, of a video that cannot be read, passes.
    """
    if rate and abs(rate - RATE) > LARGEST_RATE_ERROR:
        raise ValueError(
            f"a video has {rate:g} frames a second, not {RATE:g}; get the refined ones"
        )
    frames, first = np.unique(np.rint(labels * ((rate or RATE) / RATE)), return_index=True)
    return dict(zip(frames.astype(int).tolist(), labels[first].tolist(), strict=True))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split()


def _settings(raw: Path) -> dict[str, str]:
    """The setting of the cameras of each sequence."""
    words = _lines(raw / "annotations" / "cameras" / "mapping.txt")
    return dict(zip(words[::2], words[1::2], strict=True))
