"""TRC and C3D files, read back with trc-data-reader, c3d and ezc3d, and as OpenSim counts tabs."""

import os
import sys

import c3d as c3d_reader
import ezc3d
import moving
import numpy as np
import pytest
import trc as trc_reader

from acae_jax.motion import c3d, trc

Z_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # of (x, y, z) with y down: x, z, -y


def gappy(frames=7):
    """A moving skeleton with a joint that is missing now and then, and one that always is."""
    shape, positions = moving.swinging("h36m_17", frames)
    positions[2, 4] = np.nan
    positions[3, -1, 2] = np.nan  # one coordinate is enough; the last joint of the row
    positions[:, 6] = np.nan
    return shape.joint_names, positions


def read_c3d(path):
    """Labels and (frames, points, 5) as the package c3d reads them, and its reader."""
    with path.open("rb") as file, pytest.warns(UserWarning, match="No analog data"):
        reader = c3d_reader.Reader(file)
        points = np.array([points.copy() for _, points, _ in reader.read_frames()])
    labels, part = [], "LABELS"
    while (group := reader.get(f"POINT:{part}")) is not None:
        labels += [label.strip() for label in group.string_array]
        part = f"LABELS{int(part[6:] or 1) + 1}"
    return labels, points, reader


# --------------------------------------------------------------------------------------------- TRC


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1), ("m", 0.001)])
def test_another_reader_gets_markers_and_times_back(tmp_path, unit, scale):
    shape, positions = moving.swinging("mh_default", 12)
    path = tmp_path / "person.trc"
    trc.write(path, shape.joint_names, positions, 29.97, first_frame=90, unit=unit)
    data = trc_reader.TRCData()
    data.load(str(path))
    assert data["Markers"] == list(shape.joint_names) and data["Units"] == unit
    assert (data["NumFrames"], data["NumMarkers"], data["OrigDataStartFrame"]) == (12, 42, 91)
    assert data["DataRate"] == data["CameraRate"] == data["OrigDataRate"] == 29.97
    assert data["Frame#"] == list(range(91, 103))
    np.testing.assert_allclose(data["Time"], (90 + np.arange(12)) / 29.97, atol=1e-6)
    again = np.array([data[name] for name in shape.joint_names]).swapaxes(0, 1)
    np.testing.assert_allclose(again / scale * moving.FROM_Y_UP, positions, atol=1e-3)


def test_a_missing_marker_is_three_empty_fields_as_opensim_counts_them(tmp_path):
    # No package reads TRC with gaps rightly: the one above splits lines at any white space. So this
    # follows opensim-core's FileAdapter: a field ends at its tab, and a row has 2 + 3 n fields.
    names, positions = gappy()
    trc.write(tmp_path / "a.trc", names, positions, 50.0)
    lines = (tmp_path / "a.trc").read_text().split("\n")
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\ta.trc"
    labels = lines[3].removesuffix("\t").split("\t")
    assert labels[:2] == ["Frame#", "Time"] and labels[2::3] == list(names)
    assert len(labels) == 2 + 3 * len(names)
    assert lines[4].split("\t")[2:8] == ["X1", "Y1", "Z1", "X2", "Y2", "Z2"]
    assert lines[5] == "" and lines[-1] == ""
    rows = [line.removesuffix("\t").split("\t") for line in lines[6:-1]]
    assert {len(row) for row in rows} == {2 + 3 * len(names)}
    fields = np.array([[float(field or "nan") for field in row] for row in rows])
    again = fields[:, 2:].reshape(positions.shape) * moving.FROM_Y_UP
    expected = np.where(np.isnan(positions).any(-1, keepdims=True), np.nan, positions)
    np.testing.assert_allclose(again, expected, atol=1e-3)
    assert rows[3][-3:] == ["", "", ""]


def test_axes_may_be_left_alone_and_names_lose_white_space(tmp_path):
    positions = np.arange(12.0).reshape(2, 2, 3)
    positions[1, 1, 2] = np.nan
    trc.write(tmp_path / "a.trc", ["left knee", "b"], positions, 30.0, up=None)
    lines = (tmp_path / "a.trc").read_text().splitlines()
    assert lines[3].split("\t")[2::3] == ["left_knee", "b", ""]
    assert lines[6] == "1\t0.000000\t0.000\t1.000\t2.000\t3.000\t4.000\t5.000\t"
    assert lines[7] == "2\t0.033333\t6.000\t7.000\t8.000\t\t\t\t"


def test_an_unknown_unit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unit is 'inch'; TRC files are in mm or m"):
        trc.write(tmp_path / "a.trc", ["a"], np.zeros((1, 1, 3)), 30.0, unit="inch")


# --------------------------------------------------------------------------------------------- C3D


def test_two_other_readers_get_points_labels_and_residuals_back(tmp_path):
    names, positions = gappy()
    path = tmp_path / "person.c3d"
    c3d.write(path, names, positions, 29.97, first_frame=90)
    labels, points, reader = read_c3d(path)
    missing = np.isnan(positions).any(-1)
    assert labels == list(names)
    assert (reader.header.first_frame, reader.header.last_frame) == (91, 97)
    assert reader.point_rate == pytest.approx(29.97)
    assert reader.get("POINT:UNITS").string_value == "mm"
    assert reader.get("POINT:X_SCREEN").string_value == "+X"
    assert reader.get("POINT:Y_SCREEN").string_value == "+Z"
    np.testing.assert_array_equal(points[..., 3] == -1, missing)
    np.testing.assert_array_equal(points[~missing][:, 3], 0)
    np.testing.assert_array_equal(points[missing][:, :3], 0)
    expected = positions @ Z_UP.T
    np.testing.assert_allclose(points[~missing][:, :3], expected[~missing], atol=1e-3)
    again = ezc3d.c3d(str(path))["data"]["points"][:3].T
    np.testing.assert_allclose(again, np.where(missing[..., None], np.nan, expected), atol=1e-3)


def test_more_than_255_points_keep_all_their_labels(tmp_path):
    names = [f"l{i}_{'long' * 20}" for i in range(555)]
    positions = np.random.default_rng(0).normal(size=(2, 555, 3)) * 1000
    c3d.write(tmp_path / "a.c3d", names, positions, 30.0, up=None)
    labels, points, reader = read_c3d(tmp_path / "a.c3d")
    assert labels == names and reader.get("POINT:X_SCREEN") is None
    np.testing.assert_allclose(points[..., :3], positions, atol=1e-3)


def test_the_longest_c3d_is_read_whole(tmp_path):
    positions = np.arange(c3d.LAST_FRAME, dtype=float)[:, None, None] * np.ones(3)
    c3d.write(tmp_path / "a.c3d", ["a"], positions, 30.0, up=None)
    points = ezc3d.c3d(str(tmp_path / "a.c3d"))["data"]["points"]
    np.testing.assert_array_equal(points[0, 0], positions[:, 0, 0])
    with (tmp_path / "a.c3d").open("rb") as file, pytest.warns(UserWarning, match="No analog"):
        reader = c3d_reader.Reader(file)  # finds no frames at all if their numbers overflow
        first = next(reader.read_frames(copy=False))
        assert (reader.last_frame, first[0]) == (c3d.LAST_FRAME, 1)
    with pytest.raises(ValueError, match=r"65535 frames do not fit .* in pieces, or as TRC"):
        c3d.write(tmp_path / "b.c3d", ["a"], np.zeros((65_535, 1, 3)), 30.0)


@pytest.mark.parametrize(
    ("first_frame", "header"), [(0, 1), (65_529, 65_530), (65_530, 1), (72_000, 1), (200_000, 1)]
)
def test_a_late_frame_is_numbered_in_a_parameter(tmp_path, first_frame, header):
    positions = np.arange(15.0).reshape(5, 1, 3)
    c3d.write(tmp_path / "a.c3d", ["a"], positions, 30.0, first_frame=first_frame, up=None)
    again = ezc3d.c3d(str(tmp_path / "a.c3d"))
    np.testing.assert_array_equal(again["data"]["points"][:3].T, positions)
    assert again["header"]["points"]["first_frame"] + 1 == header
    assert again["header"]["points"]["last_frame"] + 1 == header + 4
    with (tmp_path / "a.c3d").open("rb") as file, pytest.warns(UserWarning, match="No analog"):
        reader = c3d_reader.Reader(file)
        # It takes the high word 65535 times, and so reads one frame more from 65536 on.
        points = [points[0, :3].copy() for _, points, _ in reader.read_frames()][:5]
    np.testing.assert_array_equal(points, positions[:, 0])
    limits = [reader.get(f"TRIAL:ACTUAL_{end}_FIELD") for end in ("START", "END")]
    if header == first_frame + 1:
        assert limits == [None, None]
    else:
        numbers = [int(words.uint16_array @ [1, 65_536]) for words in limits]
        assert numbers == [first_frame + 1, first_frame + 5]


def test_frames_before_the_first_are_refused(tmp_path):
    with pytest.raises(ValueError, match="first_frame is -1"):
        c3d.write(tmp_path / "a.c3d", ["a"], np.zeros((1, 1, 3)), 30.0, first_frame=-1)


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("a.C3D", "a", "does not end in .c3d"),
        ("a.c3d", "a" * 128, "at most 127 ASCII letters"),
        ("a.c3d", "膝", "at most 127 ASCII letters"),
    ],
)
def test_what_c3d_cannot_hold_is_one_line(tmp_path, path, name, message):
    with pytest.raises(ValueError, match=message):
        c3d.write(tmp_path / path, [name], np.zeros((1, 1, 3)), 30.0)
    assert not list(tmp_path.iterdir())


def test_without_ezc3d_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[c3d\]'"):
        c3d.write(tmp_path / "a.c3d", ["a"], np.zeros((1, 1, 3)), 30.0)


# -------------------------------------------------------------------------------------------- both


@pytest.mark.parametrize("file_format", [trc, c3d])
def test_the_same_input_gives_the_same_bytes(tmp_path, file_format):
    names, positions = gappy()
    contents = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / f"person.{file_format.__name__.rsplit('.', 1)[1]}"
        file_format.write(path, names, positions, 30.0)
        contents.append(path.read_bytes())
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9"), "take 12:30", "-i", "a%03d", "a\tb\n"])
def test_files_of_any_name_are_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    names, positions = gappy()
    c3d.write(f"{name}.c3d", names, positions, 30.0)
    trc.write(f"{name}.trc", names, positions, 30.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.c3d", f"{name}.trc"]
    assert read_c3d(tmp_path / f"{name}.c3d")[0] == list(names)
    lines = (tmp_path / f"{name}.trc").read_text().split("\n")
    assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"]
    assert len(lines[0].split("\t")) == 4 and lines[1].startswith("DataRate")


@pytest.mark.parametrize("file_format", [trc, c3d])
def test_tilting_the_world_and_saying_so_gives_the_same_heights(tmp_path, file_format):
    _, positions = moving.swinging("h36m_17", 4)
    names = [str(i) for i in range(17)]
    turn = moving.random_rotation(3)
    suffix = file_format.__name__.rsplit(".", 1)[1]
    heights = []
    for tag, world, up in (
        ("a", positions, (0.0, -1.0, 0.0)),
        ("b", positions @ turn.T, tuple((turn @ [0.0, -1.0, 0.0]).tolist())),
    ):
        path = tmp_path / f"{tag}.{suffix}"
        file_format.write(path, names, world, 30.0, up=up)
        if file_format is c3d:
            heights.append(read_c3d(path)[1][..., 2])
        else:
            data = trc_reader.TRCData()
            data.load(str(path))
            heights.append(np.array([data[name] for name in names])[..., 1].T)
    np.testing.assert_allclose(heights[0], -positions[..., 1], atol=2e-3)
    np.testing.assert_allclose(heights[1], heights[0], atol=2e-3)


@pytest.mark.parametrize("file_format", [trc, c3d])
def test_an_empty_person_is_refused(tmp_path, file_format):
    with pytest.raises(ValueError, match="no position at all"):
        path = tmp_path / f"a.{file_format.__name__.rsplit('.', 1)[1]}"
        file_format.write(path, ["a"], np.full((3, 1, 3), np.nan), 30.0)
