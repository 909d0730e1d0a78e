"""JTA, Joint Track Auto: crowds in the streets of a video game (Fabbri et al., ECCV 2018).

The release's focal length, 1158 px, is that of the game's camera; the game then bends the pictures
a little, and 1167 px fits them (issue 13 of the release). The release's 2D labels are of 1158 px:
they are compared with the 3D labels after they have been enlarged as the pictures are. Both count
from the corner of the image.

There is no world: joints are as the moving camera sees them. Up is where people's necks are above
their ankles, in each frame.

Training and validation videos together are the split "train"; the test videos are not used.
"""

import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets.readers import json_items, videos
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling, upright
from acae_jax.geometry import cameras

RELEASE = Release(
    name="jta",
    title="JTA (Joint Track Auto)",
    version="1.0.0",
    url="https://github.com/fabbrimatteo/JTA-Dataset",
    access="CC BY-NC 4.0; download from the page after accepting the terms",
    size="384 videos of 30 s in full HD",
    layout=(
        "videos/train/seq_*.mp4",
        "videos/val/seq_*.mp4",
        "annotations/train/seq_*.json",
        "annotations/val/seq_*.json",
    ),
    format="jta",
    quota=3,
    boxes=partial(
        person_boxes.of_size,
        rule=partial(person_boxes.detected, least_iou=0.1, most_area=2.0, from_given=True),
        longer_px=100.0,
    ),
)
PARTS = ("train", "val")
SIZE_PX = np.array([1920, 1080])
CENTRE_PX = (SIZE_PX - 1) / 2
FOCAL_PX, LABELS_FOCAL_PX = 1167.0, 1158.0
MM = 1000.0  # in a m
COLUMNS = 10  # frame, person, joint, x, y, X, Y, Z, is occluded, is occluded by oneself
NECK, ANKLES = 2, (18, 21)
LEAST_VISIBLE = 5
CAMERA = cameras.create(
    np.array([[FOCAL_PX, 0, CENTRE_PX[0]], [0, FOCAL_PX, CENTRE_PX[1]], [0, 0, 1]])
)


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video of the training and validation parts."""
    found = []
    for part in PARTS:
        for video in sorted((raw / "videos" / part).glob("seq_*.mp4")):
            labels = _labels(raw, part, video.stem)
            if not labels.exists():
                raise ValueError(f"jta: no {labels} for {video}; unpack all annotations")
            found.append(Unit(f"{part}/{video.stem}", "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video in which somebody has moved."""
    part, stem = unit.name.split("/")
    moving = _moving(read_rows(_labels(raw, part, stem)))
    found = {index: (people, up) for index, people, up in moving}
    for index, image in videos.chosen(raw / "videos" / part / f"{stem}.mp4", found):
        people, up = found[index]
        yield Frame(image, CAMERA, people, unit.name, index, up=up)


def read_rows(path: Path) -> Float[np.ndarray, "n 10"]:
    """The rows of a file of labels, by frame; ValueError if it has others."""
    numbers = array.array("d")
    for row in json_items.rows(path):
        if not isinstance(row, list) or len(row) != COLUMNS:
            raise ValueError(f"{path} has a row that is not {COLUMNS} numbers")
        numbers.extend(row)
    rows = np.frombuffer(numbers).reshape(-1, COLUMNS)
    return rows[np.argsort(rows[:, 0], kind="stable")]


def _moving(
    rows: Float[np.ndarray, "n 10"],
) -> Iterator[tuple[int, tuple[Person, ...], tuple[float, float, float]]]:
    """The index, people and up of the frames in which somebody has moved."""
    kept: dict[int, sampling.Kept] = {}
    numbers, starts = np.unique(rows[:, 0], return_index=True)
    for number, of_frame in zip(numbers, np.split(rows, starts[1:]), strict=True):
        people, trunks = [], []
        for identity in np.unique(of_frame[:, 1]).astype(int).tolist():
            person, is_visible = _person(of_frame[of_frame[:, 1] == identity])
            joints_mm = person.joints_mm
            trunks.append(joints_mm[NECK] - joints_mm[list(ANKLES)].mean(axis=0))
            if is_visible:
                before = kept.get(identity)
                kept[identity], is_kept = sampling.step(sampling.PLAIN, before, joints_mm)
                people.append(person._replace(is_kept=is_kept))
        up = upright.direction(np.array(trunks))
        if up is not None and any(person.is_kept for person in people):
            x, y, z = up.tolist()
            yield int(number) - 1, tuple(people), (x, y, z)


def _person(rows: Float[np.ndarray, "n 10"]) -> tuple[Person, bool]:
    """A person, and whether enough of it is visible; its box is that of the visible joints."""
    joints = np.full((22, COLUMNS), np.nan)
    joints[rows[:, 2].astype(int)] = rows
    labels_px = (joints[:, 3:5] - SIZE_PX / 2) * FOCAL_PX / LABELS_FOCAL_PX + CENTRE_PX
    is_inside = ((labels_px > -0.5) & (labels_px < SIZE_PX - 0.5)).all(axis=-1)
    is_visible = is_inside & (joints[:, 8] == 0)
    return Person(
        str(int(rows[0, 1])),
        joints[:, 5:8] * MM,
        labels_px,
        person_boxes.joints_box(labels_px[is_visible]) if is_visible.any() else None,
    ), bool(is_visible.sum() >= LEAST_VISIBLE)


def _labels(raw: Path, part: str, stem: str) -> Path:
    return raw / "annotations" / part / f"{stem}.json"
