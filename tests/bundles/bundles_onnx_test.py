"""An ONNX export as the estimator's network."""

import sys

import numpy as np
import onnx
import pytest

import acae_jax
from acae_jax.bundles import bundle, folders, onnx_backend
from acae_jax.bundles import facts as facts_files
from acae_jax.bundles.bundle import Facts, Selection

SIDE_PX, NAMES = 16, ("pelv", "lhip", "rhip")
EVERYTHING = {"all": Selection((0, 1, 2), NAMES, ())}
FACTS = Facts("tiny", SIDE_PX, NAMES, (), EVERYTHING, "all", (), None, {})


def write(folder, model, facts=FACTS, matrix=None):
    with folders.new(folder) as place:
        (place / onnx_backend.FILE).write_bytes(model)
        if matrix is not None:
            (place / bundle.JOINTS).write_bytes(bundle.encoded_joints(matrix))
        folders.seal(
            place, onnx_backend.HEADER, onnx_backend.FORMAT, {"facts": facts_files.to_json(facts)}
        )
    return folder


def tiny_model(matrix=None):
    """Spread: mean colours. Points: the intrinsics plus them. Poses: the matrix times the points.

    Without a matrix the points are the poses.
    """
    make, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        make.make_node("Cast", ["images"], ["pixels"], to=kinds.FLOAT),
        make.make_node("ReduceMean", ["pixels", "image_axes"], ["spread_mm"], keepdims=0),
        make.make_node("Unsqueeze", ["spread_mm", "last_axis"], ["column"]),
        make.make_node("Add", ["intrinsics", "column"], ["points_mm"]),
        make.make_node("MatMul", ["matrix", "points_mm"], ["poses_mm"]),
    ]
    rows = np.eye(3, dtype=np.float32) if matrix is None else matrix
    shapes = {
        "images": (kinds.UINT8, ["b", SIDE_PX, SIDE_PX, 3]),
        "intrinsics": (kinds.FLOAT, ["b", 3, 3]),
        "poses_mm": (kinds.FLOAT, ["b", len(rows), 3]),
        "spread_mm": (kinds.FLOAT, ["b", 3]),
        "points_mm": (kinds.FLOAT, ["b", 3, 3]),
    }
    values = [make.make_tensor_value_info(name, *shape) for name, shape in shapes.items()]
    constants = [
        onnx.numpy_helper.from_array(np.array([1, 2]), "image_axes"),
        onnx.numpy_helper.from_array(np.array([2]), "last_axis"),
        onnx.numpy_helper.from_array(rows, "matrix"),
    ]
    outputs = values[2:4] if matrix is None else values[2:]
    graph = make.make_graph(nodes, "tiny", values[:2], outputs, constants)
    opset = [make.make_opsetid("", 18)]
    return make.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


def test_it_opens_as_a_bundle_does(tmp_path):
    folder = write(tmp_path / "onnx", tiny_model())
    image = np.full((120, 160, 3), 100, np.uint8)
    people = acae_jax.load(folder).estimate_poses(image, [[50.0, 40, 20, 40], [80.0, 40, 20, 40]])
    assert people["poses3d"].shape == (2, 3, 3)
    np.testing.assert_allclose(people["uncertainties"], 100.0, atol=1e-4)

    more = FACTS._replace(joint_names=(*NAMES, "head"))
    with pytest.raises(ValueError, match="of 3 and 3 joints instead of 4: export it again"):
        acae_jax.load(write(tmp_path / "more", tiny_model(), more))
    with pytest.raises(ValueError, match="cannot be opened by onnxruntime"):
        acae_jax.load(write(tmp_path / "damaged", b"no model"))


def test_joints_are_combined_with_their_uncertainty(tmp_path):
    matrix = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0.5, 0.5]], np.float32)
    names = (*NAMES, "between")
    facts = FACTS._replace(joint_names=names, skeletons={"all": Selection((0, 1, 2, 3), names, ())})
    folder = write(tmp_path / "onnx", tiny_model(matrix), facts, matrix)
    image = np.full((120, 160, 3), 100, np.uint8)
    people = acae_jax.load(folder).estimate_poses(image, [[50.0, 40, 20, 40]])
    poses_mm = people["poses3d"][0]
    np.testing.assert_allclose(poses_mm[3], (poses_mm[1] + poses_mm[2]) / 2, rtol=1e-5)
    assert people["uncertainties"].shape == (1, 4)

    with pytest.raises(ValueError, match="every row of the matrix must sum to 1"):
        acae_jax.load(write(tmp_path / "rows", tiny_model(matrix), facts, 2 * matrix))


def test_without_onnxruntime_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"needs onnxruntime: pip install -e '\.\[onnxruntime\]'"):
        acae_jax.load(write(tmp_path / "onnx", b""))


def test_a_changed_file_is_refused(tmp_path):
    folder = write(tmp_path / "onnx", b"model")
    (folder / onnx_backend.FILE).write_bytes(b"other")
    with pytest.raises(ValueError, match="is not the file that was written"):
        acae_jax.load(folder)
