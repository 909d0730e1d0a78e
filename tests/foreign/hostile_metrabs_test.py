"""Small published folders that would fill the memory or raise errors of Python's own: one short
line each that names the file, at once.
"""

import contextlib
import io
import pickle
import time
import tracemalloc
import zipfile

import numpy as np
import published_layout
import pytest
import torch_bytes

from acae_jax.bundles import reference
from acae_jax.files import numpy_files
from acae_jax.foreign import metrabs

SETTINGS = "\n".join(f"{k}: {str(v).lower()}" for k, v in published_layout.CONFIG.items()) + "\n"
LEVELS = range(1, 31)
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in LEVELS)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in LEVELS
)


@pytest.fixture
def folder(tmp_path):
    return published_layout.write(tmp_path / "metrabs_s")


def refused(folder, name, message):
    """That the folder is refused with one short line, quickly."""
    start = time.process_time()
    with pytest.raises(ValueError, match=rf"{name}: .*{message}") as error:
        metrabs.read(folder)
    assert time.process_time() - start < 5
    line = str(error.value)
    assert len(line.removeprefix(str(folder))) < 500 and "\n" not in line


@contextlib.contextmanager
def little_memory():
    """That what is done within takes little memory; it is much slower then."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 << 20


@pytest.mark.parametrize(
    "text, message",
    [
        (LAUGHS + SETTINGS + "stride_train: *a30\n", "alias"),
        (MERGES + SETTINGS, "alias"),
        (SETTINGS + "x: " + "[" * 1000 + "\n", ""),
        (SETTINGS + "#" * 70_000, "more than 65536 bytes"),
        (SETTINGS.replace("size: s", "size: [" + "s, " * 2000 + "]"), "list for size is of the"),
        (SETTINGS.replace("size: s", "size: " + "s" * 9000), "it must be s, m or l"),
        (SETTINGS.replace("train: 32", "train: {" + "s, " * 2000 + "}"), "stride_train is a dict"),
        (SETTINGS.replace("side: 256", "side: 0x" + "f" * 9000), "makes no sense"),
        (SETTINGS.replace("mm: 2200.0", "mm: .inf"), "makes no sense"),
        (SETTINGS.replace("fov: 0.5", "fov: .nan"), "makes no sense"),
        (SETTINGS + "x: !!int ''\n", "not plain YAML"),
        (SETTINGS + "x: !!timestamp x\n", "not plain YAML"),
        (SETTINGS + "x: !!bool x\n", "not plain YAML"),
        (SETTINGS + "x: !!nothing" + "g" * 9000 + " x\n", "not plain YAML"),
    ],
)
def test_settings(folder, text, message):
    (folder / "config.yaml").write_text(text)
    refused(folder, r"config\.yaml", message)


def info(**changes):
    return {"indices": [0], "names": ["a"], "edges": [], **changes}


def skeletons():
    """Contents of skeleton_infos.pkl that are small only because they share what they hold."""
    many = 10_000
    array = np.zeros(250_000, np.int64)
    large = info(indices=[0] * 5000, names=["a"] * 5000)
    edges = info(edges=[[0, 0]] * 5000)
    yield "one long text", {"a": info(names=["x" * 10_000] + ["a"] * many)}, "200 characters"
    yield "one long text of numpy's", {"a": info(names=np.array(["x" * 201]))}, "200 characters"
    yield "an array many times", {"a": info(indices=[array] * 1000)}, "longer or deeper"
    yield "a list many times", {"a": info(edges=[[[0] * 16] * 16] * 100)}, "longer or deeper"
    yield "a row many times", {"a": info(edges=[[0] * 16] * many)}, "more than 100000 items"
    yield "one skeleton many times", {str(n): large for n in range(1000)}, "more than 100000"
    yield "its edges many times", {str(n): edges for n in range(1000)}, "more than 100000"
    yield "a large number", {"a": info(indices=[10**5000])}, "more than 64 bits"
    yield "many names", {"a": info(names=np.full(200_000, "a"))}, "at most 100000"
    yield "many edges", {"a": info(edges=np.zeros((200_000, 2), np.int8))}, "at most 100000"
    yield "a long name", {"x" * 10_000: info()}, "200 characters"


@pytest.mark.parametrize("name, content, message", list(skeletons()))
def test_skeletons(folder, name, content, message):
    (folder / "skeleton_infos.pkl").write_bytes(pickle.dumps(content))
    if "many times" in name:
        refused(folder, r"skeleton_infos\.pkl", message)
    else:
        with little_memory():
            refused(folder, r"skeleton_infos\.pkl", message)


def header(kind, shape, data=b""):
    """A .npy file whose header claims this."""
    file = io.BytesIO()
    described = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue() + data


def written(header):
    """A .npy file with this text for a header."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


EDGES = header("<i8", (0, 2))
NUMPY_FILES = {
    "no bytes but many items": header("<U0", (20_000_000,)),
    "more than any memory": header("<U4", (2**60,)),
    "many items": header("<U1", (200_000,), bytes(800_000)),
    "long texts": header("<U201", (1,), bytes(804)),
    "no magic": b"hello",
    "a header that does not end": written(b"{'descr': '''"),
    "a header that is no Python": written(b"{'descr': '<U1', 'fortran_order': False, 'shape': ("),
    "a nested header": written(b"(" * 9000),
    "objects": header("|O", (1,), pickle.dumps([1])),
    "empty": b"",
}


@pytest.mark.parametrize("name", NUMPY_FILES)
def test_joint_names(folder, name):
    with zipfile.ZipFile(folder / "joint_info.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("joint_names.npy", NUMPY_FILES[name])
        archive.writestr("joint_edges.npy", EDGES)
    with little_memory():
        refused(folder, r"joint_info\.npz", "")
    if name not in ("many items", "long texts"):
        with pytest.raises(ValueError):
            numpy_files.arrays(folder / "joint_info.npz", ("joint_names",), 1 << 20)


@pytest.mark.parametrize("name", NUMPY_FILES)
def test_matrices(folder, name):
    (folder / "joint_transform_matrix.npy").write_bytes(NUMPY_FILES[name])
    refused(folder, r"joint_transform_matrix\.npy", "")


def test_a_matrix_may_not_be_an_archive(folder):
    np.savez(folder / "other.npz", a=np.eye(4))
    (folder / "other.npz").replace(folder / "joint_transform_matrix.npy")
    refused(folder, r"joint_transform_matrix\.npy", "")


def test_edges_of_many_items(folder):
    zeros = np.zeros((200_000, 2), np.int8)
    np.savez_compressed(folder / "joint_info.npz", joint_names=["a"], joint_edges=zeros)
    refused(folder, r"joint_info\.npz", "at most 100000")


def test_flipped_bits_are_found_or_do_not_matter(tmp_path):
    """In what inflates, in what numpy parses and in the archive's directory."""
    rng = np.random.default_rng(0)
    names = [f"joint{n}" for n in range(50)]
    path = tmp_path / "joint_info.npz"
    np.savez_compressed(path, joint_names=names, joint_edges=np.zeros((10, 2), int))
    poses = {name: np.ones((1, 2, 3), np.float32) for name in reference.NAMES}
    for whole, read in (
        (path.read_bytes(), lambda: metrabs._in_file(path, metrabs._joint_info)),
        (reference.encoded(poses), lambda: reference.decoded(path, path.read_bytes())),
    ):
        refusals = 0
        for at in rng.choice(len(whole), 300):
            data = bytearray(whole)
            data[at] ^= 1 << rng.integers(8)
            path.write_bytes(data)
            try:
                read()
            except ValueError as error:
                refusals += 1
                assert str(error).startswith(str(path)) and "\n" not in str(error)
        assert refusals > 100


def test_a_matrix_whose_joints_are_no_averages(folder):
    matrix = published_layout.matrix()
    matrix[1, 2] = 0.25
    np.save(folder / "joint_transform_matrix.npy", matrix)
    refused(folder, r"joint_transform_matrix\.npy", r"column 2 .* sum to 1\.25; they must sum to 1")


def test_a_head_whose_bias_is_a_single_number(tmp_path):
    one = {"heatmap_heads.conv_final.bias": np.array(1.0)}
    folder = published_layout.write(tmp_path, save=lambda path: torch_bytes.save(path, one))
    with pytest.raises(ValueError, match=r"takes 4 joints, but the head in .* gives 0"):
        metrabs.read(folder)
