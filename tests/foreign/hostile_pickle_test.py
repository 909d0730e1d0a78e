"""Pickles that would run code, or fill the memory, do neither; honest ones of every protocol read.

That each program does run under `pickle.loads` is asserted too, so that a test cannot pass because
its program is broken.
"""

import argparse
import collections
import datetime
import os
import pathlib
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
import torch_bytes
from torch_bytes import Call

from acae_jax.foreign import pickled, pickled_arrays, torch_file


def programs(marker):
    """Objects whose pickles create the file `marker` when they are unpickled."""
    code = f"open({str(marker)!r}, 'w').close()"
    yield "os.system", Call(os.system, f"touch {marker}")
    yield "eval", Call(eval, code)
    yield "exec", Call(exec, code)
    yield "getattr", Call(Call(getattr, Call(__import__, "os"), "system"), f"touch {marker}")
    yield "map", Call(list, Call(map, eval, [code]))
    yield "key", {Call(eval, code): 1}
    yield "state", Call(collections.OrderedDict, state=Call(eval, code))
    yield "argument", Call(collections.OrderedDict, Call(eval, f"{code} or []"))


NAMES = [name for name, _ in programs("")]


@pytest.fixture
def hostile(tmp_path):
    """The function from a program's name to its object, and the file that it would create."""
    marker = tmp_path / "it_ran"
    return lambda name: dict(programs(marker))[name], marker


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("name", NAMES)
def test_programs_do_not_run(hostile, name, protocol):
    program, marker = hostile
    data = pickle.dumps([1, {"deep": (program(name),)}, "after"], protocol=protocol)
    content = pickled.read(data, {**torch_file._MAKERS, **pickled_arrays.MAKERS})
    assert not marker.exists()
    (value,) = content[1]["deep"]
    # A dict whose one key is made by code is empty, and torch's own dicts may have notes.
    assert isinstance(value, pickled.Opaque) or (name in ("key", "state") and value == {})
    assert content[2] == "after"
    pickle.loads(data)
    assert marker.exists()


@pytest.mark.parametrize("key", ["state_dict", "model"])
@pytest.mark.parametrize("name", NAMES)
def test_programs_beside_weights_do_not_run_and_are_left_out(hostile, name, key, tmp_path):
    program, marker = hostile
    path = tmp_path / "weights.pth"
    weights = {"a": np.ones(2, np.float32)}
    torch_bytes.save(path, {"args": program(name), key: weights, "more": [program(name)]})
    assert list(torch_file.read(path)) == ["a"]
    assert not marker.exists()


@pytest.mark.parametrize("name", ["os.system", "eval", "getattr", "argument"])
def test_programs_among_weights_do_not_run_and_are_refused(hostile, name, tmp_path):
    program, marker = hostile
    path = tmp_path / "weights.pth"
    weights = {"a": np.ones(2, np.float32), "b": program(name)}
    torch_bytes.save(path, {"state_dict": weights})
    with pytest.raises(ValueError, match=r"weights\.pth: 'b' is not a plain tensor .*no code of"):
        torch_file.read(path)
    torch_bytes.save(path, program(name))
    with pytest.raises(ValueError, match=r"makes, perhaps a whole model, and no code of a file"):
        torch_file.read(path)
    assert not marker.exists()


def test_operations_of_old_protocols_do_not_run(tmp_path):
    marker = tmp_path / "ran"
    command = f"touch {marker}".encode()
    for data in (
        b"(S'" + command + b"'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'" + command + b"'\no.",  # OBJ
    ):
        value = pickled.read(data, torch_file._MAKERS)
        assert isinstance(value, pickled.Opaque) and value.call == "os.system"
        assert not marker.exists()
        pickle.loads(data)
        assert marker.exists()
        marker.unlink()


class Settings:
    """A class as a script has its own."""

    def __init__(self, **values):
        self.__dict__.update(values)


class Ordered(collections.OrderedDict):
    """A dict with code of its own."""


@pytest.mark.parametrize("protocol", range(6))
def test_objects_of_every_kind_are_placeholders(protocol):
    content = {
        "namespace": argparse.Namespace(lr=0.1, nested=Settings(a=1)),
        "best": np.float64(71.3),
        "now": datetime.datetime(2026, 11, 27),
        "path": pathlib.PurePosixPath("/a/b"),
        "set": {1, 2},
        "frozen": frozenset("ab"),
        "counter": collections.Counter("aab"),
        "queue": collections.deque([1, 2]),
        "default": collections.defaultdict(list, {"a": [1]}),
        "ordered": Ordered(a=1),
        "complex": 1j,
    }
    read = pickled.read(pickle.dumps({**content, "last": [1.5]}, protocol=protocol), {})
    for name in content:
        assert isinstance(read[name], pickled.Opaque), name
        with pytest.raises(ValueError, match="which is code and not data: nothing was run"):
            raise read[name].refusal()
    assert read["last"] == [1.5]
    assert read["default"].items == {"a": [1]} and read["ordered"].items == {"a": 1}


def test_keys_that_are_neither_text_nor_small_numbers_are_left_out():
    content = {"a": 1, (1, 2): 3, 0.5: 4, None: 5, 2**40: 6, 7: 8}
    assert pickled.read(pickle.dumps(content), {}) == {"a": 1, 7: 8}
    tuples = b"}" + b")" + b"2\x86" * 60 + b"Ns."
    for key in (
        b")" + b"\x85" * 2000,
        b"\x8a\x09" + bytes(8) + b"\x01",
        b")" + b"q\x00h\x00\x86" * 9,
    ):
        assert pickled.read(b"}" + key + b"Ns.", {}) == {}
    with pytest.raises(ValueError, match="uses DUP"):
        pickled.read(tuples, {})


def test_extensions_and_odd_calls_are_refused():
    for data in (b"\x80\x02\x82\x01.", b"P1\n.", b"K\x01)\x81.", b"K\x01)R.", b"cos\nsystem\nNR."):
        with pytest.raises(ValueError, match=r"which weights do not need|it calls something"):
            pickled.read(data, torch_file._MAKERS)


def test_the_reader_cannot_be_changed_from_within():
    """Unpickler's BUILD sets attributes of whatever a permitted name gives."""
    before = torch_file._tensor.__defaults__
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n"
    data = b"\x80\x02" + tensor + b"N}X\x0c\x00\x00\x00__defaults__(I1\nts\x86b."
    with pytest.raises(ValueError, match="sets attributes of an object"):
        pickled.read(data, torch_file._MAKERS)
    assert torch_file._tensor.__defaults__ == before


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("storage",),
        ("x", 0, (), ()),
        (None, "a", None, None),
        ([], [], [], [], [], []),
    ],
)
def test_permitted_names_with_wild_arguments(arguments, tmp_path):
    path = tmp_path / "weights.pth"
    call = Call(torch_bytes.stand_in("torch._utils._rebuild_tensor_v2"), *arguments)
    torch_bytes.save(path, {"a": call})
    with pytest.raises(ValueError, match=r"weights\.pth: "):
        torch_file.read(path)


def test_arrays_with_wild_content():
    shell = b"cnumpy.core.multiarray\n_reconstruct\n(tR"
    for state in (b"N", b"K\x01\x85", b"(I1\n(I9999999999\ntNI0\nU\x01at"):
        value = pickled.read(b"\x80\x02" + shell + state + b"b.", pickled_arrays.MAKERS)
        with pytest.raises(ValueError, match="it holds an array"):
            pickled_arrays.array_of(value)
    for array in (np.zeros(2, "i4,f8"), np.array([{}, None], object)):
        with pytest.raises(ValueError, match="numbers or text"):
            pickled_arrays.array_of(pickled.read(pickle.dumps(array), pickled_arrays.MAKERS))
    loop = b"]\x94h\x00a."  # a list that holds itself
    with pytest.raises(ValueError, match="longer or deeper"):
        pickled_arrays.array_of(pickled.read(loop, {}))


BOMBS = {
    "memo index": b"]r\xff\xff\xff\x7f0.",
    "length beyond the end": b"B" + struct.pack("<I", 2**31) + b"abc.",
    "length of eight bytes": b"\x8e" + struct.pack("<Q", 2**60) + b"abc.",
    "number of a million digits": b"I" + b"9" * 10**6 + b"\n.",
    "tuples as keys": b"}" + b")" + b"2\x86" * 60 + b"Ns.",
    "too large": b"]" + b"N0" * (pickled.LIMIT_BYTES // 2) + b".",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_without_their_memory(name):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            pickled.read(BOMBS[name], torch_file._MAKERS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 << 20


def test_every_truncation_is_an_error():
    content = {"a": np.arange(4), "b": [1.5, "text", (None, True, 2**70)], "c": {"d": []}}
    for protocol in range(6):
        data = pickle.dumps(content, protocol=protocol)
        for size in range(len(data)):
            with pytest.raises(ValueError):
                pickled.read(data[:size], pickled_arrays.MAKERS)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_reads_in_every_protocol(protocol):
    shared = ["x", "y"]
    content = {
        "numbers": [0, -3, 255, 2**16, 2**40, -(2**80), 1.5, True, False, None],
        "texts": ("", "a\nb", "ü", "x" * 300),
        "containers": [[], (), {}, (1, 2), (1, 2, 3), (1, 2, 3, 4), [[{}]], shared, shared],
        5: {"nested": {"deep": [1]}},
    }
    found = pickled.read(pickle.dumps(content, protocol=protocol), pickled_arrays.MAKERS)
    assert found == content
    assert found["containers"][-1] is found["containers"][-2]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12, dtype=np.int32).reshape(3, 4)[:, ::2],
        np.array(["lhip", "ü"]),
        np.arange(3, dtype=">i4"),
        np.array([[True]]),
        np.zeros((0, 2), np.int64),
    ],
)
def test_arrays_read_in_every_protocol(array, protocol):
    def again(content):
        data = pickle.dumps(content, protocol=protocol)
        return pickled_arrays.array_of(pickled.read(data, pickled_arrays.MAKERS))

    found = again(array)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    if array.size:
        np.testing.assert_array_equal(again(array.tolist()), array)
        np.testing.assert_array_equal(again(list(array)), array)
    if array.ndim == 2 and array.size:
        np.testing.assert_array_equal(again([tuple(row) for row in array]), array)
