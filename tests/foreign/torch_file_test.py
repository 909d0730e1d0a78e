"""Weight files of torch, made here byte by byte: the right numbers, or one line that says why not.

What a hostile file does is in hostile_pickle_test.py.
"""

import argparse
import collections
import datetime
import pathlib
import pickle
import tarfile
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torch_bytes

from acae_jax.foreign import torch_file


def example():
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.normal(size=(4, 3, 2, 2)).astype(np.float32),
        "bn.running_var": rng.uniform(size=4),
        "bn.num_batches_tracked": np.array(7),
        "half": rng.normal(size=5).astype(np.float16),
        "brain": rng.normal(size=(2, 3)).astype(ml_dtypes.bfloat16),
        "mask": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }


@pytest.mark.parametrize("container", [dict, collections.OrderedDict])
def test_every_type_and_shape_comes_back_as_it_is(tmp_path, container):
    path = tmp_path / "weights.pth"
    torch_bytes.save(path, container(example()))
    found = torch_file.read(path)
    assert list(found) == list(example())
    for name, expected in example().items():
        assert found[name].dtype == expected.dtype and found[name].shape == expected.shape
        np.testing.assert_array_equal(found[name], expected)


def test_windows_of_a_shared_storage(tmp_path):
    numbers = np.arange(24, dtype=np.float32)
    storage = torch_bytes.Storage(numbers)
    path = tmp_path / "weights.pt"
    torch_bytes.save(
        path,
        {
            "rows": torch_bytes.Window(storage, 4, (2, 3), (6, 1)),
            "transposed": torch_bytes.Window(storage, 0, (4, 6), (1, 4)),
            "last": torch_bytes.Window(storage, 23, (), ()),
        },
    )
    found = torch_file.read(path)
    np.testing.assert_array_equal(found["rows"], [[4, 5, 6], [10, 11, 12]])
    np.testing.assert_array_equal(found["transposed"], numbers.reshape(6, 4).T)
    assert found["last"] == 23
    assert not found["rows"].flags.writeable


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_checkpoint_around_the_state_dict(tmp_path, key):
    """The average of the weights comes first and has more tensors, the accuracy is a tensor."""
    path = tmp_path / "checkpoint.pth"
    weights = {"a": np.ones(3, np.float32)}
    average = {"a": np.zeros(3, np.float32), "n_averaged": np.array(5)}
    around = {"epoch": 3, "arch": "resnet18", f"{key}_ema": average, key: weights}
    torch_bytes.save(path, {**around, "best_acc1": np.array([69.7]), "other": [1, None]})
    found = torch_file.read(path)
    assert list(found) == ["a"] and found["a"].all()


class Ordered(collections.OrderedDict):
    """A dict as some libraries have their own."""


@pytest.mark.parametrize(
    "around",
    [
        {"args": argparse.Namespace(lr=0.1, device="cuda")},
        {"best": np.float64(71.3), "history": {(1, 2): np.float32(3)}},
        {"now": datetime.datetime(2026, 11, 27), "where": pathlib.PurePosixPath("/a")},
        {
            "metrics": Ordered(top1=np.float64(1)),
            "seen": {1, 2},
            "scheduler": collections.Counter("a"),
        },
    ],
)
def test_whatever_stands_beside_the_weights_is_left_out(tmp_path, around):
    path = tmp_path / "checkpoint.pth"
    weights = {"a": np.ones(3, np.float32)}
    for content in ({"state_dict": weights, **around}, {**around, **weights}):
        torch_bytes.save(path, content)
        np.testing.assert_array_equal(torch_file.read(path)["a"], weights["a"])
    torch_bytes.save(path, {"model": Ordered(weights), **around})
    np.testing.assert_array_equal(torch_file.read(path)["a"], weights["a"])


def test_weights_that_code_would_make_are_refused(tmp_path):
    path = tmp_path / "checkpoint.pth"
    made = torch_bytes.Call(torch_bytes.stand_in("torch._utils._rebuild_qtensor"), 1)
    for content in ({"state_dict": {"a": np.ones(3), "b": made}}, {"a": np.ones(3), "b": made}):
        torch_bytes.save(path, content)
        with pytest.raises(
            ValueError, match=r"'b' is not a plain tensor .*_rebuild_qtensor, and no"
        ):
            torch_file.read(path)


def test_a_tensor_may_have_the_name_of_a_state_dict(tmp_path):
    path = tmp_path / "weights.pth"
    torch_bytes.save(path, {"model": np.ones(2), "state_dict": {}, "a": np.ones(3)})
    assert list(torch_file.read(path)) == ["model", "a"]


@pytest.mark.parametrize(
    "window, message",
    [
        ((0, (5,), (1,)), "reaches beyond its 4"),
        ((1, (2, 2), (2, 1)), "reaches beyond"),
        ((0, (2, 2), (-1, 1)), "whole numbers from 0"),
        ((-1, (2,), (1,)), "whole numbers from 0"),
        ((0, (10**12,), (0,)), "reaches beyond"),
        ((0, (2,), (1, 1)), "cannot be"),
        ((0, (2.5,), (1,)), "whole numbers"),
    ],
)
def test_windows_that_do_not_fit_their_storage(tmp_path, window, message):
    path = tmp_path / "weights.pth"
    storage = torch_bytes.Storage(np.zeros(4, np.float32))
    torch_bytes.save(path, {"a": torch_bytes.Window(storage, *window)})
    with pytest.raises(ValueError, match=message):
        torch_file.read(path)


def test_every_truncation_is_an_error_of_one_line(tmp_path):
    whole, cut = tmp_path / "whole.pth", tmp_path / "cut.pth"
    torch_bytes.save(whole, example())
    data = whole.read_bytes()
    for size in range(2, len(data), 41):
        cut.write_bytes(data[:size])
        with pytest.raises(ValueError, match="damaged or incomplete, download it again") as error:
            torch_file.read(cut)
        assert "\n" not in str(error.value)


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "weights.pth"
    numbers = np.full(64, 3.0, np.float32)
    torch_bytes.save(path, {"a": numbers})
    data = bytearray(path.read_bytes())
    data[data.index(numbers.tobytes()) + 11] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged or incomplete"):
        torch_file.read(path)


def test_other_formats_are_named(tmp_path):
    path, legacy = tmp_path / "weights.pth", tmp_path / "legacy.pth"
    legacy.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + b"rest")
    with pytest.raises(ValueError, match=r"torch before 1.6: in an environment with torch"):
        torch_file.read(legacy)
    with tarfile.open(path, "w") as archive:
        archive.add(legacy, "legacy")
    with pytest.raises(ValueError, match=r"torch before 1.6"):
        torch_file.read(path)
    path.write_text("hello")
    with pytest.raises(ValueError, match="no PyTorch weight file"):
        torch_file.read(path)
    torch_bytes.save(path, example(), extra=["constants.pkl"])
    with pytest.raises(ValueError, match="TorchScript"):
        torch_file.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(ValueError, match=r"no data.pkl"):
        torch_file.read(path)
    with pytest.raises(FileNotFoundError):
        torch_file.read(tmp_path / "absent.pth")


def test_what_is_not_a_state_dict(tmp_path):
    path = tmp_path / "weights.pth"
    torch_bytes.save(path, [np.ones(2, np.float32)])
    with pytest.raises(ValueError, match="holds no state dict"):
        torch_file.read(path)


def test_storages_must_be_there_and_as_long_as_said(tmp_path):
    path = tmp_path / "weights.pth"
    data, storages = torch_bytes.pickled({"a": np.ones(2, np.float32)})
    torch_bytes.write(path, data)
    with pytest.raises(ValueError, match="lacks archive/data/0"):
        torch_file.read(path)
    torch_bytes.write(path, data, [torch_bytes.Storage(np.ones(3, np.float32))])
    with pytest.raises(ValueError, match="12 bytes, but 2 numbers of float32"):
        torch_file.read(path)
    torch_bytes.write(path, data, storages, order=b"big")
    with pytest.raises(ValueError, match="big-endian"):
        torch_file.read(path)


def test_archives_that_expand_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch_bytes.save(path, {"a": np.zeros(10**6, np.float32)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed, which torch does not do"):
        torch_file.read(path)


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    """The directory at the archive's end names one large entry several times."""
    path = tmp_path / "weights.pth"
    torch_bytes.save(path, {"a": np.zeros(10**4, np.float32)})
    with zipfile.ZipFile(path, "a") as archive:
        large = archive.getinfo("archive/data/0")
        archive.writestr("archive/small", b"")
        for number in range(3):
            twin = zipfile.ZipInfo(f"archive/data/{number + 1}")
            for field in ("CRC", "compress_size", "file_size", "header_offset"):
                setattr(twin, field, getattr(large, field))
            archive.filelist.append(twin)
    with pytest.raises(ValueError, match="claim more bytes than the file has"):
        torch_file.read(path)
