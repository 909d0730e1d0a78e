"""HUMBI: one person among some hundred cameras in a dome, the part "body" (Yu et al., CVPR 2020).

Files are those of OpenPose's 25 joints in metres, and text files of cameras without lenses. The
rotations go from the world to the camera, whatever the comment in the official code says; a camera
that has no parameters, or no image, is left out. Some hundred images of the release are broken;
they are counted. Snapshots are far apart, and so all are kept.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import images
from acae_jax.datasets.release import Frame, Person, Published, Release, Unit
from acae_jax.datasets.steps import person_boxes
from acae_jax.geometry import cameras

RELEASE = Release(
    name="humbi",
    title="HUMBI (body)",
    version="1.0.0",
    url="https://humbi-data.net",
    access="research; request access there",
    size="some TB",
    layout=(
        "subject_*/body/intrinsic.txt",
        "subject_*/body/extrinsic.txt",
        "subject_*/body/*/image/image*.jpg",
        "subject_*/body/*/reconstruction/keypoints.txt",
    ),
    format="humbi",
    quota=5,
    boxes=partial(person_boxes.joined_with_detection, factor=1.05, least_iou=0.5),
    published=Published(1_271_076),
)
JOINTS = (*range(8), *range(9, 25), 8)  # the pelvis last
HEADER = 3  # lines of a file of cameras
MM = 1000.0  # in a metre


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each subject; ValueError if the files of cameras are missing or unlike the format."""
    found = []
    for body in sorted(raw.glob("subject_*/body")):
        read_cameras(body)
        found.append(Unit(body.parent.name, "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The images of all snapshots of a subject."""
    body = raw / unit.name / "body"
    placed = read_cameras(body)
    for path in sorted(body.glob("*/reconstruction/keypoints.txt")):
        snapshot = path.parent.parent
        index = int(snapshot.name)
        try:
            person = Person(unit.name, read_joints(path))
        except ValueError as error:
            yield release.broken(error, unit.name, index)
            continue
        for image in sorted(snapshot.glob("image/image*.jpg")):
            number = int(image.stem.removeprefix("image"))
            if number in placed:
                pixels = partial(images.read, image)
                camera_name = f"{number:03d}"
                yield Frame(
                    pixels, placed[number], (person,), unit.name, index, camera_name, release.Y_DOWN
                )


def read_joints(path: Path) -> Float[np.ndarray, "25 3"]:
    """The joints of a snapshot in mm, and NaN where all three numbers are zero."""
    numbers = [float(word) for word in re.split(r"[\s,]+", path.read_text().strip())]
    if len(numbers) != 75:
        raise ValueError(f"{path} has {len(numbers)} numbers, not 75")
    joints = np.array(numbers).reshape(25, 3)[list(JOINTS)]
    return np.where(joints.any(axis=1, keepdims=True), joints * MM, np.nan)


def read_cameras(body: Path) -> dict[int, cameras.Camera]:
    """The cameras by number that have intrinsics and extrinsics."""
    inside = _blocks(body / "intrinsic.txt", 3)
    outside = _blocks(body / "extrinsic.txt", 4)
    return {
        number: cameras.create(inside[number], outside[number][1:], outside[number][0] * MM)
        for number in inside
        if number in outside
    }


def _blocks(path: Path, rows: int) -> dict[int, Float[np.ndarray, "r 3"]]:
    """What follows each line that names a camera: so many rows of three numbers."""
    if not path.exists():
        raise ValueError(f"{path} is missing; unpack all of {path.parent.parent.name}")
    lines = [line.split() for line in path.read_text().splitlines()[HEADER:] if line.strip()]
    blocks = [lines[at : at + rows + 1] for at in range(0, len(lines), rows + 1)]
    try:
        return {int(head[1]): np.array(found, float).reshape(rows, 3) for head, *found in blocks}
    except (ValueError, LookupError):
        raise ValueError(
            f"{path} is no file of cameras: {HEADER} lines, then for each camera its number and "
            f"{rows} rows of 3 numbers"
        ) from None
