"""JRDB-Pose: a tiny official release comes back as it was made."""

import json
import shutil
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.frames_to_records import moved_px
from acae_jax.datasets.official import jrdb
from acae_jax.geometry import cameras

SIZE = (480, 360)
LENS = (-0.33, 0.16, 0.0013, -0.0007, -0.046)
FOCAL_PX = (300.0, 304.0)
COUNT = 5  # labels; there are two more images
IMAGES = COUNT + 2
STEP = 2  # the sequence's number of the first label
PEOPLE_MM = miniature.people_mm(17, COUNT, people=2, up="-y")
RUNNING, STANDING = 4, 31  # tracks
SEQUENCE = "bytes-cafe-2019-02-07_0"


def matrix(sensor: int) -> np.ndarray:
    return np.array([[FOCAL_PX[0] + sensor, 0, 251.0], [0, FOCAL_PX[1], 172.0 - sensor], [0, 0, 1]])


def in_camera_mm(index: int, track: int) -> np.ndarray:
    """Somebody runs; somebody stands to the side, whose hand moves in frame 2."""
    if track == RUNNING:
        return PEOPLE_MM[index, 0] + np.array([400 * (index % 2), 800, 3300])
    points_mm = PEOPLE_MM[0, 1] + np.array([600, 800, 3300])
    points_mm[9, 1] -= 60.0 * (index == 1)
    points_mm[9, 1] -= 260.0 * (index > 1)
    return points_mm


def seen_px(sensor: int, points_mm: np.ndarray) -> np.ndarray:
    """By OpenCV, in a camera that looks ahead; y is down."""
    seen, _ = cv2.projectPoints(points_mm, np.zeros(3), np.zeros(3), matrix(sensor), np.array(LENS))
    return seen[:, 0]


def truth_px(sensor: int, index: int, track: int) -> np.ndarray:
    return seen_px(sensor, in_camera_mm(index, track))


def as_text(values: np.ndarray) -> str:
    return "\n".join(" ".join(repr(float(v)) for v in row) for row in np.atleast_2d(values))


def annotation(sensor: int, index: int, track: int) -> dict:
    flags = np.where(np.arange(17) % 3, 2, 1)  # visible and hidden
    flags[15] = 0
    if track == STANDING and index == 4:
        flags[15] = 1
    labels = truth_px(sensor, index, track) * (flags > 0)[:, None]
    return {
        "image_id": index + 1,
        "track_id": track,
        "is_crowd": 0,
        "keypoints": np.column_stack([labels, flags]).ravel().tolist(),
    }


def picture(sensor: int, number: int) -> np.ndarray:
    """The image with this number: it shows what is labelled for the second one before it."""
    camera = cameras.create(matrix(sensor), distortion=np.array(LENS))
    index = min(max(number - 2, 0), COUNT - 1)
    return miniature.picture(camera, [in_camera_mm(index, t) for t in (RUNNING, STANDING)], SIZE)


def write_release(raw: Path) -> None:
    folder = raw / "train_dataset"
    sensors = {}
    for sensor, name in enumerate(("image_0", "image_2", "image_4", "image_6", "image_8")):
        sensors[f"sensor_{sensor}"] = {
            "width": SIZE[0], "height": SIZE[1], "D": as_text(np.array(LENS)),
            "K": as_text(matrix(sensor)), "R": as_text(np.eye(3)), "T": "0 0 0",
        }  # fmt: skip
        if sensor not in (0, 3):
            continue
        images = []
        for number in range(IMAGES):
            path = f"{name}/{SEQUENCE}/{number:06d}.jpg"
            miniature.write_image(folder / "images" / path, picture(sensor, number))
            if number < COUNT:
                images.append({"id": number + 1, "file_name": path})
        tracks = (RUNNING, STANDING)
        content = {
            "categories": [{"name": "person", "keypoints": list(jrdb.JOINTS)}],
            "images": images,
            "annotations": [annotation(sensor, i, t) for i in range(COUNT) for t in tracks],
        }
        path = folder / f"labels/labels_2d_pose_coco/{SEQUENCE}_{name.replace('_', '')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        stitched = folder / f"labels/labels_2d_pose_stitched_coco/{SEQUENCE}.json"
        stitched.parent.mkdir(parents=True, exist_ok=True)
        stitched.write_text("{}")
    text = "stitching:\n  radius: 3360000\ncameras:\n"
    for name, sensor in sensors.items():
        text += f"  {name}:\n" + "".join(f"    {k}: {json.dumps(v)}\n" for k, v in sensor.items())
    (folder / "calibration").mkdir()
    (folder / "calibration/cameras.yaml").write_text(text)


def test_labels_and_cameras_come_back_of_those_who_have_moved(raw):
    found = miniature.frames(jrdb, raw)
    assert list(found) == [f"{SEQUENCE}/image_0", f"{SEQUENCE}/image_6"]
    for (unit, frames), sensor in zip(found.items(), (0, 3), strict=True):
        assert [frame.index for frame in frames] == [2, 3, 4, 5, 6]
        for frame in frames:
            index = frame.index - 2
            assert unit == f"{frame.clip}/{frame.camera_name}" and frame.camera is not None
            points_mm = in_camera_mm(index, RUNNING)
            found_px = cameras.project(frame.camera, points_mm)
            np.testing.assert_allclose(found_px, seen_px(sensor, points_mm), atol=0.001)
            running, standing = frame.people
            assert (running.id, standing.id) == (str(RUNNING), str(STANDING))
            assert running.is_kept and standing.is_kept == (index in (0, 2, 4))
            for person, track in ((running, RUNNING), (standing, STANDING)):
                expected_px = truth_px(sensor, index, track)
                if not (track == STANDING and index == 4):
                    expected_px[15] = np.nan
                assert person.joints_px is not None
                np.testing.assert_allclose(person.joints_px, expected_px, atol=1e-9)


def test_records_are_upright_crops_without_the_lens(raw, tmp_path):
    train = miniature.build(jrdb, raw, tmp_path)["train"]
    assert len(train) == 2 * (5 + 3)
    for record in train:
        assert record.format == "jrdb_2d" and not len(record.joints_mm)
        miniature.assert_marked_2d(record)
        index, track = record.frame - 2, int(record.person)
        camera = cameras.create(record.intrinsics, record.rotation)
        expected_px = cameras.project(camera, in_camera_mm(index, track))
        is_labelled = np.isfinite(record.joints_px[:, 0])
        assert is_labelled.sum() == (17 if track == STANDING and index == 4 else 16)
        np.testing.assert_allclose(
            record.joints_px[is_labelled], expected_px[is_labelled], atol=0.1
        )
        assert record.rotation[0, 1] == pytest.approx(0, abs=1e-5)  # its x is level


def test_labels_that_no_lens_can_show_are_none():
    camera = cameras.create(matrix(0), distortion=np.array(LENS))
    crop_camera = cameras.undistort(camera)
    seen = seen_px(0, np.array([[0.9, 0.1, 1.0], [-0.2, 0.3, 1.0]]))
    found_px = moved_px(camera, crop_camera, np.vstack([seen, [[-2500.0, 100], [np.nan, 3]]]))
    expected_px = cameras.project(crop_camera, np.array([[0.9, 0.1, 1.0], [-0.2, 0.3, 1.0]]))
    np.testing.assert_allclose(found_px[:2], expected_px, atol=0.01)
    assert np.isnan(found_px[2:]).all()
    away = cameras.turn_towards(
        crop_camera, world_point_mm=np.array([-5.0, 0, -1]), up=np.array([0, -1.0, 0])
    )
    assert np.isnan(moved_px(camera, away, seen)[0]).all()  # it is behind that camera


def test_another_calibration_is_one_line(raw, tmp_path):
    other = tmp_path / "raw"
    shutil.copytree(raw, other)
    path = other / "train_dataset/calibration/cameras.yaml"
    text = path.read_text()
    path.write_text(text.replace("sensor_4", "lidar_4"))
    with pytest.raises(ValueError, match=r"cameras.yaml is no file of JRDB's cameras: invalid"):
        building.plan(jrdb, other, tmp_path / "out")
    path.write_text(text.replace("-0.33 0.16 ", "-0.33 "))
    with pytest.raises(ValueError, match=r"4 numbers where 5 belong"):
        building.plan(jrdb, other, tmp_path / "out")
