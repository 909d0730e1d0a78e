"""ASPset-510: sports outdoors, one person among three cameras (Nibali et al., IVC 2021).

The release's training and validation clips are both for training. Each test clip has one camera.
"""

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import c3d_points, videos
from acae_jax.datasets.release import Frame, Person, Published, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.geometry import cameras

RELEASE = Release(
    name="aspset",
    title="ASPset-510",
    version="1.0.0",
    url="https://archive.org/details/aspset510",
    access="CC0 1.0; public",
    size="about 100 GB of videos",
    layout=(
        "data/splits.csv",
        "data/trainval/videos/*/*.mkv",
        "data/trainval/joints_3d/*/*.c3d",
        "data/trainval/boxes/*/*.csv",
        "data/trainval/cameras/*/*.json",
    ),
    format="aspset",
    quota=4,
    boxes=partial(person_boxes.given, factor=1.1),
    published=Published(124_221),
)
FOLDERS = {"train": "trainval", "val": "trainval", "test": "test"}
VIEWS = ("left", "mid", "right")


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video; none of the test set if its labels are not there."""
    found = []
    with (raw / "data/splits.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == 4 and row[2] in FOLDERS]
    if not rows:
        raise ValueError(f"aspset: {raw / 'data/splits.csv'} lists no clip; get it anew")
    for subject, clip, split, cameras_listed in rows:
        folder = raw / "data" / FOLDERS[split]
        if split == "test" and not (folder / "joints_3d").is_dir():
            continue
        for view in VIEWS if cameras_listed == "all" else (cameras_listed,):
            name = f"{FOLDERS[split]}/{subject}/{clip}-{view}"
            missing = [path for path in _files(raw, name) if not path.exists()]
            if missing:
                raise ValueError(f"aspset: no {missing[0]}; unpack all archives of {folder}")
            found.append(Unit(name, "test" if split == "test" else "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video: in training those in which the person has moved."""
    video, points, boxes_file, camera_file = _files(raw, unit.name)
    joints_mm = c3d_points.read(points).positions
    people_boxes = read_boxes(boxes_file)
    camera = read_camera(camera_file)
    count = min(len(joints_mm), len(people_boxes))
    chosen = np.arange(count)
    if unit.split == "train":
        chosen = chosen[sampling.sample(sampling.PLAIN, joints_mm[:count])]
    _, subject, clip_view = unit.name.split("/")
    clip, view = clip_view.split("-")
    for index, image in videos.chosen(video, chosen.tolist()):
        person = Person(subject, joints_mm[index], box=people_boxes[index])
        yield Frame(image, camera, (person,), f"{subject}-{clip}", index, view, release.Y_DOWN)


def read_camera(path: Path) -> cameras.Camera:
    """A camera without a lens."""
    content = json.loads(path.read_text(encoding="utf-8"))
    placed = np.array(content["extrinsic_matrix"], float).reshape(4, 4)
    k = np.array(content["intrinsic_matrix"], float).reshape(3, 4)
    rotation = placed[:3, :3]
    return cameras.create(k[:, :3], rotation, -rotation.T @ placed[:3, 3])


def read_boxes(path: Path) -> Float[np.ndarray, "f 4"]:
    """The boxes of a video, whose file has their left, top, right and bottom edges."""
    edges = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    return np.concatenate([edges[:, :2], edges[:, 2:4] - edges[:, :2]], axis=1)


def _files(raw: Path, name: str) -> tuple[Path, Path, Path, Path]:
    """Video, joints, boxes and camera of a unit."""
    folder, subject, clip_view = name.split("/")
    clip, view = clip_view.split("-")
    data = raw / "data" / folder
    return (
        data / "videos" / subject / f"{subject}-{clip_view}.mkv",
        data / "joints_3d" / subject / f"{subject}-{clip}.c3d",
        data / "boxes" / subject / f"{subject}-{clip_view}.csv",
        data / "cameras" / subject / f"{subject}-{view}.json",
    )
