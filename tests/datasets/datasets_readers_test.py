"""CDF, C3D and OpenCV's files, written by their own libraries: the numbers come back."""

import sys

import cdflib
import cdflib.cdfwrite
import cv2
import ezc3d
import numpy as np
import pytest

from acae_jax.datasets.readers import c3d_points, cdf, opencv_file

RANDOM = np.random.default_rng(0)
POSES = RANDOM.normal(size=(1, 5, 96)) * 1000
FLOATS = 45  # CDF's number of the type


@pytest.fixture
def cdf_path(tmp_path):
    path = tmp_path / "Walking.cdf"
    file = cdflib.cdfwrite.CDF(path)
    spec = {"Variable": "Pose", "Data_Type": FLOATS, "Num_Elements": 1, "Rec_Vary": True}
    file.write_var({**spec, "Dim_Sizes": [5, 96], "Compress": 6}, var_data=POSES)
    file.close()
    return path


def test_a_variable_of_a_cdf_comes_back(cdf_path):
    np.testing.assert_array_equal(cdf.variable(cdf_path, "Pose"), POSES)
    with pytest.raises(ValueError, match="no variable 'pose'; did you mean 'Pose'"):
        cdf.variable(cdf_path, "pose")
    with pytest.raises(FileNotFoundError):
        cdf.variable(cdf_path.with_name("none.cdf"), "Pose")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_damaged_cdf_is_one_line(cdf_path, share):
    data = cdf_path.read_bytes()
    cdf_path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"Walking\.cdf is no readable CDF: [^\n]*$"):
        cdf.variable(cdf_path, "Pose")


def save_points(path, names, positions, unit="mm", rate_hz=50.0):
    """Write points with ezc3d alone; NaN where missing, by a negative residual."""
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [rate_hz]
    file["parameters"]["POINT"]["UNITS"]["value"] = [unit]
    file["parameters"]["POINT"]["LABELS"]["value"] = names
    points = np.ones((4, len(names), len(positions)))
    points[:3] = np.nan_to_num(positions).T
    file["data"]["points"] = points
    missing = np.isnan(positions[..., 0]).T
    file["data"]["meta_points"]["residuals"] = np.where(missing, -1.0, 0.0)[None]
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, *missing.shape), bool)
    file.write(str(path))


def test_points_of_a_c3d_come_back(tmp_path):
    names = [f"p{number}" for number in range(300)]  # more than LABELS holds
    positions = RANDOM.normal(size=(4, 300, 3)) * 1000
    positions[1, 2] = np.nan
    positions[2, 3] = 0
    positions[3, 4, 0] = 0
    save_points(tmp_path / "a.c3d", names, positions, "cm", 120.0)
    points = c3d_points.read(tmp_path / "a.c3d")
    positions[2, 3] = np.nan
    np.testing.assert_allclose(points.positions, positions, atol=1e-4)
    assert points.names == tuple(names)
    assert (points.unit, points.rate_hz) == ("cm", 120.0)


def test_a_damaged_c3d_is_one_line(tmp_path):
    path = tmp_path / "a.c3d"
    save_points(path, ["a", "b"], np.ones((3, 2, 3)))
    data = path.read_bytes()
    for length in (0, 100, 600):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"a\.c3d is no readable C3D: [^\n]*$"):
            c3d_points.read(path)
    with pytest.raises(FileNotFoundError):
        c3d_points.read(tmp_path / "none.c3d")


@pytest.mark.parametrize("suffix", [".yml", ".xml", ".json"])
def test_what_opencv_wrote_comes_back(tmp_path, suffix):
    path = tmp_path / f"camcfg{suffix}"
    intrinsics, row = RANDOM.normal(size=(3, 3)), np.float32([[1.5, 2.5]])
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    file.write("K", intrinsics)
    file.startWriteStruct("Camera_1", cv2.FILE_NODE_MAP)
    file.write("Dist", row)
    file.write("name", "left")
    file.write("number", 3)
    file.write("fps", 22.5)
    file.endWriteStruct()
    file.startWriteStruct("list", cv2.FILE_NODE_SEQ)
    file.write("", 1)
    file.write("", "b")
    file.endWriteStruct()
    file.release()
    content = opencv_file.read(path)
    np.testing.assert_array_equal(content["K"], intrinsics)
    camera = content["Camera_1"]
    np.testing.assert_array_equal(camera.pop("Dist"), row)
    assert camera == {"name": "left", "number": 3, "fps": 22.5}
    assert content["list"] == [1, "b"]


def test_yaml_as_releases_have_it_is_read(tmp_path):
    path = tmp_path / "a.yml"
    matrix = "K: !!opencv-matrix\n   rows: 1\n   cols: 2\n   dt: d\n   data: [ 1., 2.5 ]\n"
    for head in ("%YAML:1.0\n", "%YAML:1.0\n---\n", "%YAML 1.2\n---\n"):
        path.write_text(head + matrix)
        np.testing.assert_array_equal(opencv_file.read(path)["K"], [[1, 2.5]])


def test_yaml_tags_run_nothing(tmp_path):
    path, marker = tmp_path / "a.yml", tmp_path / "ran"
    call = f"K: !!python/object/apply:os.system ['touch {marker}']\n"
    path.write_text(f"%YAML:1.0\n---\n{call}")
    assert opencv_file.read(path) == {"K": [f"touch {marker}"]}
    assert not marker.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing of the kind",
        "<?xml version='1.0'?><opencv_storage><a>",
        "%YAML:1.0\nK: !!opencv-matrix\n  rows: 300000\n  cols: 300000\n  dt: d\n  data: [1.]\n",
        "%YAML:1.0\na: " + "[" * 60 + "]" * 60 + "\n",
    ],
)
def test_a_damaged_file_of_opencv_is_one_line(tmp_path, text):
    (tmp_path / "a.yml").write_text(text)
    with pytest.raises(ValueError, match=r"a\.yml is no readable file of OpenCV's [^\n]*$"):
        opencv_file.read(tmp_path / "a.yml")


@pytest.mark.parametrize(
    "name, read",
    [("cdflib", lambda p: cdf.variable(p, "Pose")), ("ezc3d", c3d_points.read)],
)
def test_without_a_library_the_extra_is_named(tmp_path, monkeypatch, name, read):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"need {name}: pip install -e '\.\[datasets\]'"):
        read(tmp_path / "a")
