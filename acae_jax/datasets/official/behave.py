"""BEHAVE: a person and a thing among four Kinects (Bhatnagar et al., CVPR 2022).

The fits are of SMPL-H, which PosePile reads as parameters of SMPL. Here the 22 joints of the body
are those of SMPL-H, and only SMPL's two joints of the hands, which SMPL-H lacks, come from SMPL: as
far from the wrist, and turned with it. The other 25 joints are OpenPose's, triangulated; those
without a score have no label.

Training frames are those whose pose differs by 100 mm from the last 100 kept ones. The world is the
space of the second camera.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import body_model, images, pickled_tables
from acae_jax.datasets.readers.body_model import BodyModel
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.geometry import cameras

RELEASE = Release(
    name="behave",
    title="BEHAVE",
    version="1.0.0",
    url="https://virtualhumans.mpi-inf.mpg.de/behave",
    access="MPI's licence for non-commercial research; direct links there",
    size="about 15 thousand frames of 4 cameras",
    layout=(
        "split.json",
        "calibs/**/calibration.json",
        "calibs/**/config.json",
        "sequences/*/info.json",
        "sequences/*/t*/k0.color.jpg",
        "sequences/*/t*/person/fit02/person_fit.pkl",
    ),
    format="behave",
    quota=3,
    boxes=partial(
        person_boxes.best_detected,
        factor=1.05,
        least_iou=0.5,
        joints_if_unfit=True,
        joints_if_unseen=True,
    ),
)
GENDERS = ("female", "male")
OPENPOSE = (*range(8), *range(9, 25), 8)  # in the catalogue's order
WRISTS, HANDS = [20, 21], [22, 23]
SAMPLING = sampling.buffered(100)
MM = 1000.0


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each sequence that somebody is fitted in."""
    for kind in ("smplh", "smpl"):
        for gender in GENDERS:
            body_model.find(raw / "body_models", kind, gender)
    folders = {path.parent.name for path in raw.glob("sequences/*/info.json")}
    splits = json.loads((raw / "split.json").read_text(encoding="utf-8"))
    named = [Unit(name, split) for split in ("train", "test") for name in splits[split]]
    dates = {name.split("_")[0] for name in folders}
    missing = sorted({unit.name.split("_")[0] for unit in named} - dates)
    if missing:
        raise ValueError(
            f"behave: no sequences of {', '.join(missing)}; unpack their archives in sequences/"
        )
    return tuple(unit for unit in named if unit.name in folders)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a sequence by all its cameras; of training sequences those that differ."""
    folder = raw / "sequences" / unit.name
    info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    models = [
        body_model.read(body_model.find(raw / "body_models", kind, info["gender"]))
        for kind in ("smplh", "smpl")
    ]
    views = {str(number): _camera(folder, info, str(number)) for number in info["kinects"]}
    kept = None
    for index, path in enumerate(sorted(path for path in folder.glob("t*") if path.is_dir())):
        if not (path / "person/fit02/person_fit.pkl").exists():
            continue
        try:
            joints_mm = _joints_mm(path, models)
        except (ValueError, OSError, KeyError) as error:
            yield release.broken(ValueError(f"{path}: {error}"), unit.name, index)
            continue
        if unit.split == "train":
            kept, is_kept = sampling.step(SAMPLING, kept, joints_mm)
            if not is_kept:
                continue
        for name, camera in views.items():
            person = Person("0", joints_mm, mask=_mask(path, name))
            read = partial(images.read, path / f"k{name}.color.jpg")
            yield Frame(read, camera, (person,), unit.name, index, name, release.Y_DOWN)


def _camera(folder: Path, info: dict[str, Any], name: str) -> cameras.Camera:
    """A Kinect's colour camera; the paths of `info` start at the sequence."""
    lens = json.loads((folder / info["intrinsic"] / name / "calibration.json").read_text("utf-8"))
    placed = json.loads((folder / info["config"] / name / "config.json").read_text("utf-8"))
    colour = lens["color"]
    k = [[colour["fx"], 0, colour["cx"]], [0, colour["fy"], colour["cy"]], [0, 0, 1]]
    to_world = np.array(placed["rotation"], float).reshape(3, 3)
    position_mm = MM * np.array(placed["translation"], float)
    distortion = np.array(colour["opencv"][4:], float)
    return cameras.create(np.array(k, float), to_world.T, position_mm, distortion)


def _joints_mm(path: Path, models: list[BodyModel]) -> Float[np.ndarray, "49 3"]:
    """The joints of a moment: SMPL's with the pelvis last, then OpenPose's."""
    smplh, smpl = models
    fit = pickled_tables.read(path / "person/fit02/person_fit.pkl")
    pose, betas, translation_m = (
        pickled_tables.numbers(fit, name).astype(float).ravel()
        for name in ("pose", "betas", "trans")
    )
    pose = pose.reshape(1, 52, 3)
    joints_m = body_model.joints_m(smplh, pose, betas[None], translation_m[None])[0, :24]
    arms_m = body_model.joints_m(smpl, pose[:, :24], betas[None, :10], translation_m[None])[0]
    joints_m[HANDS] = joints_m[WRISTS] + arms_m[HANDS] - arms_m[WRISTS]
    joints_m = np.concatenate([np.roll(joints_m, -1, axis=0), np.full((25, 3), np.nan)])
    other = path / "person/person_J3d.json"
    if other.exists():
        points = json.loads(other.read_text(encoding="utf-8"))["body_joints3d"]
        found = np.array(points, float).reshape(25, 4)[list(OPENPOSE)]
        joints_m[24:] = np.where(found[:, 3:] > 0, found[:, :3], np.nan)
    return MM * joints_m


def _mask(path: Path, name: str) -> partial | None:
    for suffix in ("jpg", "png"):
        file = path / f"k{name}.person_mask.{suffix}"
        if file.exists():
            return partial(images.read_mask, file)
    return None
