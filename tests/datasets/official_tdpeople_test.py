"""3DPeople: a tiny official release comes back as it was made."""

import json
import shutil
from pathlib import Path

import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.official import tdpeople
from acae_jax.geometry import cameras

COUNT = 3
SIZE = (640, 480)
CAMERAS = {
    f"camera0{n}": camera._replace(
        intrinsics=np.array([[700, 0, 320], [0, 700, 240], [0, 0, 1.0]]), distortion=np.zeros(12)
    )
    for n, camera in enumerate(miniature.ring(2, size=SIZE), start=1)
}
CLIPS = ("man01/01_01_walk", "man01/02_04_jump", "woman17/02_04_jump")
JOINTS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 33, 34, 35, 36, 53]
JOINTS += [57, 58, 59, 60, 61, 62, 63, 64, 65, 66]


def points_mm(clip: str) -> np.ndarray:
    """The 67 points by frame; the last frame is as the one before."""
    found = miniature.people_mm(67, COUNT, motion="run" if "jump" in clip else "walk")[:, 0]
    found[-1] = found[-2]
    return found


def write_frame(raw: Path, clip: str, camera_name: str, number: int, mm: np.ndarray) -> None:
    camera, name = CAMERAS[camera_name], f"{number:04d}"
    image = miniature.picture(camera, [mm], SIZE)
    miniature.write_image(raw / "rgb" / clip / camera_name / "images" / f"{name}.jpg", image)
    clothes = np.full((*SIZE[::-1], 3), 153, np.uint8)
    clothes[:100] = 160  # grey, too
    clothes[miniature.mask(camera, mm, SIZE) > 0] = [153, 153, 20]
    miniature.write_image(
        raw / "segmentation_clothes" / clip / camera_name / f"{name}.png", clothes
    )
    path = raw / "skeleton" / clip / camera_name / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = ((mm - camera.position_mm) @ camera.rotation[2])[:, None]
    np.savetxt(path, np.concatenate([cameras.project(camera, mm), depth, mm / 100], 1), "%.6f")


def write_release(raw: Path) -> None:
    for clip in CLIPS:
        for camera_name in CAMERAS:
            for number, mm in enumerate(points_mm(clip), start=1):
                write_frame(raw, clip, camera_name, number, mm)
    (raw / "skeleton" / CLIPS[0] / "camera01/0000.txt").write_text("a frame without an image")
    (raw / "skeleton" / CLIPS[0] / "camera02/0001.txt").write_text("1 2 3 4 5\n")


def test_people_and_cameras_come_back(raw):
    found = miniature.frames(tdpeople, raw)
    assert list(found) == ["man01", "woman17"]
    names = []
    for frame in (frame for frames in found.values() for frame in frames):
        names.append((frame.clip, frame.camera_name, frame.index))
        if names[-1] == (CLIPS[0], "camera02", 1):
            with pytest.raises(ValueError, match="has 1 x 5 numbers"):
                miniature.image_of(frame)
            continue
        mm = points_mm(frame.clip)[frame.index - 1]
        assert frame.camera is not None and frame.up == (0, 0, 1)
        miniature.assert_same_camera(frame.camera, CAMERAS[frame.camera_name], mm)
        for part, expected in zip(frame.camera, CAMERAS[frame.camera_name], strict=True):
            np.testing.assert_allclose(part, expected, rtol=1e-4, atol=1e-3)
        (person,) = frame.people
        miniature.assert_joints(person.joints_mm, mm[JOINTS])
        rows, columns = np.nonzero(miniature.mask(CAMERAS[frame.camera_name], mm, SIZE))
        expected = [columns.min() - 0.5, rows.min() - 0.5, np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert person.box is not None
        np.testing.assert_allclose(person.box, expected)
    # The third is as the second.
    assert names == [(clip, name, n) for clip in CLIPS for name in CAMERAS for n in (1, 2)]


def test_records_show_the_person_where_the_labels_are(raw, tmp_path):
    train = miniature.build(tdpeople, raw, tmp_path)["train"]
    assert len(train) == 11
    for record in train:
        miniature.assert_marked(record)
        assert len(record.mask_rle)
    report = json.loads(next(tmp_path.glob("tdpeople/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 1}
    assert report["total"]["worst_reprojection_px"] < 0.01


def test_a_subject_without_skeletons_is_one_line(raw, tmp_path):
    shutil.copytree(raw, tmp_path / "raw")
    shutil.rmtree(tmp_path / "raw/skeleton/woman17")
    with pytest.raises(ValueError, match=r"no .*skeleton/woman17; unpack all of woman17, or"):
        building.plan(tdpeople, tmp_path / "raw", tmp_path / "out")
