"""A folder of one's own: a person in two videos and their images, and descriptions of it."""

import functools
import json
from pathlib import Path

import miniature
import numpy as np
import yaml

from acae_jax.datasets.own import building
from acae_jax.datasets.own import description as descriptions
from acae_jax.datasets.release import Frame
from acae_jax.geometry import cameras
from acae_jax.skeletons import skeleton
from acae_jax.skeletons.skeleton import Skeleton

COUNT = 6
JOINTS = ("pelv", "lhip", "rhip", "lkne", "rkne", "htop")
SKELETON = Skeleton("mine", JOINTS, ((0, 1), (0, 2), (0, 5), (1, 3), (2, 4)))
VIEWS = ("left", "right")
CAMERAS = dict(zip(VIEWS, miniature.ring(2), strict=True))
MISSING = (2, 3)  # a frame and a joint of it without a label


@functools.cache
def truth_mm() -> np.ndarray:
    """(frame, joint, 3), in a world whose z is up."""
    joints_mm = miniature.people_mm(len(JOINTS), COUNT)[:, 0]
    joints_mm[MISSING] = np.nan
    return joints_mm


def seen_px(view: str) -> np.ndarray:
    """(frame, joint, 2)."""
    return cameras.project(CAMERAS[view], truth_mm())


def boxes(view: str) -> list[list[float]]:
    found = [miniature.box(CAMERAS[view], mm[np.isfinite(mm[:, 0])], 1.3) for mm in truth_mm()]
    return [box.tolist() for box in found]


def points(array) -> dict:
    return {
        name: None if np.isnan(point).any() else point.tolist()
        for name, point in zip(JOINTS, array, strict=True)
    }


def extrinsics(camera: cameras.Camera) -> np.ndarray:
    return np.c_[camera.rotation, -camera.rotation @ camera.position_mm]


def camera_json(camera: cameras.Camera) -> dict:
    return {
        "intrinsic_matrix": camera.intrinsics.tolist(),
        "distortion_coeffs": camera.distortion[:5].tolist(),
        "extrinsic_matrix": extrinsics(camera).tolist(),
        "image_size": list(miniature.SIZE),
    }


def write(folder: Path) -> Path:
    """Videos, images, skeleton and cameras."""
    for view, camera in CAMERAS.items():
        pictures = [miniature.picture(camera, [mm[np.isfinite(mm[:, 0])]]) for mm in truth_mm()]
        miniature.write_video(folder / f"walk/{view}.avi", pictures)
        for index, picture in enumerate(pictures):
            miniature.write_image(folder / f"walk/{view}/{index + 7}.png", picture)
    skeleton.write(folder / "skeleton.json", SKELETON)
    content = {view: camera_json(camera) for view, camera in CAMERAS.items()}
    (folder / "cameras.json").write_text(json.dumps(content))
    return folder


def describe(folder: Path, media: Path, entries: list[dict], **top) -> Path:
    """A description in a folder of the pictures in another; None takes a key away."""
    content = {
        "name": "mine",
        "skeleton": str(media / "skeleton.json"),
        "cameras": str(media / "cameras.json"),
        "up": "+z",
        "moved_mm": 0,
        "masks": False,
        "clips": entries,
        **top,
    }
    path = folder / "dataset.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


def frames(path: Path) -> dict[str, list[Frame]]:
    """All frames of a description, which is checked first, by unit."""
    plan = building.plan(path, path.parent / "out")
    return {unit.name: list(plan.frames(unit)) for unit in plan.units}


def description(path: Path):
    return descriptions.read(path)
