"""MATLAB's files of both versions give the same plain data, whose values come back."""

import struct
import sys
import zlib

import mat_73
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from acae_jax.datasets.readers import mat

POSES = np.random.default_rng(0).normal(size=(5, 84)) * 1000
CONTENT = {
    "poses": POSES,
    "single": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bytes": np.arange(4, dtype=np.uint8).reshape(1, 4),
    "whole": np.array([[3.0]]),
    "valid": np.array([[True, False, True]]),
    "name": "S1 Seq2",
    "blank": "",
    "none": np.zeros((0, 3)),
    "move": {"marker": POSES[:, :6], "of": {"subject": "Ann", "age": np.array([[31.0]])}},
    "people": ({"id": np.array([[7.0]]), "who": "a"}, {"id": np.array([[8.0]]), "who": "bc"}),
    "annot": [POSES, POSES[:1], "last"],
    "table": ([np.array([[1.0]]), "x"], [np.array([[2.0]]), "y"], [np.array([[3.0]]), "z"]),
}


def save_5(path, content, compress):
    scipy.io.savemat(path, {k: in_scipy(v) for k, v in content.items()}, do_compression=compress)


def in_scipy(value):
    if isinstance(value, dict):
        return {name: in_scipy(one) for name, one in value.items()}
    if isinstance(value, tuple) and isinstance(value[0], dict):
        result = np.empty((1, len(value)), [(name, object) for name in value[0]])
        for column, one in enumerate(value):
            result[0, column] = tuple(one.values())
        return result
    if isinstance(value, list | tuple):
        rows = [value] if isinstance(value, list) else value
        result = np.empty((len(rows), len(rows[0])), object)
        for place in np.ndindex(result.shape):
            result[place] = rows[place[0]][place[1]]
        return result
    return value


@pytest.fixture(params=["5", "5 compressed", "7.3"])
def path(request, tmp_path):
    path = tmp_path / "a.mat"
    if request.param == "7.3":
        mat_73.save(path, CONTENT)
    else:
        save_5(path, CONTENT, "compressed" in request.param)
    return path


def same(value, expected):
    if isinstance(expected, np.ndarray):
        assert value.dtype == expected.dtype
        np.testing.assert_array_equal(value, expected)
    elif isinstance(expected, dict):
        assert list(value) == sorted(expected) or list(value) == list(expected)
        for name, one in expected.items():
            same(value[name], one)
    elif isinstance(expected, list | tuple):
        assert isinstance(value, list) and len(value) == len(expected)
        for one, other in zip(value, expected, strict=True):
            same(one, other)
    else:
        assert value == expected


def test_all_kinds_come_back(path):
    content = mat.read(path)
    assert set(content) == set(CONTENT)
    for name, expected in CONTENT.items():
        same(content[name], expected)


def test_cells_come_one_by_one(path):
    same(list(mat.cells(path, "annot")), CONTENT["annot"])
    assert mat.cell_count(path, "annot") == len(CONTENT["annot"])
    with pytest.raises(ValueError, match="has no variable 'anot'; did you mean 'annot'"):
        list(mat.cells(path, "anot"))


def test_what_expands_too_far_is_refused(path):
    with pytest.raises(ValueError, match=r"a\.mat .* more than allowed \(3000 bytes\)"):
        mat.read(path, limit_bytes=3000)


def test_damaged_files_are_one_line(path):
    data = path.read_bytes()
    for length in (140, len(data) // 2, len(data) - 9):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"a\.mat is no readable \.mat file: [^\n]*$"):
            mat.read(path)


def test_columns_of_cells_are_lists_and_one_struct_is_listed(tmp_path):
    path = tmp_path / "a.mat"
    column = np.empty((3, 1), object)
    column[:, 0] = [np.array([[number]]) for number in (1.0, 2.0, 3.0)]
    scipy.io.savemat(path, {"column": column, "one": {"a": "b"}, "empty": np.empty((0, 0), object)})
    content = mat.read(path)
    assert [value.item() for value in content["column"]] == [1, 2, 3]
    assert mat.listed(content["one"]) == [{"a": "b"}]
    assert mat.listed(content["empty"]) == [] == mat.listed(np.zeros((0, 0)))
    assert mat.listed([1, 2]) == [1, 2]


def test_sparse_matrices_are_full(tmp_path):
    matrix = np.array([[0, 2.0, 0], [1.0, 0, 3.0]])
    scipy.io.savemat(tmp_path / "5.mat", {"s": scipy.sparse.csc_matrix(matrix)})
    np.testing.assert_array_equal(mat.read(tmp_path / "5.mat")["s"], matrix)
    mat_73.save(tmp_path / "7.mat", {"s": {"jc": np.array([[0, 1, 2, 3]])}})
    with mat_73.h5py.File(tmp_path / "7.mat", "r+") as file:
        file["s"].attrs["MATLAB_sparse"] = np.uint64(2)
        file["s"].attrs["MATLAB_class"] = np.bytes_("double")
        file["s"]["ir"] = np.array([1, 0, 1], np.uint64)
        file["s"]["data"] = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(mat.read(tmp_path / "7.mat")["s"], matrix)


def test_a_small_compressed_file_that_claims_much_is_refused_unread(tmp_path):
    path = tmp_path / "a.mat"
    body = zlib.compress(struct.pack("<II", 14, 1 << 31) + bytes(1000))
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(body)))
    with path.open("ab") as file:
        file.write(body)
    with pytest.raises(ValueError, match="expands to 2147483648 bytes"):
        mat.read(path, limit_bytes=1 << 30)


def test_cells_that_contain_themselves_are_refused(tmp_path):
    path = tmp_path / "a.mat"
    mat_73.save(path, {"loop": ["inner"]})
    with mat_73.h5py.File(path, "r+") as file:
        file["loop"][0, 0] = file["loop"].ref
    with pytest.raises(ValueError, match="nested more than 32 deep"):
        mat.read(path)


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    mat_73.save(tmp_path / "a.mat", {"a": np.ones((2, 2))})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"needs h5py: pip install -e '\.\[datasets\]'"):
        mat.read(tmp_path / "a.mat")
    with pytest.raises(FileNotFoundError, match="none"):
        mat.read(tmp_path / "none.mat")
