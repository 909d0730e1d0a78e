"""Small weight files that would fill the memory, never end or raise errors of Python's own: one
line each, at once.
"""

import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch_bytes

from acae_jax.foreign import pickled, pickled_arrays, torch_file

HUGE = b"\x8a\x0a" + (2**75).to_bytes(10, "little")
LONG = b"\x8b" + struct.pack("<i", 200_000) + b"\x01" * 200_000
FLOAT = b"ctorch\nFloatStorage\n"


def state_dict(kind=FLOAT, key=b"0", count=b"I4\n", offset=b"I0\n", shape=b"I4\n", strides=b"I1\n"):
    """The data.pkl of {"w": a tensor}, every part of it given as operations of the pickle."""
    storage = b"(S'storage'\n" + kind + b"S'" + key + b"'\nS'cpu'\n" + count + b"tQ"
    window = storage + offset + b"(" + shape + b"t(" + strides + b"t\x89N"
    return b"\x80\x02}S'w'\nctorch._utils\n_rebuild_tensor_v2\n(" + window + b"tRs."


def shared(levels):
    """A list of twice a list of twice …: few bytes, but text of 2 to the power of `levels`."""
    level = b"]q%c0](h%ch%ce"
    parts = [level % (n, n, n) for n in range(levels)]
    return b"".join(parts)


def refused(path, message):
    """That the file is refused with one short line, quickly and without memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(ValueError, match=message) as error:
            torch_file.read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(str(error.value).removeprefix(str(path))) < 500 and "\n" not in str(error.value)
    assert time.process_time() - start < 5 and peak < 20 << 20


def test_the_file_that_the_others_change_is_read(tmp_path):
    path = tmp_path / "weights.pth"
    numbers = np.arange(4, dtype=np.float32)
    torch_bytes.write(path, state_dict(), [torch_bytes.Storage(numbers)])
    np.testing.assert_array_equal(torch_file.read(path)["w"], numbers)


@pytest.mark.parametrize(
    "parts, message",
    [
        ({"kind": shared(18)}, "not a storage"),
        ({"kind": b"]" + b"\x85" * 3000}, "not a storage"),
        ({"kind": b"(" * 3000 + b"t" * 3000}, "not a storage"),
        ({"kind": b"ctorch\n" + b"x" * 100_000 + b"\n"}, "not a name"),
        ({"kind": b"S'a'\nS'b\\nc'\n\x93"}, "not a name"),
        (
            {"kind": b"ctorch\nComplexFloatStorage\n"},
            "'w' is not a plain tensor .* torch.ComplexFloatStorage",
        ),
        ({"key": b"x" * 100_000}, "not a storage"),
        ({"key": b"a\\nb"}, "not a storage"),
        ({"count": HUGE}, "not a storage"),
        ({"count": b"\x88"}, "not a storage"),
        ({"count": b"I-4\n"}, "not a storage"),
        ({"shape": b"I0\n" + HUGE, "strides": b"I1\nI1\n"}, "whole numbers"),
        ({"strides": HUGE}, "whole numbers"),
        ({"shape": b"I1\n", "strides": HUGE}, "whole numbers"),
        ({"shape": b"I0\n", "offset": HUGE}, "whole numbers"),
        ({"shape": LONG + b"q\x00" + b"h\x00" * 31, "strides": b"I1\n" * 32}, "whole numbers"),
        ({"shape": b"I1\n" * 33, "strides": b"I1\n" * 33}, "cannot be"),
        ({"offset": b"I" + b"9" * 4000 + b"\n"}, "whole numbers"),
    ],
)
def test_tensors_of_objects_and_numbers_that_torch_does_not_write(tmp_path, parts, message):
    path = tmp_path / "weights.pth"
    numbers = torch_bytes.Storage(np.zeros(4, np.float32))
    torch_bytes.write(path, state_dict(**parts), [numbers])
    refused(path, message)


@pytest.mark.parametrize(
    "data",
    [
        b"I" + b"7" * 100_000 + b"\n.",
        b"S" + b"7" * 100_000 + b"\n.",
        b"F" + b"x" * 100_000 + b"\n.",
        b"g" + b"7" * 4000 + b"\n.",
        b"c" + b"x" * 100_000 + b"\ny\n)R.",
        b"Va\\u000ab\nVc\n\x93)R.",
        b"(" * 10_000 + b".",
    ],
)
def test_damaged_pickles_are_one_short_line(tmp_path, data):
    path = tmp_path / "weights.pth"
    torch_bytes.write(path, data)
    refused(path, r"weights\.pth: ")


def test_a_long_text_is_not_encoded_again_and_again():
    """NumPy's arrays in pickles of protocol 2 hold their bytes as text."""
    text = b"X" + struct.pack("<I", 1 << 20) + b"x" * (1 << 20) + b"q\x00"
    call = b"c_codecs\nencode\nq\x01"
    data = b"\x80\x02" + text + b"0" + call + b"0](" + b"h\x01h\x00U\x06latin1\x86R" * 200 + b"e."
    tracemalloc.start()
    try:
        pickled.read(data, pickled_arrays.MAKERS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20


def marked_as_encrypted(path):
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 8] |= 1
        at = data.find(b"PK\x01\x02", at + 4)
    path.write_bytes(data)


def test_entries_that_are_encrypted_or_lie_outside_of_the_file(tmp_path):
    path = tmp_path / "weights.pth"
    numbers = torch_bytes.Storage(np.zeros(4, np.float32))
    torch_bytes.write(path, state_dict(), [numbers])
    marked_as_encrypted(path)
    refused(path, "its entries are encrypted or compressed, which torch does not do")
    torch_bytes.write(path, state_dict(), [numbers])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/small", b"")
        archive.getinfo("archive/data/0").header_offset = 2**64 - 2
    refused(path, r"weights\.pth")
