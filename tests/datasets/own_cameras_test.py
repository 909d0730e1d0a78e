"""Cameras of one's own come back from every form of file."""

import json

import cv2
import miniature
import numpy as np
import own_folder
import pytest
from own_folder import CAMERAS, truth_mm

from acae_jax.datasets.own import camera_files


def assert_read(paths, names=("left", "right"), unit=""):
    found = camera_files.read(paths, unit)
    assert tuple(found) == names
    for name, camera in zip(names, CAMERAS.values(), strict=False):
        miniature.assert_same_camera(found[name].camera, camera, truth_mm())
        assert found[name].size_px == miniature.SIZE
    return found


def test_json_of_several_cameras_or_one(tmp_path):
    content = {name: own_folder.camera_json(camera) for name, camera in CAMERAS.items()}
    (tmp_path / "all.json").write_text(json.dumps(content))
    assert_read([tmp_path / "all.json"])
    for name, one in content.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(one))
    assert_read([tmp_path / "left.json", tmp_path / "right.json"])


@pytest.mark.parametrize("suffix", [".yml", ".xml"])
def test_opencvs_files(tmp_path, suffix):
    """As OpenCV's calibration program names them, with R and T in m beside them."""
    for number, (name, camera) in enumerate(CAMERAS.items()):
        storage = cv2.FileStorage(str(tmp_path / f"{name}{suffix}"), cv2.FILE_STORAGE_WRITE)
        storage.write("image_width", 320)
        storage.write("image_height", 240)
        storage.write("camera_matrix", camera.intrinsics)
        storage.write("distortion_coefficients", camera.distortion[:5, None])
        rotation = camera.rotation if number else cv2.Rodrigues(camera.rotation)[0]
        storage.write("R", rotation)
        storage.write("T", -camera.rotation @ camera.position_mm[:, None] / 1000)
        storage.write("avg_reprojection_error", 0.2)
        storage.release()
    assert_read([tmp_path / f"left{suffix}", tmp_path / f"right{suffix}"], unit="m")


def test_colmaps_model(tmp_path):
    """Two lenses of its models; pixels have their centres at halves there."""
    lines = ["# Camera list", "#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    placed = ["# Image list with two lines of data per image:"]
    models = {"left": ("OPENCV", 4), "right": ("FULL_OPENCV", 8)}
    for number, (name, (model, count)) in enumerate(models.items(), 1):
        k = CAMERAS[name].intrinsics
        focal, centre = [k[0, 0], k[1, 1]], [k[0, 2] + 0.5, k[1, 2] + 0.5]
        # The fifth of OpenCV's coefficients is the third of the radius.
        values = [*focal, *centre, *CAMERAS[name].distortion[:count].tolist()]
        lines.append(f"{number} {model} 320 240 " + " ".join(f"{value:.9f}" for value in values))
        w, x, y, z = quaternion(CAMERAS[name].rotation)
        shift = -CAMERAS[name].rotation @ CAMERAS[name].position_mm / 1000
        pose = " ".join(f"{value:.9f}" for value in (w, x, y, z, *shift))
        placed += [f"{number} {pose} {number} {name}.jpg", "1.5 2.5 -1" if number == 1 else ""]
    (tmp_path / "cameras.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "images.txt").write_text("\n".join(placed) + "\n")
    found = camera_files.read([tmp_path], "m")
    miniature.assert_same_camera(found["right"].camera, CAMERAS["right"], truth_mm())
    without_k3 = np.r_[CAMERAS["left"].distortion[:4], np.zeros(8)]
    expected = CAMERAS["left"]._replace(distortion=without_k3)
    miniature.assert_same_camera(found["left"].camera, expected, truth_mm())
    with pytest.raises(ValueError, match=r"camera 'left': say 'camera_unit' in the description"):
        camera_files.read([tmp_path], "")
    for name, line, message in (
        ("images.txt", "1 0.5 0.5", r"'1 0.5 0.5' is no line of COLMAP's"),
        ("images.txt", "1 1 0 0 0 0 0 0 7 a.jpg", "no camera '7' for image 'a.jpg'"),
        ("cameras.txt", "1 FISHEYE 9 9 1 2", "unknown camera model FISHEYE; it is one of: SIMPLE"),
        ("cameras.txt", "1 PINHOLE 320 240 500", "'1 PINHOLE 320 240 500' is no line of COLMAP's"),
    ):
        (tmp_path / name).write_text(f"{line}\n")
        with pytest.raises(ValueError, match=message):
            camera_files.read([tmp_path], "m")


def quaternion(rotation):
    turn = cv2.Rodrigues(rotation)[0].ravel()
    angle = float(np.linalg.norm(turn))
    return np.cos(angle / 2), *(np.sin(angle / 2) * turn / angle)


def one(**changes):
    content = own_folder.camera_json(CAMERAS["left"])
    return {"left": {k: v for k, v in {**content, **changes}.items() if v is not None}}


IN_M = own_folder.extrinsics(CAMERAS["left"]) * [1, 1, 1, 0.001]
FAULTS = {
    "key": (one(intrinsics=1), "camera 'left' has an unknown key 'intrinsics'; did you mean"),
    "no matrix": (one(intrinsic_matrix=None), "camera 'left' lacks the key 'intrinsic_matrix'"),
    "matrix": (one(intrinsic_matrix=[[1, 2], [3, 4]]), r"camera 'left': intrinsic_matrix is .* px"),
    "lens": (one(distortion_coeffs=[1.0, 2.0]), "has 2 coefficients; give 4, 5, 8 or 12"),
    "transposed": (one(extrinsic_matrix=IN_M.T.tolist()), r"has shape \(4, 3\); give \(3, 4\)"),
    "no rotation": (one(extrinsic_matrix=(2 * IN_M).tolist()), "are no rotation; give an orth"),
    "metres": (one(extrinsic_matrix=IN_M.tolist()), r"4.21 mm beside .* say 'camera_unit: m' in"),
    "size": (one(image_size=[320]), "camera 'left'.image_size must be 2 finite numbers"),
    "list": ([], "must hold one JSON object"),
    "text": ({"left": "right"}, "camera 'left' must be an object with the key 'intrinsic_matrix'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_one_line_with_the_file(tmp_path, name):
    content, message = FAULTS[name]
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as raised:
        camera_files.read([path], "")
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_other_faults(tmp_path):
    path = tmp_path / "cameras.json"
    with pytest.raises(FileNotFoundError, match=r"no camera file at .*cameras.json"):
        camera_files.read([path], "")
    path.write_text(json.dumps(one()))
    (tmp_path / "more.json").write_text(json.dumps(one()))
    with pytest.raises(ValueError, match=r"more.json: camera 'left' is in .*cameras.json too"):
        camera_files.read([path, tmp_path / "more.json"], "")
    in_m = camera_files.read([path], "m")["left"].camera.position_mm
    np.testing.assert_allclose(in_m, 1000 * CAMERAS["left"].position_mm)
    (tmp_path / "cameras.csv").touch()
    with pytest.raises(ValueError, match=r"cameras.csv: it must be .json, OpenCV's"):
        camera_files.read([tmp_path / "cameras.csv"], "")
