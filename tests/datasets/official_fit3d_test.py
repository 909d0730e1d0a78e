"""Fit3D: a tiny official release, of the older and the newer form, comes back as it was made."""

import shutil
from pathlib import Path

import imar_release
import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.official import chi3d, fit3d, humansc3d
from acae_jax.datasets.readers import imar
from acae_jax.datasets.steps.person_boxes import Seen

PEOPLE_MM = {"squat": imar_release.people_mm(1), "w raise": imar_release.people_mm(1, "walk")}
RATES = {"squat": 1, "w raise": 4}


def write_release(raw: Path) -> None:
    for action, joints_mm in PEOPLE_MM.items():
        imar_release.write(raw, "s03", action, joints_mm, rate=RATES[action])
    hidden = raw / "test/s02/videos/squat.mp4"  # test videos have no joints
    hidden.parent.mkdir(parents=True)
    hidden.touch()


def test_people_and_cameras_come_back(raw):
    found = miniature.frames(fit3d, raw)
    assert set(found) == {f"s03/{a}.{c}" for a in PEOPLE_MM for c in imar_release.CAMERAS}
    for name, frames in found.items():
        action, camera = name.removeprefix("s03/").split(".")
        truth_mm = PEOPLE_MM[action][0]
        assert [frame.index for frame in frames] == [0, 1, 2, 3, 4, 6, 7]  # 5 repeats 1
        for frame in frames:
            (person,) = frame.people
            assert person.id == "s03" and person.is_kept and frame.camera_name == camera
            miniature.assert_joints(person.joints_mm, truth_mm[frame.index])
            imar_release.assert_camera(frame.camera, camera, truth_mm[frame.index])
            assert frame.up == (0, 0, 1)


def test_records_show_the_person_where_the_labels_are(raw, tmp_path):
    train = miniature.build(fit3d, raw, tmp_path)["train"]
    assert {record.clip for record in train} == {"s03/squat", "s03/w raise"}
    for record in train:
        assert record.format == "fit3d" and len(record.mask_rle)
        miniature.assert_marked(record)
        assert np.all(record.box[2:] > 50)


def test_a_sequence_without_its_joints_is_one_line(raw, tmp_path):
    shutil.copytree(raw / "train", tmp_path / "train")
    (tmp_path / "train/s03/joints3d_25/squat.json").unlink()
    with pytest.raises(ValueError, match=r"joints3d_25/squat.json is missing; unpack all"):
        building.plan(fit3d, tmp_path, tmp_path / "out")


def test_joints_of_another_rate_are_one_line(raw):
    path = raw / "train/s03/joints3d_25/squat.json"
    for count in (0, 3, 20):
        with pytest.raises(ValueError, match=f"has 8 poses for a video of {count} frames"):
            imar.read_joints(path, count)


def test_a_box_is_that_of_a_detection_that_fits():
    person = Seen(np.array([[100.0, 100], [200, 200]]))
    image_box = np.array([-0.5, -0.5, 320, 240])
    for release in (fit3d.RELEASE, chi3d.RELEASE, humansc3d.RELEASE):
        # The joints' box × 1.2 has sides of 120; IoUs of 0.51 and 0.49.
        for side, fits in ((0.51**0.5 * 120, True), (0.49**0.5 * 120, False)):
            detection = np.array([[90, 90, side, side, 0.9]])
            (box,) = release.boxes([person], image_box, lambda: detection)  # noqa: B023
            assert (box is not None) == fits
        assert release.boxes([person], image_box, lambda: np.zeros((0, 5))) == [None]
