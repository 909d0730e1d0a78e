"""ASPset-510: a tiny official release comes back as it was made."""

import functools
import json
from pathlib import Path

import ezc3d
import miniature
import numpy as np
import pytest

from acae_jax.datasets.official import aspset
from acae_jax.geometry import cameras

COUNT = 8
VIEWS = ("left", "mid", "right")
CAMERAS = dict(zip(VIEWS, miniature.ring(3, up="-y", lens=(0,) * 5), strict=True))
CLIPS = {  # subject, clip → split, cameras
    ("04ac", "0026"): ("train", "all"),
    ("1e28", "0001"): ("val", "all"),
    ("08a7", "0003"): ("test", "mid"),
}
SAMPLE = Path(__file__).parent / "aspset/04ac-0026-right.json"  # CC0 1.0, its source is in it


@functools.cache
def people(clip: str) -> np.ndarray:
    joints_mm = miniature.people_mm(17, COUNT, up="-y")[:, 0] + 100 * int(clip[-1])
    joints_mm[3] = joints_mm[2] + 40  # hardly moved
    return joints_mm


def write_points(path: Path, joints_mm: np.ndarray) -> None:
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["RATE"]["value"] = [50.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = [f"joint{number}" for number in range(17)]
    file["data"]["points"] = np.concatenate([joints_mm, np.ones((COUNT, 17, 1))], axis=-1).T
    path.parent.mkdir(parents=True)
    file.write(str(path))


def edges(camera: cameras.Camera, joints_mm: np.ndarray) -> np.ndarray:
    """The release's boxes: left, top, right, bottom."""
    seen_px = cameras.project(camera, joints_mm)
    return np.concatenate([seen_px.min(axis=0) - 2, seen_px.max(axis=0) + 3])


def write_release(raw: Path) -> None:
    rows = ["subject_id,clip_id,split,camera_id"]
    for (subject, clip), (split, listed) in CLIPS.items():
        rows.append(f"{subject},{clip},{split},{listed}")
        folder, joints_mm = raw / "data" / ("test" if split == "test" else "trainval"), people(clip)
        write_points(folder / f"joints_3d/{subject}/{subject}-{clip}.c3d", joints_mm)
        for name in ("boxes", "cameras"):
            (folder / name / subject).mkdir(parents=True)
        for view in VIEWS if listed == "all" else (listed,):
            camera = CAMERAS[view]
            placed = np.eye(4)
            placed[:3, :3] = camera.rotation
            placed[:3, 3] = camera.rotation @ -camera.position_mm
            content = {
                "extrinsic_matrix": placed.tolist(),
                "intrinsic_matrix": np.c_[camera.intrinsics, np.zeros(3)].tolist(),
            }
            path = folder / f"cameras/{subject}/{subject}-{view}.json"
            path.write_text(json.dumps(content))
            lines = ["left,top,right,bottom"]
            lines += [",".join(f"{edge:.3f}" for edge in edges(camera, mm)) for mm in joints_mm]
            path = folder / f"boxes/{subject}/{subject}-{clip}-{view}.csv"
            path.write_text("\n".join(lines) + "\n")
            images = [miniature.picture(camera, [mm]) for mm in joints_mm]
            path = folder / f"videos/{subject}/{subject}-{clip}-{view}.mkv"
            miniature.write_video(path, images)
    (raw / "data/splits.csv").write_text("\n".join(rows) + "\n")


def test_units_are_the_videos_of_the_listed_clips(raw):
    expected = {
        (f"{'test' if split == 'test' else 'trainval'}/{subject}/{clip}-{view}",
         "test" if split == "test" else "train")
        for (subject, clip), (split, listed) in CLIPS.items()
        for view in (VIEWS if listed == "all" else (listed,))
    }  # fmt: skip
    assert {tuple(unit) for unit in aspset.units(raw)} == expected


def test_joints_cameras_and_boxes_come_back(raw):
    for name, frames in miniature.frames(aspset, raw).items():
        clip, view = name.split("/")[2].split("-")
        is_test = name.startswith("test/")
        assert [f.index for f in frames] == [i for i in range(COUNT) if is_test or i != 3]
        for frame in frames:
            (person,) = frame.people
            expected_mm = people(clip)[frame.index]
            miniature.assert_joints(person.joints_mm, expected_mm)
            miniature.assert_same_camera(frame.camera, CAMERAS[view], expected_mm)
            left, top, right, bottom = edges(CAMERAS[view], expected_mm)
            expected_box = [left, top, right - left, bottom - top]
            np.testing.assert_allclose(person.box, expected_box, atol=0.01)
            assert frame.up == (0, -1, 0) and frame.camera_name == view


def test_records_show_the_person_where_the_labels_are(raw, tmp_path):
    splits = miniature.build(aspset, raw, tmp_path)
    assert len(splits["train"]) == 42 and len(splits["test"]) == 8
    for record in [*splits["train"], *splits["test"]]:
        miniature.assert_marked(record)
        camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        extent = np.ptp(cameras.project(camera, record.joints_mm), axis=0)
        assert (record.box[2:] > 1.1 * extent).all() and (record.box[2:] < 1.4 * extent).all()


def test_a_real_camera_sees_real_joints_where_they_are():
    content = json.loads(SAMPLE.read_text())
    camera = aspset.read_camera(SAMPLE)
    seen_px = cameras.project(camera, np.array(content["joints_3d_mm"]))
    np.testing.assert_allclose(seen_px, content["joints_2d_px"], rtol=0, atol=0.01)


def test_missing_files_are_one_line(raw, tmp_path):
    (tmp_path / "data").symlink_to(raw / "data")
    assert aspset.units(tmp_path) == aspset.units(raw)
    (tmp_path / "data").unlink()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/splits.csv").write_text("04ac,0027,train,all\n1e28,0009,test,left\n")
    with pytest.raises(ValueError, match=r"no .*04ac-0027-left.mkv; unpack all archives of"):
        aspset.units(tmp_path)
    (tmp_path / "data/splits.csv").write_text("1e28,0009,test,left\n")
    assert aspset.units(tmp_path) == ()  # labels of the test set came years later
    (tmp_path / "data/splits.csv").write_text("<html>\n")
    with pytest.raises(ValueError, match=r"splits.csv lists no clip; get it anew"):
        aspset.units(tmp_path)
