"""IKEA ASM: a tiny official release comes back as it was made."""

import json
import pickle
from pathlib import Path

import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.official import ikea
from acae_jax.datasets.steps.person_boxes import Seen
from acae_jax.geometry import cameras

COUNT = 12
LABELLED = (0, 2, 3, 5, 8, 9, 11)
BROKEN, STILL, FEW, NEW_JOINT, LOST_JOINT = 3, 2, 5, 9, 11
SEQUENCE = "Lack_TV_Bench/0007_white_floor_08_04_2019_08_28_10_47"
DEVICES: list[str] = ["dev1", "dev2", "dev3"]
# The front camera's space is the world.
RING = miniature.ring(3, up="-y", lens=(0, 0, 0, 0))
FRONT_R, FRONT_MM = RING[1].rotation, RING[1].position_mm


def in_front(points_mm: np.ndarray) -> np.ndarray:
    """Points in the space of dev2."""
    return (points_mm - FRONT_MM) @ FRONT_R.T


def relative(index: int) -> tuple[np.ndarray, np.ndarray]:
    """R and T in cm from the space of dev2 to that of a device, as OpenCV's stereo calibration."""
    r = RING[index].rotation @ FRONT_R.T
    return r, (RING[index].rotation @ (FRONT_MM - RING[index].position_mm) / 10)[:, None]


def people_mm() -> np.ndarray:
    joints_mm = miniature.people_mm(17, COUNT, up="-y")[:, 0]
    joints_mm[STILL] = joints_mm[0]
    joints_mm[NEW_JOINT] = joints_mm[LOST_JOINT] = joints_mm[8]
    joints_mm[LOST_JOINT, 6] = np.nan
    joints_mm[8, 4] = np.nan
    joints_mm[FEW, 3:] = np.nan
    return joints_mm


TRUTH_MM = people_mm()
KEPT = [0, 8, NEW_JOINT]


def write_poses(folder, index):
    """The labels in the camera's own space, in cm."""
    r, t = relative(index)
    folder.mkdir(parents=True)
    for frame in LABELLED:
        joints = np.c_[in_front(TRUTH_MM[frame]) / 10 @ r.T + t.ravel(), np.full(17, 0.8)]
        joints[np.isnan(joints[:, 0])] = 0
        content = {"format": "ikea", "pose_keypoints_3d": joints.ravel().tolist()}
        (folder / f"{frame:06d}.json").write_text(json.dumps(content))


def write_release(raw: Path) -> None:
    parameters = {}
    for index, device in enumerate(DEVICES):
        r, t = relative(index)
        k = RING[index].intrinsics
        p = k @ np.hstack([r, t])
        parameters[device] = {"K": k, "dist_coefs": np.zeros((1, 5)), "R": r, "T": t, "P": p}
        images = []
        for frame in range(COUNT):
            seen_mm = TRUTH_MM[frame][np.isfinite(TRUTH_MM[frame, :, 0])]
            images.append(miniature.picture(RING[index], [seen_mm]))
        for sequence in (SEQUENCE, SEQUENCE.replace("Lack_TV_Bench", "special_test")):
            write_poses(raw / sequence / device / "pose3d", index)
            miniature.write_video(raw / sequence / device / "images/scan_video.avi", images)
    (raw / "Calibration").mkdir()
    content = {"04": {d: {**p, "K": 2 * p["K"]} for d, p in parameters.items()}, "08": parameters}
    (raw / "Calibration/camera_parameters.pkl").write_bytes(pickle.dumps(content))
    (raw / SEQUENCE / "dev1/pose3d" / f"{BROKEN:06d}.json").write_text('{"pose_keypoints_3d": [1]}')
    (raw / SEQUENCE / "dev3/pose3d" / f"{BROKEN:06d}.json").unlink()
    (raw / SEQUENCE / "dev2/pose3d" / f"{BROKEN:06d}.json").unlink()
    no_video = raw / SEQUENCE.replace("0007", "0008") / "dev1/pose3d/000000.json"
    no_video.parent.mkdir(parents=True)
    no_video.touch()


def test_joints_and_cameras_come_back(raw):
    found = miniature.frames(ikea, raw)
    assert set(found) == {f"{SEQUENCE}/{device}" for device in DEVICES}
    for name, frames in found.items():
        frames = [frame for frame in frames if frame.people]
        assert [frame.index for frame in frames] == KEPT
        index = DEVICES.index(name[-4:])
        for frame in frames:
            (person,) = frame.people
            truth_mm = TRUTH_MM[frame.index]
            miniature.assert_joints(person.joints_mm, in_front(truth_mm))
            assert person.id == "0007" and frame.clip == SEQUENCE
            camera = frame.camera
            assert camera is not None and frame.up == (0, -1, 0)
            near_mm = np.concatenate([truth_mm[5:], truth_mm[5:] + 150, truth_mm[5:] - 150])
            found_px = cameras.project(camera, in_front(near_mm))
            np.testing.assert_allclose(found_px, cameras.project(RING[index], near_mm), atol=0.01)


def test_records_show_the_person_where_the_labels_are(raw, tmp_path):
    train = miniature.build(ikea, raw, tmp_path)["train"]
    assert len(train) == 3 * len(KEPT)
    for record in train:
        assert record.format == "ikea"
        miniature.assert_marked(record)
    report = json.loads(next(tmp_path.glob("ikea/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 1}


def test_a_calibration_without_the_place_is_one_line(raw, tmp_path):
    for part in raw.iterdir():
        (tmp_path / part.name).symlink_to(part)
    (tmp_path / "Calibration").unlink()
    (tmp_path / "Calibration").mkdir()
    path = tmp_path / "Calibration/camera_parameters.pkl"
    path.write_bytes(pickle.dumps({"04": {}}))
    with pytest.raises(ValueError, match=r"camera_parameters.pkl has no camera of Lack_TV_Bench/"):
        building.plan(ikea, tmp_path, tmp_path / "out")


def test_boxes_are_of_the_detector_or_of_the_joints_if_it_sees_nobody():
    person = Seen(np.array([[100.0, 100], [200, 200]]))
    image_box = np.array([-0.5, -0.5, 320, 240])

    near, far = [100.0, 100, 90, 90, 0.9], [0.0, 0, 40, 40, 0.99]
    for detections, expected in (
        ([far, near], [near[:4]]),
        ([], [[90, 90, 120, 120]]),
        ([far], [None]),
    ):
        seen = np.array(detections, float).reshape(-1, 5)
        found = ikea.RELEASE.boxes([person], image_box, lambda: seen)  # noqa: B023
        assert [box if box is None else box.tolist() for box in found] == expected
