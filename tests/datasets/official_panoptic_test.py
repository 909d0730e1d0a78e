"""CMU Panoptic: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.official import panoptic

COUNT = 8
CAMERAS = dict(zip(("00_00", "00_03", "00_20"), miniature.ring(3, up="-y"), strict=True))
PEOPLE_MM = miniature.people_mm(19, COUNT, people=2, up="-y")
PEOPLE_MM[1:3, 1] = PEOPLE_MM[0, 1]  # the second person stands still for two frames
SEQUENCES = ("160906_band3", "170221_haggling_b1")


def write_calibration(path: Path) -> None:
    entries = [{"name": "00_00", "type": "kinect-color"}]
    for name, camera in CAMERAS.items():
        t = -camera.rotation @ camera.position_mm / 10
        entries.append({
            "name": name, "type": "hd", "resolution": list(miniature.SIZE),
            "K": camera.intrinsics.tolist(), "distCoef": camera.distortion[:5].tolist(),
            "R": camera.rotation.tolist(), "t": t[:, None].tolist(),
        })  # fmt: skip
    path.write_text(json.dumps({"cameras": entries[1:]}))


def write_people(path: Path, people_mm: np.ndarray) -> None:
    bodies = []
    for number, joints_mm in enumerate(people_mm):
        joints = np.empty((19, 4))
        joints[list(panoptic.JOINTS)] = np.c_[joints_mm / 10, np.full(19, 0.7)]
        joints[0, 3] = -1  # the neck is missing
        bodies.append({"id": number, "joints19": joints.ravel().tolist()})
    few = np.zeros((19, 4))
    few[:5, 3] = 1  # somebody of five joints
    bodies.append({"id": 7, "joints19": few.ravel().tolist()})
    path.write_text(json.dumps({"version": 0.7, "bodies": bodies}))


def write_release(raw: Path) -> None:
    for number, sequence in enumerate(SEQUENCES):
        poses = raw / sequence / "hdPose3d_stage1_coco19" / ("hd" if number else "")
        poses.mkdir(parents=True)
        write_calibration(raw / sequence / f"calibration_{sequence}.json")
        for index in range(1, COUNT):  # the first frame has no poses
            write_people(poses / f"body3DScene_{index:08d}.json", PEOPLE_MM[index])
        for name, camera in CAMERAS.items():
            images = [miniature.picture(camera, people_mm) for people_mm in PEOPLE_MM]
            miniature.write_video(raw / sequence / f"hdVideos/hd_{name}.mp4", images)


def test_broken_videos_are_left_out(raw):
    names = {unit.name for unit in panoptic.units(raw)}
    assert names == {
        f"{s}/{c}" for s in SEQUENCES for c in CAMERAS if (s, c) != ("160906_band3", "00_03")
    }


def test_people_and_cameras_come_back(raw):
    for name, found in miniature.frames(panoptic, raw).items():
        camera = CAMERAS[name.split("/")[1]]
        assert [frame.index for frame in found] == list(range(1, COUNT))
        for frame in found:
            miniature.assert_same_camera(frame.camera, camera, PEOPLE_MM)
            assert [person.id for person in frame.people] == ["0", "1"]
            for person, mm in zip(frame.people, PEOPLE_MM[frame.index], strict=True):
                expected_mm = mm.copy()
                expected_mm[0] = np.nan
                miniature.assert_joints(person.joints_mm, expected_mm)
            # Frame 2 is as frame 1 for the second person, who is there for the matching only.
            assert [p.is_kept for p in frame.people] == [True, frame.index != 2]


def test_records_have_the_boxes_of_the_detector(raw, tmp_path):
    train = miniature.build(panoptic, raw, tmp_path)["train"]
    assert len(train) > 40 and {record.person for record in train} == {"0", "1"}
    for record in train:
        camera = CAMERAS[record.camera]
        assert np.isnan(record.joints_mm[0]).all() and np.isfinite(record.joints_mm[1:]).all()
        person_mm = PEOPLE_MM[record.frame, int(record.person)]
        ratio = miniature.box(camera, person_mm)[2:].max() / miniature.SIZE[1]
        assert 0.2 < ratio < 1
        one, other = (projected_px(camera, mm[:1])[0] for mm in PEOPLE_MM[record.frame])
        if np.linalg.norm(one - other) > 4 * miniature.RADIUS_PX:  # or the marks are one
            miniature.assert_marked(record._replace(joints_mm=person_mm.astype(np.float32)))


def test_missing_parts_are_one_line(raw, tmp_path):
    sequence = tmp_path / "a"
    for place in ("hdVideos/hd_00_01.mp4", "calibration_b.json"):
        (sequence / place).parent.mkdir(parents=True, exist_ok=True)
        (sequence / place).touch()
    poses = sequence / "hdPose3d_stage1_coco19/hd/body3DScene_00000000.json"
    poses.parent.mkdir(parents=True)
    poses.touch()
    with pytest.raises(ValueError, match=r"no .*calibration_a.json; unpack all of a, or remove it"):
        building.plan(panoptic, tmp_path, tmp_path / "out")
