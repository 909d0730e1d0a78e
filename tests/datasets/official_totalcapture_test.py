"""TotalCapture: a tiny official release comes back as it was made."""

import functools
from pathlib import Path

import miniature
import numpy as np
import pytest

from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.official import totalcapture
from acae_jax.geometry import boxes, cameras

CAMERAS = miniature.ring(2, up="y", lens=(-0.15, 0, 0, 0, 0))
SEQUENCES = {
    ("S1", "walking1"): 8,
    ("S2", "walking2"): 66,
    ("S4", "walking1"): 2,
    ("S5", "acting3"): 2,
}
NAMES = (
    "Hips Spine Spine1 Spine2 Spine3 Neck Head RightShoulder RightArm RightForeArm RightHand "
    "LeftShoulder LeftArm LeftForeArm LeftHand RightUpLeg RightLeg RightFoot LeftUpLeg LeftLeg "
    "LeftFoot"
)
OUT = 5  # frame of S1/walking1 in which the person is out of view of both cameras


@functools.cache
def people(subject: str, sequence: str) -> np.ndarray:
    count = SEQUENCES[subject, sequence]
    joints_mm = miniature.people_mm(21, min(count, 8), up="y")[:, 0] + 10 * int(subject[1])
    joints_mm = np.resize(joints_mm, (count, 21, 3))
    if count == 8:
        joints_mm[3] = joints_mm[2] + 30  # hardly moved
        joints_mm[OUT] += np.array([0, 3500, 0])
    return joints_mm


def write_calibration(path: Path) -> None:
    lines = [f"{len(CAMERAS)} 1"]
    width, height = miniature.SIZE
    for camera in CAMERAS:
        (fx, _, cx), (_, fy, cy), _ = camera.intrinsics
        shift_m = -camera.rotation @ camera.position_mm / 1000
        lines += [
            f"0 {height - 1} 0 {width - 1}",
            f"{fx} {fy} {cx} {cy}",
            f"{camera.distortion[0]}",
            *(" ".join(map(repr, row.tolist())) for row in camera.rotation),
            " ".join(map(repr, shift_m.tolist())),
        ]
    path.write_text("\n".join(lines) + "\n")


def write_joints(path: Path, joints_mm: np.ndarray) -> None:
    """Inches; a tab behind each joint, the last one too."""
    lines = ["\t".join(NAMES.split()) + "\t"]
    for pose in joints_mm / 25.4:
        lines.append("".join(f"{x:.6f} {y:.6f} {z:.6f}\t" for x, y, z in pose))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def matte(camera: cameras.Camera, joints_mm: np.ndarray) -> np.ndarray:
    """The person before black, and a speck elsewhere."""
    shown = np.zeros((*miniature.SIZE[::-1], 3), np.uint8)
    shown[miniature.mask(camera, joints_mm) > 0] = (210, 160, 150)
    shown[5:12, 5:12] = 255
    return shown


def write_release(raw: Path) -> None:
    write_calibration(raw / "calibration.cal")
    for subject, sequence in SEQUENCES:
        joints_mm = people(subject, sequence)
        write_joints(raw / f"vicon/{subject}/{sequence}/gt_skel_gbl_pos.txt", joints_mm)
        for number, camera in enumerate(CAMERAS):
            name = f"{subject.lower()}/TC_{subject}_{sequence}_cam{number + 1}.mp4"
            images = [miniature.picture(camera, [mm]) for mm in joints_mm]
            miniature.write_video(raw / "video" / name, images)
            miniature.write_video(raw / "mattes" / name, [matte(camera, mm) for mm in joints_mm])


def test_units_follow_the_usual_split(raw):
    assert {tuple(unit) for unit in totalcapture.units(raw)} == {
        (f"{subject}/{sequence}/cam{number}", split)
        for subject, sequence, split in (
            ("S1", "walking1", "train"), ("S2", "walking2", "test"), ("S5", "acting3", "test"),
        )
        for number in (1, 2)
    }  # fmt: skip


def test_joints_cameras_and_masks_come_back(raw):
    chosen = {"S1": [0, 1, 2, 4, 6, 7], "S2": [0, 64], "S5": [0]}
    for name, frames in miniature.frames(totalcapture, raw).items():
        subject, sequence, camera_name = name.split("/")
        camera = CAMERAS[int(camera_name[-1]) - 1]
        assert [frame.index for frame in frames] == chosen[subject]
        for frame in frames:
            (person,) = frame.people
            expected_mm = people(subject, sequence)[frame.index]
            miniature.assert_joints(person.joints_mm, expected_mm)
            miniature.assert_same_camera(frame.camera, camera, expected_mm)
            expected = miniature.mask(camera, expected_mm).astype(bool)
            shared, all_of = np.sum(person.mask & expected), np.sum(person.mask | expected)
            assert shared > 0.93 * all_of
            assert boxes.iou(person.box, miniature.box(camera, expected_mm)) > 0.9
            assert frame.up == (0, 1, 0)


def test_records_show_the_person_where_the_labels_are(raw, tmp_path):
    splits = miniature.build(totalcapture, raw, tmp_path)
    assert len(splits["train"]) == 12 and len(splits["test"]) == 6
    for record in [*splits["train"], *splits["test"]]:
        miniature.assert_marked(record)
        camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        around = boxes.of_points(projected_px(camera, record.joints_mm))
        assert boxes.iou(record.box.astype(float), around) > 0.85
        assert len(record.mask_rle)


def test_other_files_are_one_line(raw, tmp_path):
    for name in ("calibration.cal", "video", "vicon"):
        (tmp_path / name).symlink_to(raw / name)
    (tmp_path / "mattes").mkdir()
    with pytest.raises(ValueError, match=r"no TC_S1_walking1_cam1.mp4 in .*mattes; unpack all"):
        totalcapture.units(tmp_path)
    (tmp_path / "calibration.cal").unlink()
    (tmp_path / "calibration.cal").write_text("8 1\n0 1079 0 1919\n1 2\n")
    with pytest.raises(ValueError, match="no calibration of TotalCapture"):
        totalcapture.units(tmp_path)
    path = tmp_path / "short.txt"
    write_joints(path, np.zeros((2, 20, 3)))
    with pytest.raises(ValueError, match="has 60 numbers a line, not 63"):
        totalcapture.read_joints(path)
