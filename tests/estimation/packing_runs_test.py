"""From the folder of a run to files for others, through the main's functions, on a tiny build."""

import json
import sys

import jax
import numpy as np
import pytest

from acae_jax import config as configs
from acae_jax import export
from acae_jax.bundles import bundle, compiling
from acae_jax.datasets.synthetic import build
from acae_jax.estimation import autoencoder_stage, building, consistency, initial
from acae_jax.estimation.packing import leaving, measuring
from acae_jax.estimation.reporting import workflow as workflows
from acae_jax.packaging import forms
from acae_jax.skeletons import union as unions
from acae_jax.skeletons.skeleton import Skeleton
from acae_jax.training import checkpoints

CONFIG = "configs/estimation/embedded.py"
SMALL = (
    "loop.devices=1",
    "data.side_px=48",
    "evals.test.batch_size=8",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    build.build(folder, size="tiny", workers=1, datasets=["embedded_test", "embedded_mixamo"])
    return folder


def save(folder, config, state):
    """Leave what a finished run leaves."""
    configs.save(config, folder)
    with checkpoints.Checkpoints(folder, {"seed": 0}) as kept:
        kept.save(state)


@pytest.fixture(scope="module")
def workflow(data, tmp_path_factory):
    """Runs as they begin: their first checkpoints, without any training."""
    folder = tmp_path_factory.mktemp("workflow")

    def config(arguments):
        text = f"{CONFIG}:runlocal,data={data},run={folder},{arguments}"
        return configs.load(text, SMALL)

    key = jax.random.key(0)
    stage1 = config("stage=initial")
    save(folder / "initial", stage1, initial.computation(stage1).init(key))
    stage2 = config("stage=autoencoder")
    union = building.joint_union(stage2.data)
    learner = autoencoder_stage.learning_task(
        lambda: np.zeros((32, len(union.joint_names), 3), np.float32),
        autoencoder_stage.autoencoder.sides_of(union.joint_names),
        autoencoder_stage.autoencoder.Latents(**stage2.latents),
        epochs=1,
        seed=0,
        **stage2.autoencoder_training,
    )
    save(folder / "autoencoder", stage2, learner.init(key))
    stage3 = config("stage=consistency,variant=latent")
    save(folder / "latent", stage3, consistency.computation(stage3).init(key))
    return folder


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv(compiling.SWITCH, "0")


@pytest.fixture(scope="module")
def exported(workflow, tmp_path_factory):
    """The bundle of a run."""
    folder = tmp_path_factory.mktemp("exports")
    arguments = ["--to", "bundle", "--out", str(folder / "latent")]
    assert export.main([str(workflow / "latent"), *arguments]) == 0
    return folder


def test_the_bundle_predicts_what_the_run_does(workflow, exported):
    opened = bundle.load(exported / "latent")
    test = building.test_crops(configs.read(workflow / "latent"), devices=1)
    expected = workflows.predictions(workflow / "latent", test)
    batches = [opened.crop_model(b.inputs["image"], b.inputs["intrinsics"]) for b in test]
    poses_mm = np.concatenate([poses for poses, _ in batches])[: len(test)]
    # Rounding grows with the distance, which an untrained network sees anywhere.
    distances_mm = np.linalg.norm(expected, axis=-1)
    apart_mm = np.linalg.norm(poses_mm - expected, axis=-1)
    assert (apart_mm < 2e-4 * distances_mm).all()


def test_facts_tell_what_the_run_was(exported, workflow):
    facts = bundle.read(exported / "latent").facts
    union = building.joint_union(configs.read(workflow / "latent").data)
    assert facts.joint_names == union.joint_names
    assert list(facts.skeletons) == list(union.members)
    chosen = facts.skeletons["mixamo"]
    assert [facts.joint_names[i] for i in chosen.indices] == [
        f"{name}_mixamo" for name in chosen.joint_names
    ]
    named = {tuple(facts.joint_names[chosen.indices[i]] for i in edge) for edge in chosen.edges}
    assert named and named <= {tuple(facts.joint_names[i] for i in edge) for edge in facts.edges}
    assert facts.about["training"]["variant"] == "latent"
    assert facts.about["scores"]["mean"]["mpjpe_mm"] > 0
    assert facts.uncertainty is not None and len(facts.uncertainty.factors) == 179


def test_bones_have_the_lengths_of_people(data, workflow):
    """Of a model of the one format that has training examples here."""
    config = configs.read(workflow / "initial")
    config.data.union = ("mixamo",)
    union = building.joint_union(config.data)
    lengths = dict(zip(union.edges, measuring.bones_mm(config, union), strict=True))
    assert len(lengths) == len(union.edges) > 20
    thigh = [union.joint_names.index(name) for name in ("lhip_mixamo", "lkne_mixamo")]
    assert 300 < lengths[min(thigh), max(thigh)] < 550
    assert (
        measuring.bones_mm(config, building.joint_union(configs.read(workflow / "initial").data))
        == ()
    )


def test_the_card_and_the_picture_are_there(exported):
    card = (exported / "latent" / "README.md").read_text()
    for told in ("179 body joints", "| mixamo | 27 |", "embedded_test", "rank correlation", "px"):
        assert told in card
    assert (exported / "latent" / "calibration.png").read_bytes().startswith(b"\x89PNG")


def test_weights_alone_give_the_same(exported, tmp_path, capsys):
    out = tmp_path / "weights"
    assert export.main([str(exported / "latent"), "--to", "safetensors", "--out", str(out)]) == 0
    assert "all files are as written" in capsys.readouterr().out
    assert forms.verify(out, leaving.rebuilt)["poses_mm"].largest < 1e-2
    with pytest.raises(ValueError, match="weights alone: only the system they are of can verify"):
        forms.verify(out)
    header = json.loads((out / "export.json").read_text())
    header["format"] = "acae_jax tarot"
    (out / "export.json").write_text(json.dumps(header))
    assert export.main([str(out), "--verify"]) == 1
    assert "format must be acae_jax stablehlo or" in capsys.readouterr().err


def test_verify_fails_if_the_model_gives_something_else(exported, monkeypatch, capsys):
    assert export.main([str(exported / "latent"), "--verify"]) == 0
    for apart in ((1.5, 0.0), (0.0, float("nan")), (float("nan"), 0.0)):
        other = bundle.reference.Difference(*apart)
        monkeypatch.setattr(bundle, "verify", lambda folder, other=other: other)
        assert export.main([str(exported / "latent"), "--verify"]) == 1
        assert "_mm differs by more than 1 here" in capsys.readouterr().err


def test_without_its_data_a_run_is_exported_uncalibrated(workflow, tmp_path, capsys):
    out = tmp_path / "model"
    arguments = ["--to", "bundle", "--out", str(out), "--data", str(tmp_path / "nothing")]
    assert export.main([str(workflow / "initial"), *arguments, "--weights", "float16"]) == 0
    assert "test set is missing" in capsys.readouterr().out
    facts = bundle.read(out).facts
    assert facts.uncertainty is None and facts.bones_mm == ()
    assert "Not calibrated" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("initial", ("--to", "bundle", "--out", "EXPORTED"), "exists: choose another --out"),
        ("autoencoder", ("--to", "bundle", "--out", "new"), "is a run of the autoencoder"),
        ("nothing", ("--to", "bundle", "--out", "new"), "is it the folder of a run?"),
        ("initial", ("--to", "bundle", "--out", "new", "--weights", "int8"), "float32 or float16"),
        ("initial", ("--to", "bundle", "--out", "new", "--skeleton", "x"), "has no skeleton 'x'"),
        ("initial", ("--verify",), "it holds no export.json"),
        ("EXPORTED", ("--to", "bundle", "--out", "new"), "is a bundle: copy it"),
        ("EXPORTED", ("--to", "safetensors", "--out", "new", "--name", "x"), "--name is only for"),
        ("EXPORTED", ("--to", "safetensors", "--out", "new", "--weights", "float16"), "--weights "),
        ("EXPORTED", ("--to", "safetensors", "--out", "new", "--state", "best"), "--state is only"),
        ("EXPORTED", ("--to", "savedmodel", "--out", "new"), "pip install -e '.[savedmodel]'"),
        ("EXPORTED", ("--to", "onnx", "--out", "new"), "pip install jax2onnx jax==0.10.2"),
    ],
)
def test_errors_are_one_line(
    workflow, exported, tmp_path, capsys, monkeypatch, source, arguments, message
):
    for missing in ("tensorflow", "jax2onnx"):
        monkeypatch.setitem(sys.modules, missing, None)
    places = {"EXPORTED": str(exported / "latent"), "new": str(tmp_path / "new")}
    found = [places.get(part, part) for part in (str(source), *arguments)]
    if source != "EXPORTED":
        found[0] = str(workflow / source)
    assert export.main(found) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_calibration_learns_from_labelled_joints_only():
    """Joints that two formats share are labelled if either labels them; one joint alone says
    nothing, as its mean is itself.
    """
    skeletons = [Skeleton("a", ("x", "y"), ()), Skeleton("b", ("y", "z", "w"), ())]
    label_union, union = unions.of(skeletons), unions.merged_by_name(skeletons)
    true_mm = np.random.default_rng(0).normal(0, 300, (3, 5, 3)).astype(np.float32)
    valid = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [1, 0, 0, 0, 0]], bool)
    joints_mm, labelled = measuring.in_model_order((true_mm, valid), label_union, union)
    assert labelled.tolist() == [[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0]]
    np.testing.assert_array_equal(joints_mm[0, :2], true_mm[0, :2])
    np.testing.assert_array_equal(joints_mm[1, 1:], true_mm[1, 2:])
    predicted = np.where(labelled[..., None], joints_mm + 70, 1e6).astype(np.float32)
    errors = measuring.joint_errors(predicted, joints_mm, labelled)
    assert np.isnan(errors[2]).all()
    np.testing.assert_array_equal(np.isfinite(errors[:2]), labelled[:2])
    np.testing.assert_allclose(errors[:2][labelled[:2]], 0, atol=0.1)


def test_halves_share_nobody():
    keys = ["set/ann/walk/1", "set/bob/walk/2", "set/ann/run/3"]
    groups, split_by = measuring.people(keys)
    assert groups[0] == groups[2] != groups[1] and split_by == "people"
    groups, split_by = measuring.people([str(i) for i in range(4)])
    assert list(groups) == ["False", "False", "True", "True"] and "half" in split_by
