"""UMPM: one to four people among four cameras, one or two of them with labels (van der Aa, 2011).

A pose is new if it differs from the last 300 kept ones where it is moved to the same middle. Of a
bone that is implausibly long or short, both joints lose their labels. The public code takes the
mean length over the dataset for this, here it is that of the person in the sequence.

The videos may stay packed (.avi.xz): each is unpacked into a temporary file, some GB large (TMPDIR
says where), and removed. Of the JSON files some are no JSON; only the name of the calibration is
read of them.
"""

import contextlib
import lzma
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import c3d_points, videos
from acae_jax.datasets.release import Frame, Person, Published, Release, Unit
from acae_jax.datasets.steps import person_boxes, plausible, sampling
from acae_jax.geometry import cameras
from acae_jax.skeletons import catalogue

RELEASE = Release(
    name="umpm",
    title="Utrecht Multi-Person Motion",
    version="1.0.0",
    url="https://www2.projects.science.uu.nl/umpm",
    access="research; ask there for a login",
    size="about 1 TB of unpacked videos",
    layout=("**/Groundtruth/*_vm.c3d", "**/Calib/*.ini", "**/Video/*.avi*"),
    format="umpm",
    quota=2,
    boxes=partial(person_boxes.detected, factor=1.15, least_iou=0.5),
    published=Published(166_833),
)
CAMERAS = "fslr"
JOINT_COUNT = 15  # of a person
MOCAP_STEP = 2  # labels at 100 Hz, videos at 50
KEPT_COUNT = 300
LEAST_JOINTS = 4


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video of a sequence with labels."""
    found = []
    for labels in sorted(raw.glob("**/Groundtruth/*_vm.c3d")):
        folder, sequence = labels.parent.parent, labels.stem.removesuffix("_vm")
        if not (folder / f"{sequence}.json").exists():
            raise ValueError(f"umpm: no {folder / f'{sequence}.json'}; unpack {sequence}.zip anew")
        for camera in CAMERAS:
            if any((folder / "Video").glob(f"{sequence}_{camera}.avi*")):
                found.append(Unit(f"{sequence}/{camera}", "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video in which somebody with labels has moved."""
    sequence, name = unit.name.split("/")
    settings = next(raw.rglob(f"{sequence}.json"))
    calibration = read_calibration_name(settings)
    path = next(raw.rglob(f"Calib/{calibration}_{name}.ini"), None)
    if path is None:
        raise ValueError(f"no Calib/{calibration}_{name}.ini; unpack the camera calibrations")
    camera = read_camera(path)
    people_mm = read_people(settings.parent / "Groundtruth" / f"{sequence}_vm.c3d")
    is_new = np.stack([_is_new(joints_mm) for joints_mm in people_mm])
    people_mm = [_without_implausible(joints_mm) for joints_mm in people_mm]
    is_new &= np.stack([np.isfinite(mm).all(-1).sum(-1) >= LEAST_JOINTS for mm in people_mm])
    chosen = np.flatnonzero(is_new.any(axis=0)).tolist()
    with _unpacked(settings.parent / "Video" / f"{sequence}_{name}.avi") as video:
        for index, image in videos.chosen(video, chosen):
            people = tuple(
                Person(str(number), joints_mm[index], is_kept=bool(is_new[number, index]))
                for number, joints_mm in enumerate(people_mm)
            )
            yield Frame(image, camera, people, sequence, index, name, release.Z_UP)


def read_calibration_name(path: Path) -> str:
    """The name of a sequence's calibration; ValueError without one."""
    match = re.search(r'"calib"\s*:\s*"([\w-]+)"', path.read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f'{path} names no calibration; add a line "calib": "…" as in the others')
    return match[1]


def read_camera(path: Path) -> cameras.Camera:
    """A camera of lines with intrinsics, lens, rotation vector and shift."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    try:
        rows = [np.array(line, float) for line in lines if line]
        rotation = cv2.Rodrigues(rows[4])[0]
        return cameras.create(np.stack(rows[:3]), rotation, -rotation.T @ rows[5], rows[3][:4])
    except (LookupError, ValueError, cv2.error) as error:
        raise ValueError(f"{path} is no calibration of UMPM: {error}") from None


def read_people(path: Path) -> list[Float[np.ndarray, "f 15 3"]]:
    """The joints of each person with labels, at the rate of the videos."""
    positions = c3d_points.read(path).positions[::MOCAP_STEP]
    count, rest = divmod(positions.shape[1], JOINT_COUNT)
    if not count or rest:
        raise ValueError(f"{path} has {positions.shape[1]} points, not {JOINT_COUNT} a person")
    return np.split(positions, count, axis=1)


def _is_new(joints_mm: Float[np.ndarray, "f 15 3"]) -> np.ndarray:
    """In which frames a pose differs from those before, wherever the person is."""
    counts = np.isfinite(joints_mm).sum(axis=1, keepdims=True)
    middle_mm = np.nansum(joints_mm, axis=1, keepdims=True) / np.maximum(counts, 1)
    return sampling.sample(sampling.buffered(KEPT_COUNT), joints_mm - middle_mm)


def _without_implausible(
    joints_mm: Float[np.ndarray, "f 15 3"],
) -> Float[np.ndarray, "f 15 3"]:
    bones = catalogue.dataset_skeleton("umpm").edges
    mean_mm = plausible.mean_lengths_mm(joints_mm, bones)
    return plausible.without_implausible(joints_mm, bones, mean_mm, plausible.UMPM)


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """A video, or what its .xz file beside it holds, for as long as it is needed."""
    packed = path.with_name(path.name + ".xz")
    if path.exists() or not packed.exists():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / path.name
        try:
            with lzma.open(packed) as source, video.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except (lzma.LZMAError, EOFError) as error:
            raise ValueError(f"{packed} is damaged: {error}") from None
        yield video
