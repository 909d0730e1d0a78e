"""BML-MoVi: a tiny official release comes back as it was made."""

import json
import shutil
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest
import scipy.io

from acae_jax.datasets import building
from acae_jax.datasets.official import bml_movi
from acae_jax.geometry import boxes, cameras

COUNT = 6  # frames of a video
LENS = (-0.21, 0.09)
RING: dict[str, cameras.Camera] = dict(
    zip(("PG1", "PG2"), miniature.ring(2, lens=(*LENS, 0, 0)), strict=True)
)
MARKERS_MM = miniature.people_mm(87, 4 * COUNT)[:, 0]  # 120 Hz
MARKERS_MM[..., 0] += np.linspace(-360, 360, 4 * COUNT)[:, None]
MARKERS_MM[8:, 5] = np.nan
MARKERS_MM[12:16] = MARKERS_MM[8:12]  # video frames 2 and 3 show the same pose
NAMES = [f"M{i}" for i in range(67)]
FEW = (60, 11, 45, 0)  # of the markers, that rounds S have beside a foreign one
RATES = {"F": 30.0, "S1": 25.0, "S2": 30.0}
BEHIND = 7  # a marker with one coordinate just below 0
MARKERS_MM[:, BEHIND, 1] = -0.4


def structs(rows: list[dict]) -> np.ndarray:
    array = np.zeros((1, len(rows)), [(name, object) for name in rows[0]])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row.values())
    return array


def texts(values) -> np.ndarray:
    array = np.zeros((1, len(values)), object)
    array[0] = list(values)
    return array


def truth_mm(take: str, index: int) -> np.ndarray:
    """The markers in a frame of a video, most of them NaN in rounds S."""
    time = index * 120 / RATES[take]
    low, share = int(time + 1e-6), time % 1 if take == "S1" else 0.0
    pose_mm = (1 - share) * MARKERS_MM[low] + (share * MARKERS_MM[low + 1] if share else 0)
    if take == "F":
        return pose_mm
    result = np.full((87, 3), np.nan)
    known = [*FEW, 67 + 3] if take == "S1" else list(FEW)
    result[known] = pose_mm[known]
    return result


def write_recordings(raw):
    folder = raw / "F_Subjects_1_45"
    folder.mkdir(parents=True)
    markers = np.nan_to_num(MARKERS_MM)
    virtual_names = texts([f"V{i}" for i in range(20)])
    whole = {
        "markerName": texts(NAMES), "markerLocation": markers[:, :67],
        "virtualMarkerName": virtual_names, "virtualMarkerLocation": markers[:, 67:],
    }  # fmt: skip
    for subject in (1, 12):
        move = np.zeros((1, 1), object)
        move[0, 0] = structs([whole])
        content = {f"Subject_{subject}_F": structs([{"id": subject, "move": move}])}
        scipy.io.savemat(folder / f"F_v3d_Subject_{subject}.mat", content, do_compression=True)
    foreign = markers[:, 30:31] + 50
    first = {
        "markerName": texts(["X", *(NAMES[i] for i in FEW)]),
        "markerLocation": np.concatenate([foreign, markers[:, list(FEW)]], axis=1),
        "virtualMarkerName": texts(["V3"]),
        "virtualMarkerLocation": markers[:, 70:71],
    }
    second = {**first, "virtualMarkerName": texts(["W"])}
    (raw / "S").mkdir()
    content = {"Subject_1_S": structs([{"id": 1, "move": structs([first, second])}])}
    scipy.io.savemat(raw / "S/S_v3d_Subject_1.mat", content)


def write_calibration(folder):
    """MATLAB's: matrices act from the right, and pixels count from 1."""
    folder.mkdir(parents=True)
    for name, camera in RING.items():
        k = camera.intrinsics + np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
        np.savez(folder / f"cameraParams_{name}.npz", IntrinsicMatrix=k.T, RadialDistortion=[LENS])
        np.savez(
            folder / f"Extrinsics_{name}.npz",
            rotationMatrix=camera.rotation.T,
            translationVector=-(camera.rotation @ camera.position_mm)[None],
        )


def picture(camera_name: str, take: str, index: int) -> np.ndarray:
    """The mark is at marker 0, which all rounds have."""
    camera = RING[camera_name]
    pose_mm = MARKERS_MM[round(index * 120 / RATES[take])]
    return miniature.picture(camera, [np.where(np.isnan(pose_mm), pose_mm[0], pose_mm)])


VIDEOS = {
    "F/Subject_1/PG1": "F_PG1_Subject_1_L.avi",
    "F/Subject_12/PG2": "F_PG2_Subject_12_L.avi",
    "S1/Subject_1/PG2": "S1_PG2_Subject_1_L.avi",
    "S2/Subject_1/PG1": "S2_PG1_Subject_1.mp4",
}


def write_release(raw: Path) -> None:
    write_recordings(raw)
    write_calibration(raw / "Calib")
    for unit, name in VIDEOS.items():
        take, _, camera_name = unit.split("/")
        images = [picture(camera_name, take, index) for index in range(COUNT - (take == "S1"))]
        miniature.write_video(raw / "videos" / name, images, RATES[take])
    (raw / "videos/F_CP1_Subject_1.mp4").write_bytes(b"not calibrated")
    (raw / "videos/F_PG1_Subject_1_L.avi.md5").write_text("0")


def test_markers_and_cameras_come_back_of_new_poses(raw):
    found = miniature.frames(bml_movi, raw)
    assert list(found) == list(VIDEOS)
    for unit, frames in found.items():
        take, subject, camera_name = unit.split("/")
        expected = {"F": [0, 1, 2, 4, 5], "S1": [0, 1, 2, 3, 4], "S2": [0, 1, 2, 4, 5]}[take]
        assert [frame.index for frame in frames] == expected
        for frame in frames:
            (person,) = frame.people
            assert (frame.clip, person.id) == (f"{take}/{subject}", subject)
            miniature.assert_joints(person.joints_mm, truth_mm(take, frame.index))
            assert frame.camera is not None
            miniature.assert_same_camera(frame.camera, RING[camera_name], MARKERS_MM)


def opencv_project(camera_name: str, points_mm: np.ndarray) -> np.ndarray:
    """By OpenCV, of the numbers of the calibration."""
    camera = RING[camera_name]
    turn, translation_mm = cv2.Rodrigues(camera.rotation)[0], -camera.rotation @ camera.position_mm
    lens = np.array([*LENS, 0, 0])
    return cv2.projectPoints(points_mm, turn, translation_mm, camera.intrinsics, lens)[0][:, 0]


def test_lenses_are_those_of_opencv(raw):
    for name in RING:
        points_mm = MARKERS_MM[:8].reshape(-1, 3)
        found_px = cameras.project(bml_movi.read_camera(raw, name), points_mm)
        np.testing.assert_allclose(found_px, opencv_project(name, points_mm), atol=0.01)


def test_records_have_the_detectors_boxes(raw, tmp_path):
    other = tmp_path / "raw"
    shutil.copytree(raw, other)
    (other / "F_Subjects_1_45/F_v3d_Subject_12.mat").unlink()
    train = miniature.build(bml_movi, other, tmp_path)["train"]
    assert {r.key.rsplit("/", 2)[0] for r in train} == {
        "bml_movi/F/Subject_1/PG1", "bml_movi/S1/Subject_1/PG2", "bml_movi/S2/Subject_1/PG1",
    }  # fmt: skip
    for record in train:
        assert record.format == "bml_movi" and len(record.mask_rle)
        miniature.assert_marked(record, tolerance_px=1.5 if record.clip[:2] != "S1" else 12)
        own = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        time = round(record.frame * 120 / RATES[record.clip.split("/")[0]])
        seen_px = cameras.project(own, MARKERS_MM[time])
        # Of S1 and S2 the markers alone have a much smaller box.
        assert boxes.iou(record.box, boxes.of_points(seen_px)) > 0.85
        assert (own.rotation @ [0, 0, 1])[1] < -0.9  # upright
    report = json.loads((tmp_path / "bml_movi/1.0.0/report.json").read_text())
    assert report["total"]["left_out"] == {"broken": 1}


def test_another_calibration_is_one_line(raw, tmp_path):
    other = tmp_path / "raw"
    shutil.copytree(raw, other)
    np.savez(other / "Calib/Extrinsics_PG2.npz", rotationMatrix=np.eye(3))
    with pytest.raises(ValueError, match=r"Extrinsics_PG2.npz is no calibration of MoVi: "):
        building.plan(bml_movi, other, tmp_path / "out")
    np.savez(
        other / "Calib/Extrinsics_PG2.npz", rotationMatrix=np.eye(4), translationVector=np.zeros(3)
    )
    with pytest.raises(ValueError, match=r"Extrinsics_PG2.npz has other sizes than"):
        building.plan(bml_movi, other, tmp_path / "out")
