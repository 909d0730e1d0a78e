"""Tiny releases in the layout of Fit3D, CHI3D and HumanSC3D."""

import json
from pathlib import Path

import miniature
import numpy as np

from acae_jax.geometry import cameras

COUNT = 8  # frames of a video that have joints
CAMERAS = ("50591643", "65906101")
RADIAL = np.array([-0.21, 0.23, -0.01])
TANGENTIAL = np.array([0.004, -0.003])


def people_mm(people: int, motion: str = "run") -> np.ndarray:
    """What people do in truth, (person, frame, joint, 3); frame 5 repeats frame 1."""
    found = np.swapaxes(miniature.people_mm(25, COUNT, people, motion=motion), 0, 1).copy()
    found[..., 0] += 120 * (np.arange(COUNT) - COUNT / 2)[:, None]  # no step is like another
    found[:, 5] = found[:, 1]
    return found


def truth(index: int) -> cameras.Camera:
    """A camera without its lens: `seen_px` has that."""
    return miniature.ring(2, lens=(0, 0, 0, 0))[index]


def seen_px(index: int, world_mm: np.ndarray) -> np.ndarray:
    """Where the release says that a camera sees points: its own formula."""
    k, r, position_mm, _ = truth(index)
    x, y, z = np.moveaxis((world_mm - position_mm) @ r.T, -1, 0)
    plane = np.stack([x / z, y / z], axis=-1)
    swapped = TANGENTIAL[::-1]
    r2 = (plane**2).sum(axis=-1, keepdims=True)
    radial = 1 + RADIAL[0] * r2 + RADIAL[1] * r2**2 + RADIAL[2] * r2**3
    plane = plane * (radial + (plane * swapped).sum(axis=-1, keepdims=True)) + r2 * swapped
    return plane @ k[:2, :2].T + k[:2, 2]


def write(raw: Path, subject: str, action: str, joints_mm: np.ndarray, *, rate: int = 1) -> None:
    """A sequence of some people; with rate 4 as the older releases have it.

    Videos are longer than the joints by a frame.
    """
    folder = raw / "train" / subject
    stored = np.repeat(joints_mm, rate, axis=1)
    for late in range(1, rate):
        stored[:, late::rate] += 300.0 * late
    path = folder / "joints3d_25" / f"{action}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    one_or_all = stored[0] if len(stored) == 1 else stored
    path.write_text(json.dumps({"joints3d_25": (one_or_all / 1000).tolist()}))
    for index, name in enumerate(CAMERAS):
        path = folder / "camera_parameters" / name / f"{action}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_parameters(index)))
        images = [_picture(index, joints_mm[:, i]) for i in (*range(COUNT), 0)]
        miniature.write_video(folder / "videos" / name / f"{action}.mp4", images)


def assert_camera(found: cameras.Camera | None, name: str, seen_mm: np.ndarray) -> None:
    """It sees points, and others near them, where the release's own formula has them."""
    assert found is not None
    index = CAMERAS.index(name)
    points_mm = np.concatenate([seen_mm, seen_mm + 150, seen_mm - 150]).reshape(-1, 3)
    found_px = cameras.project(found, points_mm)
    np.testing.assert_allclose(found_px, seen_px(index, points_mm), rtol=0, atol=0.01)
    np.testing.assert_allclose(found.position_mm, truth(index).position_mm, rtol=0, atol=0.01)


def _parameters(index: int) -> dict:
    k, r, position_mm, _ = truth(index)
    f, c = [k[0, 0], k[1, 1]], [k[0, 2], k[1, 2]]
    return {
        "extrinsics": {"R": r.tolist(), "T": [(position_mm / 1000).tolist()]},
        "intrinsics_w_distortion": {
            "f": [f], "c": [c], "k": [RADIAL.tolist()], "p": [TANGENTIAL.tolist()],
        },
        "intrinsics_wo_distortion": {"f": [300.0, 301.0], "c": [170.0, 130.0]},
    }  # fmt: skip


def _picture(index: int, joints_mm: np.ndarray) -> np.ndarray:
    """A picture through the lens: points on the undistorted camera's plane, moved to `seen_px`."""
    camera = truth(index)
    moved = []
    for mm in joints_mm:
        plane = np.c_[seen_px(index, mm), np.ones(len(mm))] @ np.linalg.inv(camera.intrinsics).T
        moved.append(cameras.camera_to_world(camera, 4000 * plane))
    return miniature.picture(camera, moved)
