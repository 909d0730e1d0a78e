"""TotalCapture: one person among eight cameras in a studio (Trumble et al., BMVC 2017).

Training takes S1 to S3; the usual test takes three sequences of all five subjects, here every 64th
frame, which the public code does not build. The rest of S4 and S5 is not used.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.readers import videos
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.geometry import cameras

RELEASE = Release(
    name="totalcapture",
    title="TotalCapture",
    version="1.0.0",
    url="https://cvssp.org/data/totalcapture",
    access="research; ask there for a login",
    size="about 100 GB of videos",
    layout=(
        "calibration.cal",
        "video/**/TC_S*_cam*.mp4",
        "mattes/**/TC_S*_cam*.mp4",
        "vicon/**/gt_skel_gbl_pos.txt",
    ),
    format="totalcapture",
    quota=3,
    boxes=partial(person_boxes.given_within_joints, factor=1.25),
)
TRAINED = ("S1", "S2", "S3")
TESTED = ("walking2", "freestyle3", "acting3")
TEST_STEP = 64
JOINT_COUNT = 21
MM, MM_OF_INCH = 1000.0, 25.4  # the cameras' unit is the metre
LEAST_JOINTS = 6  # in the image
LEAST_GREY = 32  # of a person in the mattes
LINES = 7  # of a camera in calibration.cal


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video of the sequences that are for training or test."""
    known = read_cameras(raw / "calibration.cal")
    found = []
    for video in sorted(raw.glob("video/**/TC_S[1-5]_*_cam*.mp4")):
        _, subject, sequence, camera = video.stem.split("_")
        is_test = sequence in TESTED
        if not is_test and subject not in TRAINED:
            continue
        if int(camera.removeprefix("cam")) > len(known):
            raise ValueError(f"totalcapture: calibration.cal has no camera for {video.name}")
        unit = Unit(f"{subject}/{sequence}/{camera}", "test" if is_test else "train")
        _files(raw, unit)
        found.append(unit)
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames in which the person is in view: in training those in which it has moved."""
    subject, sequence, name = unit.name.split("/")
    video, matte, labels = _files(raw, unit)
    camera, size_px = read_cameras(raw / "calibration.cal")[int(name.removeprefix("cam")) - 1]
    joints_mm = read_joints(labels)
    chosen = np.arange(0, len(joints_mm), TEST_STEP)
    if unit.split == "train":
        chosen = np.flatnonzero(sampling.sample(sampling.PLAIN, joints_mm))
    seen_px = {index: projected_px(camera, joints_mm[index]) for index in chosen.tolist()}
    seen_px = {index: px for index, px in seen_px.items() if _is_in_view(px, size_px)}
    for (index, image), (_, shown) in zip(
        videos.chosen(video, seen_px), videos.chosen(matte, seen_px), strict=True
    ):
        around = person_boxes.joints_box(seen_px[index])
        is_bright = cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY) > LEAST_GREY
        mask = person_boxes.part_of_mask(is_bright, around)
        person = Person(subject, joints_mm[index], box=person_boxes.of_mask(mask), mask=mask)
        yield Frame(image, camera, (person,), f"{subject}/{sequence}", index, name, release.Y_UP)


def read_cameras(path: Path) -> list[tuple[cameras.Camera, tuple[int, int]]]:
    """The cameras and the sizes of their images, in the order of their numbers."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    try:
        numbers = [[float(word) for word in line.split()] for line in lines if line.strip()]
        return [_camera(*numbers[at : at + LINES]) for at in range(0, len(numbers), LINES)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is no calibration of TotalCapture: {error}") from None


def read_joints(path: Path) -> Float[np.ndarray, "f 21 3"]:
    """The joints of a sequence, mm; ValueError if the file is another."""
    rows = np.loadtxt(path, skiprows=1, ndmin=2)
    if rows.shape[1] != 3 * JOINT_COUNT:
        raise ValueError(f"{path} has {rows.shape[1]} numbers a line, not {3 * JOINT_COUNT}")
    return rows.reshape(-1, JOINT_COUNT, 3) * MM_OF_INCH


def _camera(
    ends_px: list[float], centre: list[float], lens: list[float], *placed: list[float]
) -> tuple[cameras.Camera, tuple[int, int]]:
    _, last_row, _, last_column = ends_px
    fx, fy, cx, cy = centre
    rotation, shift_m = np.array(placed[:3]).reshape(3, 3), np.array(placed[3]).reshape(3)
    k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    distortion = np.array([lens[0], 0, 0, 0])
    camera = cameras.create(k, rotation, -rotation.T @ shift_m * MM, distortion)
    return camera, (int(last_column) + 1, int(last_row) + 1)


def _is_in_view(seen_px: Float[np.ndarray, "21 2"], size_px: tuple[int, int]) -> bool:
    inside = ((seen_px > -0.5) & (seen_px < np.array(size_px) - 0.5)).all(axis=-1)
    return bool(inside.sum() >= LEAST_JOINTS)


def _files(raw: Path, unit: Unit) -> tuple[Path, Path, Path]:
    """Video, video of mattes and labels of a unit; ValueError if one is missing."""
    subject, sequence, camera = unit.name.split("/")
    video = f"TC_{subject}_{sequence}_{camera}.mp4"
    labels = f"{subject}/{sequence}/gt_skel_gbl_pos.txt"
    found = []
    for folder, name in (("video", video), ("mattes", video), ("vicon", labels)):
        path = next((raw / folder).rglob(name), None)
        if path is None:
            raise ValueError(f"totalcapture: no {name} in {raw / folder}; unpack all archives")
        found.append(path)
    return found[0], found[1], found[2]
