"""UMPM: a tiny official release comes back as it was made."""

import functools
import lzma
from pathlib import Path

import cv2
import ezc3d
import miniature
import numpy as np
import pytest

from acae_jax.datasets.official import umpm
from acae_jax.geometry import cameras

COUNT = 7
CAMERAS = dict(zip("fslr", miniature.ring(4, lens=(-0.12, 0.05, 0.002, -0.001)), strict=True))
SEQUENCES = {"p1_grab_3": 1, "p2_free_1": 2}
NECK, HEAD = 1, 2


@functools.cache
def people(sequence: str) -> np.ndarray:
    """What is labelled, by frame and person: stiff bodies that turn about the upright axis."""
    (still_mm,) = miniature.people_mm(15, 1, people=SEQUENCES[sequence])
    angles = np.radians(40 * np.arange(COUNT))
    ones, zeros = np.ones(COUNT), np.zeros(COUNT)
    turns = np.array([
        [np.cos(angles), -np.sin(angles), zeros],
        [np.sin(angles), np.cos(angles), zeros],
        [zeros, zeros, ones],
    ])  # fmt: skip
    middle_mm = still_mm.mean(axis=1, keepdims=True) * np.array([1, 1, 0])
    found = np.einsum("xyf,pjy->fpjx", turns, still_mm - middle_mm) + middle_mm
    found[2, 0] = found[1, 0] + [400, 0, 0]  # moved as a whole, which is no new pose
    found[3, 0] = found[0, 0] + 20 * np.sin(np.arange(45)).reshape(15, 3)  # an old pose
    return found


def write_points(path: Path, sequence: str) -> None:
    """At twice the rate of the videos; frame 4 lacks the first person's last joint."""
    labels_mm = people(sequence).copy()
    # An implausible bone.
    labels_mm[5, 0, HEAD] += 2 * (labels_mm[5, 0, HEAD] - labels_mm[5, 0, NECK])
    points = np.ones((4, 15 * SEQUENCES[sequence], 2 * COUNT))
    flat = labels_mm.reshape(COUNT, -1, 3)
    points[:3, :, ::2] = flat.transpose(2, 1, 0)
    points[:3, :, 1::2] = flat.transpose(2, 1, 0) + 77  # between frames
    residuals = np.zeros((1, *points.shape[1:]))
    points[:3, 14, 8] = 0
    residuals[0, 14, 8] = -1
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["RATE"]["value"] = [100.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = [f"p{i}" for i in range(points.shape[1])]
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = residuals
    path.parent.mkdir(parents=True, exist_ok=True)
    file.write(str(path))


def write_release(raw: Path) -> None:
    for name, camera in CAMERAS.items():
        turn = cv2.Rodrigues(camera.rotation)[0].ravel()
        rows = [
            *camera.intrinsics,
            camera.distortion[:4],
            turn,
            -camera.rotation @ camera.position_mm,
        ]
        path = raw / f"Calib/calib_l06_{name}.ini"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(" ".join(f"{x:.9f}" for x in row) + " \n" for row in rows))
    for sequence, names in (("p1_grab_3", "fslr"), ("p2_free_1", "r")):
        folder = raw / sequence
        write_points(folder / f"Groundtruth/{sequence}_vm.c3d", sequence)
        (folder / f"{sequence}.json").write_text(
            f'{{\n "id" : "{sequence}",\n "persons": 4,,\n "calib" : "calib_l06",\n}}\n'
        )
        for name in names:
            images = [miniature.picture(CAMERAS[name], shown) for shown in people(sequence)]
            miniature.write_video(folder / f"Video/{sequence}_{name}.avi", images)
    packed = raw / "p2_free_1/Video/p2_free_1_r.avi"
    packed.with_suffix(".avi.xz").write_bytes(lzma.compress(packed.read_bytes(), preset=0))
    packed.unlink()


def test_units_are_the_videos(raw):
    expected = {("p2_free_1/r", "train"), *((f"p1_grab_3/{name}", "train") for name in "fslr")}
    assert {tuple(unit) for unit in umpm.units(raw)} == expected


def test_joints_and_cameras_come_back(raw):
    for name, frames in miniature.frames(umpm, raw).items():
        sequence, camera_name = name.split("/")
        is_alone = SEQUENCES[sequence] == 1
        # Frames 2 and 3 of the first person have known poses; the second person is new in all.
        assert [f.index for f in frames] == [
            i for i in range(COUNT) if not is_alone or i not in (2, 3)
        ]
        for frame in frames:
            miniature.assert_same_camera(frame.camera, CAMERAS[camera_name], people(sequence))
            assert len(frame.people) == SEQUENCES[sequence] and frame.up == (0, 0, 1)
            assert frame.people[0].is_kept == (frame.index not in (2, 3))
            expected_mm = people(sequence)[frame.index].copy()
            if frame.index == 4:
                expected_mm[0, 14] = np.nan
            if frame.index == 5:
                expected_mm[0, [HEAD, NECK]] = np.nan
            for person, mm in zip(frame.people, expected_mm, strict=True):
                miniature.assert_joints(person.joints_mm, mm)


def test_records_show_the_people_where_the_labels_are(raw, tmp_path):
    train = miniature.build(umpm, raw, tmp_path)["train"]
    assert len(train) > 20
    for record in train:
        truth_mm = people(record.clip)[record.frame, int(record.person)].astype(np.float32)
        marks_px = [
            cameras.project(CAMERAS[record.camera], p[:1])[0]
            for p in people(record.clip)[record.frame]
        ]
        if len(marks_px) == 1 or np.linalg.norm(marks_px[0] - marks_px[1]) > 20:
            miniature.assert_marked(record._replace(joints_mm=truth_mm))


def test_damaged_files_cost_their_video_and_missing_ones_are_one_line(raw, tmp_path):
    (tmp_path / "Calib").symlink_to(raw / "Calib")
    for part in ("Groundtruth/p2_free_1_vm.c3d", "Video/p2_free_1_r.avi.xz"):
        path = tmp_path / "p2_free_1" / part
        path.parent.mkdir(parents=True)
        path.write_bytes((raw / "p2_free_1" / part).read_bytes())
    with pytest.raises(ValueError, match=r"no .*p2_free_1.json; unpack p2_free_1.zip anew"):
        umpm.units(tmp_path)
    settings = tmp_path / "p2_free_1/p2_free_1.json"
    settings.write_text("{")
    (unit,) = umpm.units(tmp_path)
    with pytest.raises(ValueError, match="names no calibration; add a line"):
        next(umpm.frames(tmp_path, unit))
    settings.write_text('{"calib": "calib_l99"}')
    with pytest.raises(ValueError, match=r"no Calib/calib_l99_r.ini"):
        next(umpm.frames(tmp_path, unit))
    settings.write_text('{"calib": "calib_l06"}')
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"r.avi.xz is damaged"):
        next(umpm.frames(tmp_path, unit))
