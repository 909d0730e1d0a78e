"""MADS: a tiny official release comes back as it was made."""

import functools
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest
import scipy.io

from acae_jax.datasets.official import mads
from acae_jax.geometry import cameras

COUNT = 8
CAMERAS = miniature.ring(3, up="y")
# As the article lists them.
JOINTS_15 = [
    "neck", "pelv", "lhip", "lkne", "lank", "rhip", "rkne", "rank", "lsho", "lelb", "lwri", "rsho",
    "relb", "rwri", "head",
]  # fmt: skip
JOINTS_19 = [
    "neck", "pelv", "lhip", "lkne", "lank", "ltoe", "rhip", "rkne", "rank", "rtoe", "lsho", "lelb",
    "lwri", "lhan", "rsho", "relb", "rwri", "rhan", "head",
]  # fmt: skip
CLIPS = {"Kata/Kata_F2": JOINTS_15, "HipHop/HipHop_HipHop1": JOINTS_19}


@functools.cache
def people(clip: str) -> np.ndarray:
    """Joints by frame, as the release has them: NaN where there is no label."""
    joints_mm = miniature.people_mm(len(CLIPS[clip]), COUNT, up="y")[:, 0]
    joints_mm[2:4] = joints_mm[1] + 10  # hardly moved
    joints_mm[1:3, -1] = np.nan  # the head has a label again in frame 3
    joints_mm[5] = np.nan
    return joints_mm


def write_release(raw: Path) -> None:
    for clip in CLIPS:
        path = raw / "MADS_multiview/MADS/multi_view_data" / clip
        path.parent.mkdir(parents=True)
        cells = np.empty((1, COUNT), object)
        for index, pose in enumerate(people(clip)):
            cells[0, index] = pose
        scipy.io.savemat(f"{path}_GT.mat", {"GTpose2": cells})
        for number, camera in enumerate(CAMERAS):
            calibration = {
                "KK": camera.intrinsics,
                "kc": camera.distortion[:5, None],
                "om_ext": cv2.Rodrigues(camera.rotation)[0],
                "T_ext": (-camera.rotation @ camera.position_mm)[:, None],
            }
            scipy.io.savemat(path.with_name(f"Calib_Cam{number}.mat"), calibration)
            shown = [np.nan_to_num(pose, nan=pose[0, 0]) for pose in people(clip)]
            images = [miniature.picture(camera, [] if np.isnan(p).any() else [p]) for p in shown]
            miniature.write_video(Path(f"{path}_C{number}.avi"), images)


def test_units_are_the_videos(raw):
    expected = {(f"{clip}_C{number}", "train") for clip in CLIPS for number in range(3)}
    assert {tuple(unit) for unit in mads.units(raw)} == expected


def test_joints_and_cameras_come_back(raw):
    for name, frames in miniature.frames(mads, raw).items():
        clip, number = name.rsplit("_C", 1)
        assert [frame.index for frame in frames] == [0, 1, 3, 4, 6, 7]
        for frame in frames:
            (person,) = frame.people
            expected_mm = np.full((19, 3), np.nan)
            for joint_name, joint_mm in zip(CLIPS[clip], people(clip)[frame.index], strict=True):
                expected_mm[JOINTS_19.index(joint_name)] = joint_mm
            miniature.assert_joints(person.joints_mm, expected_mm)
            miniature.assert_same_camera(frame.camera, CAMERAS[int(number)], expected_mm)
            assert frame.up == (0, 1, 0) and frame.camera_name == f"C{number}"


def test_records_show_the_person_where_the_labels_are(raw, tmp_path):
    train = miniature.build(mads, raw, tmp_path)["train"]
    assert len(train) == 36
    for record in train:
        miniature.assert_marked(record)


def test_the_box_is_that_of_the_joints_if_nobody_is_detected():
    camera, image_box = CAMERAS[0], np.array([-0.5, -0.5, 320, 240])
    seen_px = cameras.project(camera, people("HipHop/HipHop_HipHop1")[0])
    one = [mads.person_boxes.Seen(seen_px)]
    (box,) = mads.RELEASE.boxes(one, image_box, lambda: np.zeros((0, 5)))
    np.testing.assert_allclose(box[2:], 1.2 * np.ptp(seen_px, axis=0))
    (box,) = mads.RELEASE.boxes(one, image_box, lambda: np.array([[1.0, 2, 5, 6, 0.9]]))
    np.testing.assert_allclose(box, [1, 2, 5, 6])


def test_other_files_are_one_line(tmp_path):
    folder = tmp_path / "multi_view_data/Jazz"
    folder.mkdir(parents=True)
    (folder / "Jazz_Jazz1_C2.avi").touch()
    with pytest.raises(ValueError, match=r"no .*Jazz_Jazz1_GT.mat; unpack MADS_multiview.zip anew"):
        mads.units(tmp_path)
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = np.zeros((15, 3)), np.zeros((16, 3))
    path = folder / "Jazz_Jazz1_GT.mat"
    scipy.io.savemat(path, {"GTpose2": cells})
    with pytest.raises(ValueError, match="a pose of 16 joints, not 15 or 19"):
        mads.read_joints(path)
    with pytest.raises(ValueError, match="has no KK"):
        mads.read_camera(path)
