"""Berkeley MHAD: a tiny official release comes back as it was made."""

import json
import shutil
from pathlib import Path

import cv2
import ezc3d
import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.official import bmhad
from acae_jax.geometry import boxes, cameras

COUNT = 5  # images of a clip; a third as many as frames of motion capture
FIRST = 1  # frame of motion capture of the first image
LENS = (-0.3, 0.12, 0.0006, -0.0008)
# Two cameras of a cluster, the first of which is its origin, and a Kinect.
RING: dict[str, cameras.Camera] = dict(
    zip(("l03_c01", "l03_c02", "k02"), miniature.ring(3, up="y", lens=LENS), strict=True)
)
MARKERS_MM = miniature.people_mm(43, 3 * COUNT, up="y")[:, 0]
MARKERS_MM[4:7, 7] = np.nan  # of the image that belongs to frame 4
CLIPS = ("S04/A08/R01", "S04/A08/R03")  # as text, as C3D
BACK = 2  # in the first clip, the image whose pose is that of the first image


def frame_of(clip: str, index: int) -> int:
    return FIRST + 3 * (0 if (clip, index) == (CLIPS[0], BACK) else index)


def extrinsics(camera: cameras.Camera) -> tuple[np.ndarray, np.ndarray]:
    return camera.rotation, -camera.rotation @ camera.position_mm


def pose_in_cluster(name: str) -> np.ndarray:
    """The camera's translation and turn with respect to the first one of its cluster."""
    (own_turn, own_mm), (turn, first_mm) = extrinsics(RING[name]), extrinsics(RING["l03_c01"])
    if not name.startswith("l03"):
        return np.zeros(6)
    relative = own_turn @ turn.T
    return np.concatenate([own_mm - relative @ first_mm, cv2.Rodrigues(relative)[0][:, 0]])


def write_calibration(folder, cluster, names):
    folder.mkdir(exist_ok=True)
    turn, place_mm = extrinsics(RING[names[0]])
    text = "Rw=" + " ".join(map(repr, turn.ravel().tolist()))
    text += "\nTw=" + " ".join(map(repr, place_mm.tolist())) + "\n"
    (folder / f"RwTw_{cluster}.txt").write_text(text)
    file = cv2.FileStorage(str(folder / f"camcfg_{cluster}.yml"), cv2.FILE_STORAGE_WRITE)
    for number, name in enumerate(names, start=1):
        file.startWriteStruct(f"Camera_{number}", cv2.FileNode_MAP)
        file.write("K", RING[name].intrinsics)
        file.write("Dist", np.array(LENS)[:, None])
        file.write("PosRel", pose_in_cluster(name)[:, None])
        file.endWriteStruct()
    file.release()


def write_markers(folder, clip):
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"moc_{clip.lower().replace('/', '_')}"
    if clip == CLIPS[0]:
        rows = np.nan_to_num(MARKERS_MM).reshape(len(MARKERS_MM), -1)
        times = np.arange(len(rows))
        np.savetxt(folder / f"{stem}.txt", np.column_stack([rows, times, 1e9 + times / 480]))
        return
    x, y, z = MARKERS_MM.T  # (marker, frame) each
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [480]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["parameters"]["POINT"]["LABELS"]["value"] = [f"m{i}" for i in range(43)]
    points = np.ones((4, *x.shape))
    points[:3] = np.nan_to_num([-x, z, y])
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(np.isnan(x), -1.0, 0.0)[None]
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, *x.shape), bool)
    file.write(str(folder / f"{stem}.c3d"))


def picture(name: str, clip: str, index: int) -> np.ndarray:
    """The mark is at the first marker, which is never missing."""
    return miniature.picture(
        RING[name], [np.nan_to_num(MARKERS_MM[frame_of(clip, index)], nan=900)]
    )


def write_images(raw, name, clip):
    files = clip.lower().replace("/", "_")
    pairs = [[index, 1e9 + index / 22, frame_of(clip, index)] for index in range(COUNT)]
    if name == "k02":
        folder, table = raw / "Kinect/Kin02", raw / f"Kinect/Correspondences/corr_moc_kin02_{files}"
    else:
        folder = raw / f"Camera/Cluster03/Cam{name[-2:]}"
        table = raw / f"Camera/Correspondences/corr_moc_img_{files}"
    table.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(table.with_suffix(".txt"), pairs)
    for index in range(COUNT):
        image = picture(name, clip, index)
        if name == "k02":
            path = folder / clip / f"kin_k02_{files}_color_{index:05d}.ppm"
            miniature.write_image(path, image)
            continue
        pattern = image[..., 1].copy()  # green, red / blue, green
        pattern[0::2, 1::2] = image[0::2, 1::2, 0]
        pattern[1::2, 0::2] = image[1::2, 0::2, 2]
        path = folder / clip / f"img_{name}_{files}_{index:05d}.pgm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P5\n320 240\n255\n" + pattern.tobytes())


def write_release(raw: Path) -> None:
    write_calibration(raw / "Calibration", "l03", ("l03_c01", "l03_c02"))
    write_calibration(raw / "Calibration", "k02", ("k02",))
    for clip in CLIPS:
        write_markers(raw / "Mocap/OpticalData", clip)
        for name in RING:
            write_images(raw, name, clip)


def test_markers_and_cameras_come_back_of_new_poses(raw):
    found = miniature.frames(bmhad, raw)
    assert list(found) == [f"{name}/S04/A08" for name in RING]
    for name, frames in found.items():
        assert [(frame.clip, frame.index) for frame in frames] == [
            (clip, i) for clip in CLIPS for i in range(COUNT) if (clip, i) != (CLIPS[0], BACK)
        ]
        for frame in frames:
            (person,) = frame.people
            expected_mm = MARKERS_MM[frame_of(frame.clip, frame.index)]
            miniature.assert_joints(person.joints_mm, expected_mm)
            assert person.id == "S04" and frame.camera is not None
            truth = RING[name.split("/")[0]]
            miniature.assert_same_camera(frame.camera, truth, expected_mm)
            expected = picture(frame.camera_name, frame.clip, frame.index).astype(int)
            error = np.abs(miniature.image_of(frame) - expected).max(axis=-1)
            assert (error < 5).mean() > 0.8  # edges are blurred


def test_records_have_the_boxes_of_the_markers(raw, tmp_path):
    other = tmp_path / "raw"
    shutil.copytree(raw, other)
    (other / f"Camera/Cluster03/Cam02/{CLIPS[0]}/img_l03_c02_s04_a08_r01_00001.pgm").unlink()
    train = miniature.build(bmhad, other, tmp_path)["train"]
    assert len(train) == 3 * 9 - 1
    for record in train:
        assert record.format == "bmhad" and len(record.mask_rle)
        miniature.assert_marked(record)
        own = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        around = boxes.expand(boxes.of_points(cameras.project(own, record.joints_mm)), 1.05)
        assert boxes.iou(record.box, around) > 0.95
        assert (own.rotation @ [0, 1, 0])[1] < -0.9  # upright
    report = json.loads((tmp_path / "bmhad/1.0.0/report.json").read_text())
    assert report["total"]["left_out"] == {"broken": 1}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Mocap/OpticalData/moc_s04_a08_r03.c3d", r"no .*moc_s04_a08_r03.txt or .c3d"),
        (
            "Kinect/Correspondences/corr_moc_kin02_s04_a08_r01.txt",
            r"no .*kin02_s04_a08_r01.txt, but",
        ),
    ],
)
def test_a_missing_file_is_one_line(raw, tmp_path, path, message):
    other = tmp_path / "raw"
    shutil.copytree(raw, other)
    (other / path).unlink()
    with pytest.raises(ValueError, match=message):
        building.plan(bmhad, other, tmp_path / "out")


def test_another_calibration_is_one_line(raw, tmp_path):
    other = tmp_path / "raw"
    shutil.copytree(raw, other)
    (other / "Calibration/RwTw_k02.txt").write_text("Rw=1 0 0\nTw=1 2 3\n")
    with pytest.raises(ValueError, match=r"RwTw_k02.txt does not have the 9 numbers of Rw"):
        building.plan(bmhad, other, tmp_path / "out")
    shutil.copy(raw / "Calibration/camcfg_k02.yml", other / "Calibration/camcfg_l03.yml")
    with pytest.raises(ValueError, match=r"camcfg_l03.yml has 1 cameras; l03_c02 is missing"):
        bmhad.read_camera(other, "l03_c02")
