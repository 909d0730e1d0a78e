"""HUMBI: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.official import humbi
from acae_jax.geometry import boxes, cameras

COUNT = 3
NUMBERS: list[int] = [2, 7, 104]
CAMERAS = dict(zip(NUMBERS, miniature.ring(3, up="-y", lens=(0, 0, 0, 0)), strict=True))
OPENPOSE = [
    "nose", "neck", "rsho", "relb", "rwri", "lsho", "lelb", "lwri", "pelv", "rhip", "rkne", "rank",
    "lhip", "lkne", "lank", "reye", "leye", "rear", "lear", "lfoo", "ltoe", "lhee", "rfoo", "rtoe",
    "rhee",
]  # fmt: skip
TRUTH_MM = miniature.people_mm(25, COUNT, up="-y")[:, 0]  # in the order of OPENPOSE
TRUTH_MM[1, OPENPOSE.index("lear")] = np.nan
SNAPSHOTS = (1, 33, 65)


def write_cameras(folder, leave_out=()):
    inside, outside = (["Numcam: 107", "numframes: 3", "numP: 3"] for _ in range(2))
    for number, camera in CAMERAS.items():
        inside += [f"0 {number}", *text(camera.intrinsics)]
        if number not in leave_out:
            centre = camera.position_mm[None] / 1000
            outside += [f"0 {number}", *text(centre), *text(camera.rotation)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "intrinsic.txt").write_text("\n".join(inside))
    (folder / "extrinsic.txt").write_text("\r\n".join(outside) + "\r\n")


def text(rows):
    return [" ".join(f"{number:.9f}" for number in row) for row in rows]


def write_release(raw: Path) -> None:
    for subject in ("subject_1", "subject_82"):
        body = raw / subject / "body"
        write_cameras(body, leave_out=[7] if subject == "subject_82" else [])
        for snapshot, joints_mm in zip(SNAPSHOTS, TRUTH_MM, strict=True):
            folder = body / f"{snapshot:08d}"
            (folder / "reconstruction").mkdir(parents=True)
            written = "\n".join(text(np.nan_to_num(joints_mm) / 1000))
            (folder / "reconstruction/keypoints.txt").write_text(written)
            for number, camera in CAMERAS.items():
                seen_mm = joints_mm[np.isfinite(joints_mm[:, 0])]
                image = miniature.picture(camera, [seen_mm])
                miniature.write_image(folder / f"image/image{number:07d}.jpg", image)
    (raw / "subject_1/body/00000033/image/image0000007.jpg").write_bytes(b"\xff\xd8 broken")
    (raw / "subject_1/body/00000065/image/image0000002.jpg").unlink()
    broken = raw / "subject_82/body/00000002/reconstruction/keypoints.txt"
    broken.parent.mkdir(parents=True)
    broken.write_text("0.1 0.2")


def test_joints_and_cameras_come_back(raw):
    names = building.release.joint_names(humbi.RELEASE)
    order = [OPENPOSE.index(name) for name in names]
    for subject, frames in miniature.frames(humbi, raw).items():
        frames = [frame for frame in frames if frame.people]
        seen = {(frame.index, int(frame.camera_name)) for frame in frames}
        assert seen == {
            (snapshot, number)
            for snapshot in SNAPSHOTS
            for number in CAMERAS
            if (subject, number) != ("subject_82", 7)
            and (subject, snapshot, number) != ("subject_1", 65, 2)
        }
        for frame in frames:
            truth_mm = TRUTH_MM[SNAPSHOTS.index(frame.index)]
            miniature.assert_joints(frame.people[0].joints_mm, truth_mm[order])
            camera = CAMERAS[int(frame.camera_name)]
            assert frame.camera is not None and frame.up == (0, -1, 0)
            miniature.assert_same_camera(frame.camera, camera, truth_mm)


def test_records_have_the_hull_of_joints_and_detection(raw, tmp_path):
    train = miniature.build(humbi, raw, tmp_path)["train"]
    assert len(train) == 13
    for record in train:
        truth_mm = TRUTH_MM[SNAPSHOTS.index(record.frame)]
        miniature.assert_marked(record)
        camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        own = boxes.expand(boxes.of_points(projected_px(camera, truth_mm)), 1.05)
        assert (record.box[:2] < own[:2] + 2).all() and (record.box[2:] > own[2:] - 4).all()
        assert boxes.iou(record.box, own) > 0.85
    report = json.loads(next(tmp_path.glob("humbi/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 2}


def test_other_files_are_one_line(raw, tmp_path):
    (tmp_path / "subject_5").mkdir()
    for path in (raw / "subject_1").iterdir():
        (tmp_path / "subject_5" / path.name).symlink_to(path)
    assert len(building.plan(humbi, tmp_path, tmp_path / "out").units) == 1
    body = tmp_path / "subject_6/body"
    write_cameras(body)
    (body / "extrinsic.txt").write_text((body / "intrinsic.txt").read_text())
    with pytest.raises(ValueError, match=r"extrinsic.txt is no file of cameras: 3 lines, then"):
        building.plan(humbi, tmp_path, tmp_path / "out")
    (body / "extrinsic.txt").unlink()
    with pytest.raises(ValueError, match=r"extrinsic.txt is missing; unpack all of subject_6"):
        building.plan(humbi, tmp_path, tmp_path / "out")
