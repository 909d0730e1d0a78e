"""A function of any system leaves in the forms and is verified: here one of two plain inputs."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax import export
from acae_jax.packaging import card, forms, signature, weights_file
from acae_jax.packaging.signature import Signature, Tensor

SIGNATURE = Signature(
    inputs=(
        Tensor("features", ("n", "f_count", 3), "float32", "any number of rows"),
        Tensor("shift", (3,), "float32"),
    ),
    outputs=(
        Tensor("moved", ("n", "f_count", 2), "float32", "features in two dimensions", 1e-3),
        Tensor("mean", (2,), "float32", tolerance=1e-3),
    ),
)
WEIGHTS = {"matrix": np.arange(6, dtype=np.float32).reshape(3, 2)}


def move(weights, features, shift):
    moved = (features + shift[None, None]) @ weights["matrix"]
    return moved, jnp.mean(moved, axis=(0, 1))


def model():
    facts = {"name": "mover", "anything": [1, 2]}
    text = card.text(
        "mover", "Moves.", card.usage("stablehlo", SIGNATURE), SIGNATURE, {"Own": "x\n"}
    )
    rng = np.random.default_rng(0)
    made = forms.Model(SIGNATURE, move, WEIGHTS, facts, {}, text)
    return forms.with_reference(
        made, rng.normal(size=(4, 5, 3)).astype(np.float32), np.ones(3, np.float32)
    )


@pytest.fixture
def folder(tmp_path):
    forms.write("stablehlo", tmp_path / "mover", model())
    return tmp_path / "mover"


def test_it_gives_the_same_for_any_sizes(folder, capsys):
    assert export.main([str(folder), "--verify"]) == 0
    assert "moved 0.0000, mean 0.0000" in capsys.readouterr().out
    header = forms.checked(folder)
    assert header.signature == SIGNATURE and header.facts == {"name": "mover", "anything": [1, 2]}
    run = forms.module("stablehlo").load(folder, header.signature)
    features, shift = np.random.default_rng(1).normal(size=(2, 7, 3)), np.arange(3.0)
    moved, mean = run(features.astype(np.float32), shift.astype(np.float32))
    expected = (features + shift) @ WEIGHTS["matrix"]
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, expected.mean(axis=(0, 1)), rtol=1e-4, atol=1e-5)


def test_it_does_not_tell_where_the_source_files_lie():
    frames = jax.config.jax_traceback_in_locations_limit
    assert b".py" not in signature.stablehlo(move, WEIGHTS, SIGNATURE.inputs)
    assert jax.config.jax_traceback_in_locations_limit == frames > 0


def test_weights_alone_are_verified_by_who_builds_the_function(tmp_path):
    forms.write("safetensors", tmp_path / "w", model())
    assert forms.verify(tmp_path / "w", lambda facts: move)["moved"].largest < 1e-5
    other = forms.verify(tmp_path / "w", lambda facts: lambda *given: [2 * x for x in move(*given)])
    assert other["moved"].largest > other["moved"].tolerance
    with pytest.raises(ValueError, match="holds weights alone"):
        forms.verify(tmp_path / "w")


def test_the_card_tells_the_signature(folder):
    text = (folder / "README.md").read_text()
    for told in (
        "| in: `features` | (n, f_count, 3) float32 | any number of rows |",
        "| out: `mean` | (2,) float32 |",
        "moved, mean = model(features, shift)",
        "## Own",
    ):
        assert told in text


def changed(folder, change):
    path = folder / "export.json"
    header = json.loads(path.read_text())
    change(header)
    path.write_text(json.dumps(header))
    return export.main([str(folder), "--verify"])


def of(side, **values):
    return lambda header: header["signature"][side][0].update(values)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (of("inputs", name="__class__"), "has a wrong name, shape or dtype"),
        (of("inputs", shape=[-1]), "has a wrong name, shape or dtype"),
        (of("inputs", dtype="object"), "has a wrong name, shape or dtype"),
        (of("inputs", dtype="int32"), "does not take the weights and inputs"),
        (of("outputs", tolerance=float("nan")), "needs a tolerance of 0 or more"),
        (of("outputs", more=1), "each of signature.outputs must have name, shape"),
        (lambda header: header["signature"].pop("inputs"), "must have inputs and outputs"),
        (
            lambda header: header.pop("signature"),
            "acae_jax 0.1 wrote it: export the model again",
        ),
        (lambda header: header["files"].pop("network.stablehlo"), "files must have network.stable"),
        (of("outputs", name="poses"), "is no reference"),
    ],
)
def test_a_header_that_is_wrong_is_one_line(folder, capsys, change, told):
    assert changed(folder, change) == 1
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_a_changed_weight_is_told(folder, capsys):
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[:-1] + b"\x7f")
    assert export.main([str(folder), "--verify"]) == 1
    assert "not the file that was written" in capsys.readouterr().err
    (folder / "weights.safetensors").write_bytes(data)
    assert max(one.largest for one in forms.verify(folder).values()) < 1e-5
    assert weights_file.read(folder)["matrix"].dtype == np.float32


def test_a_signature_survives_json():
    assert signature.of_json(json.loads(json.dumps(signature.to_json(SIGNATURE)))) == SIGNATURE
