"""AIST++: a tiny official release comes back as it was made."""

import json
import pickle
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.official import aist
from acae_jax.geometry import boxes, cameras

COUNT = 6
SPLITS = {
    "gBR_sBM_cAll_d04_mBR0_ch01": "pose_train",
    "gLH_sFM_cAll_d16_mLH3_ch04": "pose_val",
    "gWA_sBM_cAll_d25_mWA0_ch01": "pose_test",
    "gHO_sBM_cAll_d19_mHO2_ch02": "pose_train",  # to ignore
    "gJB_sBM_cAll_d07_mJB1_ch01": "pose_train",  # without videos
}
TRAIN, VAL, TEST, IGNORED, _ = SPLITS
NAMES = ("c01", "c09")
CAMERAS: dict[str, cameras.Camera] = dict(
    zip(NAMES, miniature.ring(2, up="y", lens=(-0.1, 0, 0, 0, 0)), strict=True)
)
UP_MM = np.array([0, 750.0, 0])  # the floor is not at 0


def truth_mm() -> np.ndarray:
    """The 17 joints of COCO, by frame; nothing moves from frame 3 to 4."""
    joints_mm = miniature.people_mm(17, COUNT, up="y")[:, 0] + UP_MM
    joints_mm[4] = joints_mm[3]
    return joints_mm


TRUTH_MM = truth_mm()


def released_camera(name: str) -> dict:
    camera = CAMERAS[name]
    vector = cv2.Rodrigues(camera.rotation)[0].ravel()
    t = -camera.rotation @ (camera.position_mm + UP_MM) / 10
    return {
        "name": name, "size": list(miniature.SIZE), "matrix": camera.intrinsics.tolist(),
        "rotation": vector.tolist(), "translation": t.tolist(), "distortions": [-0.1, 0, 0, 0, 0],
    }  # fmt: skip


def truth_px(name: str, points_mm: np.ndarray) -> np.ndarray:
    """Where OpenCV sees points by the released numbers."""
    c = {key: np.array(v) for key, v in released_camera(name).items() if key != "name"}
    seen = cv2.projectPoints(
        points_mm / 10, c["rotation"], c["translation"], c["matrix"], c["distortions"]
    )
    return seen[0][:, 0]


def write_release(raw: Path) -> None:
    folder = raw / "annotations"
    for part in ("keypoints3d", "cameras", "splits"):
        (folder / part).mkdir(parents=True)
    (folder / "ignore_list.txt").write_text(f"{IGNORED}\n")
    (folder / "cameras/mapping.txt").write_text("".join(f"{s} setting2\n" for s in SPLITS))
    entries = [released_camera(name) for name in reversed(NAMES)]
    (folder / "cameras/setting2.json").write_text(json.dumps(entries))
    for part in ("pose_train", "pose_val", "pose_test"):
        sequences = [s for s, p in SPLITS.items() if p == part]
        (folder / f"splits/{part}.txt").write_text("\n".join(sequences))
    raw_joints = np.full_like(TRUTH_MM, np.nan)
    content = {"keypoints3d": raw_joints, "keypoints3d_optim": TRUTH_MM / 10}
    drawn = {
        name: cameras.create(*CAMERAS[name][:2], CAMERAS[name].position_mm + UP_MM)
        for name in NAMES
    }
    for sequence in (TRAIN, VAL, TEST, IGNORED):
        (folder / f"keypoints3d/{sequence}.pkl").write_bytes(pickle.dumps(content))
        for name, camera in drawn.items():
            images = [
                miniature.picture(camera._replace(distortion=CAMERAS[name].distortion), [mm])
                for mm in TRUTH_MM
            ]
            video = raw / f"videos/{sequence.replace('cAll', name)}.mp4"
            miniature.write_video(video, images, fps=60)


def test_units_are_the_videos_that_count(raw):
    found = {unit.name: unit.split for unit in aist.units(raw)}
    splits = {TRAIN: "train", VAL: "train", TEST: "test"}
    assert found == {s.replace("cAll", c): split for s, split in splits.items() for c in NAMES}


def test_joints_and_cameras_come_back(raw):
    near_mm = np.concatenate([TRUTH_MM[0], TRUTH_MM[0] + 150, TRUTH_MM[0] - 150])
    for video, frames in miniature.frames(aist, raw).items():
        (name,) = [name for name in NAMES if name in video]
        sequence = video.replace(name, "cAll")
        assert [frame.index for frame in frames] == ([0] if sequence == TEST else [0, 1, 2, 3, 5])
        for frame in frames:
            assert frame.camera_name == name and frame.clip == sequence
            (person,) = frame.people
            mm = TRUTH_MM[frame.index]
            neck_mm, pelvis_mm = (mm[5] + mm[6]) / 2, (mm[11] + mm[12]) / 2
            miniature.assert_joints(person.joints_mm, np.stack([*mm, neck_mm, pelvis_mm]))
            assert frame.camera is not None
            found_px = cameras.project(frame.camera, near_mm)
            np.testing.assert_allclose(found_px, truth_px(name, near_mm), atol=0.001)
            assert frame.up == (0, 1, 0) and person.id == sequence.split("_")[3]


def test_records_have_the_boxes_of_the_joints(raw, tmp_path):
    splits = miniature.build(aist, raw, tmp_path)
    assert len(splits["train"]) == 20 and len(splits["test"]) == 2
    for record in [*splits["train"], *splits["test"]]:
        miniature.assert_marked(record)
        camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        expected = boxes.expand(boxes.of_points(projected_px(camera, record.joints_mm)), 1.15)
        np.testing.assert_allclose(record.box, expected, atol=0.05 * expected[3])
        # The crop has less room than usual: 0.8 × 1.5225 × (cos 30° h + sin 30° w).
        room = 0.8 * 1.1 / 0.85**2 * (np.cos(np.pi / 6) * record.box[3] + record.box[2] / 2)
        assert 2 * record.intrinsics[0, 2] <= room + 2


def test_a_broken_video_is_counted(raw, tmp_path):
    (tmp_path / "annotations").symlink_to(raw / "annotations")
    (tmp_path / "videos").mkdir()
    good, bad = (tmp_path / f"videos/{TRAIN.replace('cAll', name)}.mp4" for name in NAMES)
    good.symlink_to(raw / "videos" / good.name)
    bad.write_bytes(b"no video")
    train = miniature.build(aist, tmp_path, tmp_path / "out")["train"]
    assert [record.camera for record in train] == ["c01"] * 5
    report = json.loads(next((tmp_path / "out").glob("aist/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 1}


def test_frames_are_those_at_the_time_of_the_labels():
    labels = np.arange(2000)
    assert aist.video_frames(labels, 60.0) == dict(enumerate(range(2000)))
    found = aist.video_frames(labels, 60000 / 1001)
    seconds = {frame / 59.94 - label / 60 for frame, label in found.items()}
    assert max(map(abs, seconds)) < 0.0085 and len(found) == 1998
    with pytest.raises(ValueError, match="30 frames a second, not 60"):
        aist.video_frames(labels, 30.0)


def test_missing_labels_are_one_line(raw, tmp_path):
    for part in ("videos", "annotations"):
        (tmp_path / part).mkdir()
        for path in (raw / part).iterdir():
            (tmp_path / part / path.name).symlink_to(path)
    (tmp_path / "annotations/keypoints3d").unlink()
    (tmp_path / "annotations/keypoints3d").mkdir()
    other = tmp_path / f"annotations/keypoints3d/{VAL}.pkl"
    other.symlink_to(raw / f"annotations/keypoints3d/{VAL}.pkl")
    with pytest.raises(ValueError, match=rf"{TRAIN}.pkl is missing; unpack all annotations"):
        building.plan(aist, tmp_path, tmp_path / "out")
