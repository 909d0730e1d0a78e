"""Pickles of releases are read as data: the numbers come back, and nothing runs.

The files in pickles/ were written by the pandas in their names, from the table of `COLUMNS`.
"""

import collections
import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import python_2
import scipy.sparse

from acae_jax.datasets.readers import pickled_tables
from acae_jax.foreign import pickled

PICKLES = sorted((Path(__file__).parent / "pickles").glob("pandas_*.pkl"))
JOINTS = np.arange(6.0).reshape(2, 3)
COLUMNS = {
    "imgPath": ["a_0.png", "a_1.png", "a_2.png"],
    "camX": np.array([0.5, 1.5, 2.5]),
    "camY": np.array([3.0, 4.0, 5.0]),
    "count": np.arange(3),
    "kept": np.array([True, False, True]),
    "isValid": [[True], [True, False], []],
    "gt_joints_3d": [[JOINTS], [JOINTS + 1, JOINTS + 2], []],
    "occlusion": [[0.25], [10.0, 20.0], []],
    "more": [{"a": 1}, None, np.float32([1, 2])],
}
RELEASED = {
    "keypoints3d": np.random.default_rng(0).normal(size=(40, 17, 3)),
    "frames": np.arange(5, dtype=">i4"),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "text": "S\xe9ance",
    "gender": np.array(["male", "female"]),
    "scale": np.float32(1.5),
    "poses": [np.zeros((2, 72)), np.ones((3, 72))],
    "camera": {"K": np.eye(3), "size": (1920, 1080), 5: None},
    "ordered": collections.OrderedDict(a=1, b=np.ones(2)),
    "lists": collections.defaultdict(list, a=[1]),
    "objects": np.array([{"a": 1}, [2, 3], np.ones(2)], object),
    "columns": np.asfortranarray(np.array([["a", 1], ["b", None]], object)),
}


def same(value, expected):
    if isinstance(expected, np.ndarray) and expected.dtype == object:
        expected = expected.tolist()
    if isinstance(expected, np.ndarray):
        assert isinstance(value, np.ndarray) and value.dtype == expected.dtype
        np.testing.assert_array_equal(value, expected)
    elif isinstance(expected, dict):
        assert type(value) is dict and list(value) == list(expected)
        for key, one in expected.items():
            same(value[key], one)
    elif isinstance(expected, list | tuple):
        assert type(value) is type(expected) and len(value) == len(expected)
        for one, other in zip(value, expected, strict=True):
            same(one, other)
    else:
        assert value == expected


def read(tmp_path, data):
    (tmp_path / "a.pkl").write_bytes(data)
    return pickled_tables.read(tmp_path / "a.pkl")


@pytest.mark.parametrize("protocol", range(6))
def test_dicts_of_arrays_come_back(tmp_path, protocol):
    same(read(tmp_path, pickle.dumps(RELEASED, protocol)), RELEASED)


@pytest.mark.parametrize("protocol", [0, 2])
def test_those_of_python_2_come_back(tmp_path, protocol):
    content = {key: value for key, value in RELEASED.items() if key != "gender"}
    same(read(tmp_path, python_2.dumps(content, protocol)), content)


@pytest.mark.parametrize("path", PICKLES, ids=lambda path: path.stem)
def test_tables_of_pandas_come_back(path):
    same(pickled_tables.read(path), COLUMNS)


@pytest.mark.parametrize("attribute", ["_data", "_mgr"])
def test_tables_of_pandas_before_1_3_come_back(tmp_path, attribute):
    """They give their blocks as a state of four parts, under one of two names."""

    def objects(*names):
        values = np.empty((len(names), 3), object)
        for row, name in enumerate(names):
            for column in range(3):
                values[row, column] = COLUMNS[name][column]
        return values

    blocks = [
        {"values": np.stack([COLUMNS["camX"], COLUMNS["camY"]]), "mgr_locs": slice(1, 3, 1)},
        {"values": COLUMNS["count"][None], "mgr_locs": slice(3, 4, 1)},
        {"values": COLUMNS["kept"][None], "mgr_locs": slice(4, 5, 1)},
        {
            "values": objects("imgPath", "isValid", "gt_joints_3d", "occlusion", "more"),
            "mgr_locs": np.array([0, 5, 6, 7, 8]),
        },
    ]
    base = "pandas.core.indexes.base."
    names = ("pandas.core.frame.DataFrame", "pandas.core.internals.BlockManager")
    with python_2.foreign_classes(*names, f"{base}Index", f"{base}_new_Index") as classes:
        frame, manager, index, new_index = classes
        labels = {"data": np.array(list(COLUMNS), object), "name": None}
        axes = [index(reduced=(new_index, (index, labels))), None]
        manager.__getstate__ = lambda self: (axes, [], [], {"0.14.1": self.newest})
        table = frame(**{attribute: manager(newest={"axes": axes, "blocks": blocks})})
        data = pickle.dumps(table, 4)
    same(read(tmp_path, data), COLUMNS)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("kind", ["csc", "csr", "coo"])
def test_sparse_matrices_come_back_with_their_zeros(tmp_path, kind, protocol):
    matrix = np.array([[0, 2.0, 0, 0], [1.5, 0, 3, 0], [0, 0, 0, 0]])
    new = getattr(scipy.sparse, f"{kind}_matrix")(matrix)
    with python_2.foreign_classes(f"scipy.sparse.{kind}.{kind}_matrix") as (made,):
        old = made(**new.__dict__)
        data = pickle.dumps({"new": new, "old": old}, protocol)
    same(read(tmp_path, data), {"new": matrix, "old": matrix})


@pytest.mark.parametrize("protocol", [0, 2])
def test_arrays_of_chumpy_come_back(tmp_path, protocol):
    values = np.random.default_rng(0).normal(size=(6, 3, 10))
    chosen = np.arange(values.size).reshape(values.shape)[..., :4].ravel()
    names = ("ch.Ch", "reordering.Select", "reordering.Reshape", "ch.MatVecMult")
    with python_2.foreign_classes(*(f"chumpy.{name}" for name in names)) as classes:
        ch, select, reshape, product = classes
        hidden = {"_dirty_vars": {"x"}, "_itr": None}
        whole = ch(x=values, **hidden)
        content = {
            "whole": whole,
            "some": select(a=whole, idxs=chosen, preferred_shape=(6, 3, 4)),
            "flat": reshape(a=whole, newshape=(-1,)),
            "product": product(mtx=whole),
        }
        data = python_2.dumps(content, protocol)
    result = read(tmp_path, data)
    assert isinstance(result.pop("product"), pickled.Opaque)
    same(result, {"whole": values, "some": values[..., :4], "flat": values.ravel()})


class Call:
    """An object whose pickle calls something."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced[0], tuple(self.reduced[1:])


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_what_code_would_make_is_left_unmade_and_refused_where_it_is_needed(tmp_path, protocol):
    marker = tmp_path / "it_ran"
    call = Call(os.system, f"touch {marker}")
    objects = np.array([call, 1], object)
    content = {"pose": call, "betas": np.ones(10), "deep": [{"a": (call,)}], "objects": objects}
    with python_2.foreign_classes("chumpy.ch.Ch", "scipy.sparse.csc.csc_matrix") as (ch, csc):
        content |= {"chumpy": ch(x=call), "sparse": csc(reduced=(os.system, (f"touch {marker}",)))}
        data = pickle.dumps(content, protocol)
    result = read(tmp_path, data)
    assert not marker.exists()
    np.testing.assert_array_equal(pickled_tables.numbers(result, "betas"), np.ones(10))
    for value in (result["pose"], result["deep"][0]["a"][0], result["objects"][0]):
        assert isinstance(value, pickled.Opaque) and value.call.endswith(".system")
    for name in ("pose", "chumpy", "sparse"):
        with pytest.raises(ValueError, match=rf"'{name}' cannot be read: .*nothing was run"):
            pickled_tables.numbers(result, name)
    pickle.loads(pickle.dumps(call, protocol))
    assert marker.exists()


def test_numbers_that_are_absent_or_something_else_are_refused():
    content = {"pose": [[1, 2], [3]], "name": "a", "betas": [1, 2]}
    assert pickled_tables.numbers(content, "betas").tolist() == [1, 2]
    for name, error in {
        "poses": "lacks 'poses'; did you mean 'pose'",
        "name": "other than",
    }.items():
        with pytest.raises(ValueError, match=error):
            pickled_tables.numbers(content, name)
    with pytest.raises(ValueError, match="'pose' holds something other than numbers"):
        pickled_tables.numbers(content, "pose")
    with pytest.raises(ValueError, match="lacks 'a'"):
        pickled_tables.numbers([1], "a")


def loop():
    result = []
    result.append(result)
    return result


def deep():
    result = 1
    for _ in range(200):
        result = [result]
    return result


def sparse(**changed):
    state = {"_shape": (3, 4), "indptr": np.zeros(5, int), "indices": np.zeros(0, int)}
    with python_2.foreign_classes("scipy.sparse.csc.csc_matrix") as (made,):
        return pickle.dumps(made(**{"data": np.zeros(0), **state, **changed}), 2)


HOSTILE = {
    "itself": pickle.dumps(loop()),
    "deep": pickle.dumps(deep()),
    "shape": sparse(_shape=(1 << 14, 1 << 14)),
    "counts": sparse(indptr=np.array([0, 1 << 40])),
    "places": sparse(indptr=np.array([0, 1]), indices=np.array([-1])),
    "outside": sparse(indptr=np.array([0, 1]), indices=np.array([3]), data=np.ones(1)),
    "nothing": b"",
    "no pickle": b"hello",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_one_line(tmp_path, name):
    with pytest.raises(ValueError, match=r"a\.pkl is [^\n]*$"):
        read(tmp_path, HOSTILE[name])


@pytest.mark.parametrize("path", PICKLES, ids=lambda path: path.stem)
def test_cut_or_changed_tables_are_one_line_or_read(tmp_path, path):
    data = path.read_bytes()
    random = np.random.default_rng(0)
    for size in random.integers(1, len(data), 30).tolist():
        with pytest.raises(ValueError, match=r"a\.pkl is no readable pickle: [^\n]*$"):
            read(tmp_path, data[:size])
        changed = bytearray(data)
        changed[size] = int(random.integers(256))
        try:
            read(tmp_path, bytes(changed))
        except ValueError as error:
            assert "\n" not in str(error)


def test_a_list_that_occurs_often_is_converted_once(tmp_path):
    content = [1]
    for _ in range(60):
        content = [content, content]  # 2⁶⁰ items to who follows every reference
    result = read(tmp_path, pickle.dumps(content))
    assert result[0] is result[1]


def test_arrays_of_a_large_file_stay_in_the_file(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"verts": np.ones((20, 6890, 3)), "a": np.arange(3)}, 4))
    tracemalloc.start()
    result = pickled_tables.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000
    assert result["verts"].sum() == 20 * 6890 * 3
    with pytest.raises(ValueError, match="at most 1000 are read"):
        pickled_tables.read(path, limit_bytes=1000)
