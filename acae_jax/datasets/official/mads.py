"""MADS: martial arts, dancing and sports, one person among three cameras (Zhang et al., IVC 2017).

Only the multi-view part; its cameras are those of Bouguet's toolbox, which are OpenCV's. Some
sequences lack toes and hands, and frames in which nothing is labelled are left out.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import mat, videos
from acae_jax.datasets.release import Frame, Person, Published, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.geometry import cameras

RELEASE = Release(
    name="mads",
    title="Martial Arts, Dancing and Sports",
    version="1.0.0",
    url="https://visal.cs.cityu.edu.hk/research/mads",
    access="research; public, MADS_multiview.zip there",
    size="about 25 GB of videos",
    layout=(
        "**/multi_view_data/*/*_C[0-2].avi",
        "**/multi_view_data/*/*_GT.mat",
        "**/multi_view_data/*/Calib_Cam[0-2].mat",
    ),
    format="mads",
    quota=2,
    boxes=partial(person_boxes.best_detected, factor=1.2, joints_if_unseen=True),
    published=Published(32_649),
)
JOINT_COUNT = 19
OF_15 = (0, 1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18)  # all but toes and hands


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video."""
    found = []
    for video in sorted(raw.glob("**/multi_view_data/*/*_C[0-2].avi")):
        labels, calibration = _files_of(video)
        for path in (labels, calibration):
            if not path.exists():
                raise ValueError(f"mads: no {path}; unpack MADS_multiview.zip anew")
        found.append(Unit(f"{video.parent.name}/{video.stem}", "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video in which the person has moved, or new joints have labels."""
    video = next(raw.glob(f"**/multi_view_data/{unit.name}.avi"))
    labels, calibration = _files_of(video)
    joints_mm = read_joints(labels)
    camera = read_camera(calibration)
    chosen = np.flatnonzero(sampling.sample(sampling.VALIDITY, joints_mm))
    clip, name = video.stem.rsplit("_", 1)
    for index, image in videos.chosen(video, chosen.tolist()):
        yield Frame(image, camera, (Person("", joints_mm[index]),), clip, index, name, release.Y_UP)


def read_joints(path: Path) -> Float[np.ndarray, "f 19 3"]:
    """The joints of a sequence, mm; NaN where there is no label."""
    cells = list(mat.cells(path, "GTpose2"))
    found = np.full((len(cells), JOINT_COUNT, 3), np.nan)
    for pose, cell in zip(found, cells, strict=True):
        if not np.size(cell):
            continue
        rows = np.asarray(cell, float).reshape(-1, 3)
        if len(rows) not in (len(OF_15), JOINT_COUNT):
            raise ValueError(f"{path} has a pose of {len(rows)} joints, not 15 or 19")
        pose[list(OF_15) if len(rows) == len(OF_15) else slice(None)] = rows
    found[~np.isfinite(found).all(axis=-1)] = np.nan
    return found


def read_camera(path: Path) -> cameras.Camera:
    """A camera of Bouguet's toolbox; ValueError if the file has none that is placed."""
    variables = mat.read(path)
    missing = [name for name in ("KK", "kc", "om_ext", "T_ext") if name not in variables]
    if missing:
        raise ValueError(f"{path} has no {missing[0]}")
    rotation = cv2.Rodrigues(variables["om_ext"].ravel().astype(float))[0]
    shift_mm = variables["T_ext"].ravel().astype(float)
    k, lens = variables["KK"].astype(float), variables["kc"].ravel().astype(float)
    return cameras.create(k, rotation, -rotation.T @ shift_mm, lens)


def _files_of(video: Path) -> tuple[Path, Path]:
    """The labels of a video, and its camera."""
    clip, name = video.stem.rsplit("_C", 1)
    return video.with_name(f"{clip}_GT.mat"), video.with_name(f"Calib_Cam{name}.mat")
