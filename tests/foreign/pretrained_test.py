"""Published classifiers as backbones: every array has its place, and what does not fit is named.

That features are equal is in parity_test.py, which needs torch.
"""

import hashlib
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import torch_bytes

from acae_jax import import_weights
from acae_jax.estimation import initial_weights
from acae_jax.estimation.model.network import Geometry, PoseNetwork
from acae_jax.foreign import conversion, layouts, pretrained
from acae_jax.models import backbones

# Number of arrays, and the beginning of the SHA-256 of their sorted names and shapes, in the state
# dicts of torchvision 0.28 and timm 1.0.31 without num_batches_tracked and classifiers. The sizes
# in between have the same kinds of blocks.
PUBLISHED = {
    ("torchvision", "resnet18"): (100, "7c8dfadd47d4c1f3"),
    ("torchvision", "resnet50"): (265, "f2cb7e91e337274f"),
    ("torchvision", "efficientnet_v2_s"): (670, "2b042b4471e2e155"),
    ("torchvision", "efficientnet_v2_l"): (1329, "184a508b5ec9ddc2"),
    ("torchvision", "mobilenet_v3_small"): (206, "ec8e68527815300b"),
    ("torchvision", "mobilenet_v3_large"): (262, "da96c3434d909f1f"),
    ("timm", "resnet18"): (100, "7c8dfadd47d4c1f3"),
    ("timm", "resnet50"): (265, "f2cb7e91e337274f"),
    ("timm", "efficientnetv2_s"): (670, "d78a9c6c37115aae"),
    ("timm", "tf_efficientnetv2_s"): (670, "d78a9c6c37115aae"),
    ("timm", "efficientnetv2_l"): (1329, "cd6cce668a811d66"),
    ("timm", "tf_efficientnetv2_l"): (1329, "cd6cce668a811d66"),
    ("timm", "mobilenetv3_small_100"): (206, "c22cd59a4f2be4d0"),
    ("timm", "tf_mobilenetv3_small_100"): (206, "c22cd59a4f2be4d0"),
    ("timm", "mobilenetv3_large_100"): (262, "4d6b8891595b5b91"),
    ("timm", "tf_mobilenetv3_large_100"): (262, "4d6b8891595b5b91"),
}
SHAPES = {}


def torch_shapes(library, name):
    """What we expect in the state dict of a published model, by name."""
    backbone = pretrained.model(library, name).backbone
    if backbone not in SHAPES:
        SHAPES[backbone] = pretrained.shapes(backbone)
    layers = layouts.layers(backbone, library)
    leaves = jax.tree_util.tree_leaves_with_path(SHAPES[backbone])
    return dict(conversion.counterpart(path, leaf.shape, layers) for path, leaf in leaves)


def random_state(library="torchvision", name="mobilenet_v3_small"):
    """A state dict with random numbers, classifier and counters included."""
    rng = np.random.default_rng(0)
    state = {
        key: rng.uniform(0.5, 1.5, shape).astype(np.float32)
        for key, shape in torch_shapes(library, name).items()
    }
    state["classifier.0.weight"] = np.ones((3, 4), np.float32)
    state["features.0.1.num_batches_tracked"] = np.array(3)
    return state


def test_every_backbone_but_the_narrow_one_can_be_imported():
    known = {(lib, name) for lib in import_weights.LIBRARIES for name in pretrained.models(lib)}
    assert known >= set(PUBLISHED)
    assert {pretrained.model(*one).backbone for one in known} == set(backbones.names()) - {"narrow"}
    for library, name in known:
        names = list(layouts.layers(pretrained.model(library, name).backbone, library).values())
        assert len(names) == len(set(names))


@pytest.mark.parametrize("library, name", PUBLISHED)
def test_names_and_shapes_are_the_published_ones(library, name):
    shapes = torch_shapes(library, name)
    digest = hashlib.sha256(repr(sorted(shapes.items())).encode()).hexdigest()[:16]
    assert (len(shapes), digest) == PUBLISHED[library, name]


def test_arrays_get_their_place_and_order_of_axes():
    state = random_state()
    found = pretrained.convert(state, "torchvision", "mobilenet_v3_small", "").variables
    params, stats = found["params"], found["batch_stats"]
    stem = state["features.0.0.weight"]
    assert params["stem"]["conv"]["kernel"][2, 0, 1, 5] == stem[5, 1, 2, 0]
    depthwise = state["features.1.block.0.0.weight"]
    assert params["block0"]["depthwise"]["kernel"][2, 0, 0, 5] == depthwise[5, 0, 2, 0]
    np.testing.assert_array_equal(
        params["block0"]["excite"]["squeeze"]["bias"], state["features.1.block.1.fc1.bias"]
    )
    np.testing.assert_array_equal(
        stats["block1"]["project"]["norm"]["var"], state["features.2.block.2.1.running_var"]
    )
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(found))


def test_another_epsilon_is_the_same_function():
    state = random_state("timm", "mobilenetv3_small_100")
    found = pretrained.convert(state, "timm", "mobilenetv3_small_100", "").variables
    norm, stats = (found[kind]["stem"]["norm"] for kind in ("params", "batch_stats"))
    theirs = state["bn1.weight"] / np.sqrt(state["bn1.running_var"] + 1e-5)
    np.testing.assert_allclose(norm["scale"] / np.sqrt(stats["var"] + 1e-3), theirs, rtol=1e-6)
    np.testing.assert_array_equal(norm["bias"], state["bn1.bias"])


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "model.", "backbone.", "module._orig_mod.", "model.net."],
)
def test_names_of_what_holds_the_model_are_left_out(prefix):
    state = {prefix + key: array for key, array in random_state().items()}
    plain = pretrained.convert(random_state(), "torchvision", "mobilenet_v3_small", "")
    beside = {"loss.weight": np.ones(2)} if prefix else {}
    held = pretrained.convert({**beside, **state}, "torchvision", "mobilenet_v3_small", "")
    jax.tree.map(np.testing.assert_array_equal, held.variables, plain.variables)


def test_two_models_in_one_file_are_named():
    state = {f"{lead}.{key}": a for key, a in random_state().items() for lead in ("model", "net")}
    with pytest.raises(ValueError, match=r"it holds model\.\S+ and net\.\S+: save only one"):
        pretrained.convert(state, "torchvision", "mobilenet_v3_small", "")


def test_what_else_is_in_the_model_is_named_under_any_prefix():
    state = {f"model.{key}": a for key, a in changed(features__99__weight=np.ones(2)).items()}
    with pytest.raises(ValueError, match=r"also holds 'features.99.weight'"):
        pretrained.convert(state, "torchvision", "mobilenet_v3_small", "")


def changed(**arrays):
    return {**random_state(), **{key.replace("__", "."): a for key, a in arrays.items()}}


KEY = "features.4.block.1.0.weight"


@pytest.mark.parametrize(
    "state, message",
    [
        ({k: a for k, a in random_state().items() if k != KEY}, rf"it lacks {KEY} of shape \(96,"),
        (changed(features__99__weight=np.ones(2)), "also holds 'features.99.weight'"),
        ({**random_state(), KEY: np.ones((7, 1, 5, 5))}, rf"{KEY} has shape \(7, 1, 5, 5\), but"),
        ({**random_state(), KEY: np.ones((96, 1, 5, 5), int)}, "of type int64"),
        ({**random_state(), KEY: np.full((96, 1, 5, 5), np.nan)}, "not finite"),
    ],
)
def test_what_does_not_fit_is_named(state, message):
    with pytest.raises(ValueError, match=message):
        pretrained.convert(state, "torchvision", "mobilenet_v3_small", "")


def test_a_model_of_another_size_is_named_by_its_first_array():
    with pytest.raises(ValueError, match=r"is it of another (model or )?size\?"):
        pretrained.convert(random_state(), "torchvision", "mobilenet_v3_large", "")


@pytest.mark.parametrize(
    "library, name, message",
    [
        ("torchvision", "efficientnet_v2_x", "did you mean 'efficientnet_v2_"),
        ("timm", "mobilenetv3_large", "did you mean .*mobilenetv3_large_100"),
        ("timm", "swin", "it is one of: resnet18"),
        ("timm", "mobilenetv3_large_100.miil_in21k", "pixels from 0 to 1"),
    ],
)
def test_unknown_models(library, name, message):
    with pytest.raises(ValueError, match=message):
        pretrained.model(library, name)


def test_names_with_and_without_underscores_and_tags():
    assert pretrained.model("torchvision", "efficientnetv2_s").pixels == "imagenet"
    assert pretrained.model("torchvision", "efficientnet_v2_l").pixels == "symmetric"
    tagged = pretrained.model("timm", "tf_efficientnetv2_s.in21k_ft_in1k")
    assert tagged.backbone == "efficientnetv2_s" and tagged.pixels == "symmetric"
    assert pretrained.model("timm", "resnet34.ra4_e3600_r224_in1k").pixels == "symmetric"


def test_pixels_are_normalised_as_told():
    images = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 32, 32, 3)), jnp.float32)
    made = {p: backbones.create("resnet18", ghost_size=1, pixels=p) for p in ("imagenet", "other")}
    with pytest.raises(
        ValueError, match="pixels is 'other'; it must be one of symmetric, imagenet"
    ):
        jax.eval_shape(lambda x: made["other"].init(jax.random.key(0), x, False), images)
    plain = backbones.create("resnet18", ghost_size=1)
    assert made["imagenet"] == plain


def imported(tmp_path):
    path = tmp_path / "weights.pth"
    torch_bytes.save(path, random_state())
    command = [sys.executable, "-m", "acae_jax.import_weights", "torchvision", str(path)]
    return [*command, "--model=mobilenet_v3_small", f"--out={tmp_path / 'backbone'}"]


def test_the_command_makes_what_stage_1_starts_from(tmp_path):
    command = imported(tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"--config.init.run={tmp_path / 'backbone'}" in done.stdout
    assert "--config.model.backbone=mobilenetv3_small" in done.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "exists: choose another folder" in again.stderr
    assert len(again.stderr.splitlines()) == 1

    network = pose_network("mobilenetv3_small")
    fresh = fresh_variables(network)
    folder = tmp_path / "backbone"
    variables = initial_weights.from_import(fresh, folder, "backbone", network)
    expected = pretrained.convert(random_state(), "torchvision", "mobilenet_v3_small", "").variables
    jax.tree.map(np.testing.assert_array_equal, variables["params"]["backbone"], expected["params"])
    stats = variables["batch_stats"]["backbone"]
    jax.tree.map(np.testing.assert_array_equal, stats, expected["batch_stats"])
    assert float(jnp.max(jnp.abs(variables["params"]["head"]["kernel"]))) == 0

    with pytest.raises(ValueError, match=r"a backbone only: set init\.part to 'backbone'"):
        initial_weights.from_import(fresh, folder, "whole", network)
    other = pose_network("mobilenetv3_small", pixels="symmetric")
    with pytest.raises(ValueError, match=r"set model\.options\.pixels to 'imagenet'"):
        initial_weights.from_import(fresh, folder, "backbone", other)
    other = pose_network("mobilenetv3_large")
    with pytest.raises(ValueError, match=r"set model\.backbone to 'mobilenetv3_small'"):
        initial_weights.from_import(fresh_variables(other), folder, "backbone", other)


def pose_network(name, **options):
    backbone = backbones.create(name, ghost_size=1, **options)
    return PoseNetwork(backbone, 3, Geometry(side_px=64), depth_bins=2)


def fresh_variables(network):
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    shapes = jax.eval_shape(
        lambda key: network.init(key, jnp.zeros(images.shape), False), jax.random.key(0)
    )
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def test_safetensors_files_are_read_and_damaged_ones_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    state = random_state()
    safetensors.numpy.save_file(state, path)
    found = pretrained.read_state(path)
    assert found.keys() == state.keys()
    np.testing.assert_array_equal(found[KEY], state[KEY])
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="no safetensors file, or is damaged"):
        pretrained.read_state(path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        pretrained.read_state(tmp_path / "absent.safetensors")
    with pytest.raises(ValueError, match=r"must be a file of weights: \.pth"):
        pretrained.read_state(tmp_path / "weights.h5")


def test_a_folder_that_import_weights_did_not_write(tmp_path):
    safetensors.numpy.save_file({"a": np.ones(2, np.float32)}, tmp_path / pretrained.FILE)
    with pytest.raises(ValueError, match=r"was not written by acae_jax\.import_weights"):
        pretrained.read(tmp_path)


@pytest.mark.parametrize("kind, size", [("F8_E4M3", 1), ("F8_E5M2", 1), ("F8_E8M0", 1), ("F4", 1)])
def test_types_of_safetensors_that_numpy_does_not_have(tmp_path, kind, size):
    path = tmp_path / "weights.safetensors"
    facts = {"dtype": kind, "shape": [2] if kind == "F4" else [1], "data_offsets": [0, size]}
    header = json.dumps({"a": facts}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(
        ValueError, match=r"weights\.safetensors .*cannot be read|is damaged"
    ) as error:
        pretrained.read_state(path)
    assert "\n" not in str(error.value)


def test_checkpoints_of_training_scripts_are_read_whatever_they_are_called(tmp_path):
    path = tmp_path / "model_best.pth.tar"
    state = {f"module.{key}": array for key, array in random_state().items()}
    content = {"epoch": 90, "arch": "x", "state_dict": state, "best_acc1": np.array(69.7)}
    torch_bytes.save(path, content)
    found = pretrained.read_state(path)
    pretrained.convert(found, "torchvision", "mobilenet_v3_small", path.name)


def test_a_name_that_is_left_over_is_quoted_in_one_short_line():
    state = {**random_state(), "a\nb" * 10_000: np.ones(2)}
    with pytest.raises(ValueError, match="also holds") as error:
        pretrained.convert(state, "torchvision", "mobilenet_v3_small", "")
    assert len(str(error.value)) < 300 and "\n" not in str(error.value)
