"""The three stages from end to end through the mains' functions, on a tiny build."""

import json
import shutil

import jax
import numpy as np
import pytest

from acae_jax import config as configs
from acae_jax import report, train
from acae_jax.datasets.synthetic import build
from acae_jax.estimation import autoencoder_stage, building, consistency, initial_weights, stages
from acae_jax.estimation.model import objective, step
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions
from acae_jax.training import checkpoints, logs

CONFIG = "configs/estimation/embedded.py"
OVERRIDES = ("loop.devices=1", "data.workers=0")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    build.build(folder, size="tiny", workers=1)
    return folder


def run(data, folder, name, arguments, *overrides):
    """Train one stage as `python -m acae_jax.train` does."""
    config = configs.load(
        f"{CONFIG}:runlocal,data={data},run={folder},{arguments}", (*OVERRIDES, *overrides)
    )
    return train.run(config, str(folder / name))


@pytest.fixture(scope="module")
def workflow(data, tmp_path_factory):
    """A finished workflow with every variant."""
    folder = tmp_path_factory.mktemp("workflow")
    run(data, folder, "initial", "stage=initial")
    run(data, folder, "autoencoder", "stage=autoencoder")
    for variant in ("separate", "regularised", "latent", "hybrid"):
        run(data, folder, variant, f"stage=consistency,variant={variant}")
    merged = folder / "merged_stages"
    run(data, merged, "initial", "stage=initial,merged")
    run(data, merged, "../merged", "stage=consistency,variant=separate,merged")
    return folder


def test_every_stage_runs_and_the_report_has_every_variant(workflow):
    report.report([workflow], 12.0, None, None)
    figures = json.loads((workflow / "report.json").read_text())
    assert figures["seconds"] == 12.0
    assert set(figures["variants"]) == {
        "initial", "separate", "regularised", "latent", "hybrid", "merged",
    }  # fmt: skip
    for found in figures["variants"].values():
        for name in ("mpjpe_mm", "pa_mpjpe_mm", "disagreement_depth_mm", "disagreement_plane_mm"):
            assert np.isfinite(found[name]) and found[name] > 0
    assert "merged" in (workflow / "report.html").read_text().lower()


def test_the_log_has_the_error_of_each_format(workflow):
    union = building.test_union(configs.read(workflow / "separate"))
    row = logs.read(workflow / "separate" / "metrics.jsonl")[-1]
    errors = [row[f"test/mpjpe_mm/{name}"] for name in union.members]
    assert len(set(errors)) == 6
    assert np.mean(errors) == pytest.approx(row["test/mpjpe_mm"])


def test_the_autoencoder_is_the_one_that_was_learned(workflow):
    config = configs.read(workflow / "autoencoder")
    union = building.joint_union(config.data)
    maps = autoencoder_stage.load(workflow / "autoencoder", union)
    assert maps.encode.shape == (2 * config.latents.sided + config.latents.central, 179)
    np.testing.assert_allclose(np.sum(maps.encode, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(np.sum(maps.decode, axis=1), 1, atol=1e-4)


def test_fine_tuning_starts_from_the_first_stage(workflow):
    """At step 0 the hybrid network predicts the joints as stage 1 did, and has latent points."""
    config = configs.read(workflow / "hybrid")
    union = building.joint_union(config.data)
    maps = autoencoder_stage.load(workflow / "autoencoder", union)
    computation = consistency.computation(config)
    state = computation.init(jax.random.key(0))
    initial = checkpoints.load_params(workflow / "initial")
    jax.tree.map(
        np.testing.assert_array_equal, state.params["backbone"], initial["params"]["backbone"]
    )
    old = np.asarray(initial["params"]["head"]["kernel"]).reshape(-1, 5, 179)
    new = np.asarray(state.params["head"]["kernel"]).reshape(old.shape[0], 5, -1)
    np.testing.assert_array_equal(new[..., :179], old)
    np.testing.assert_allclose(new[..., 179:], old @ np.asarray(maps.encode).T, atol=1e-5)


def test_stage_1_starts_from_another_run(workflow, caplog):
    """What two unions share comes along: the backbone, and the head's rows of equal joints."""
    config = configs.read(workflow / "initial")
    theirs = building.joint_union(config.data)
    ours = unions.of([catalogue.load(name) for name in ("mixamo", "smpl")])
    network = building.network(config, len(ours.joint_names))
    fresh = step.fresh_variables(network, jax.random.key(1))
    loaded = checkpoints.load_params(workflow / "initial")

    started = initial_weights.from_run(fresh, workflow / "initial", "head rows", ours)
    assert "27 of" in caplog.text and "; not of" in caplog.text
    kernels = [
        np.asarray(variables["params"]["head"]["kernel"]).reshape(-1, 5, len(union.joint_names))
        for variables, union in ((loaded, theirs), (fresh, ours), (started, ours))
    ]
    for joint, name in enumerate(ours.joint_names):
        if name in theirs.joint_names:
            expected = kernels[0][..., theirs.joint_names.index(name)]
        else:
            expected = kernels[1][..., joint]
        np.testing.assert_array_equal(kernels[2][..., joint], expected)
    jax.tree.map(
        np.testing.assert_array_equal, started["params"]["backbone"], loaded["params"]["backbone"]
    )
    started = initial_weights.from_run(fresh, workflow / "initial", "backbone", ours)
    jax.tree.map(np.testing.assert_array_equal, started["params"]["head"], fresh["params"]["head"])
    with pytest.raises(ValueError, match=r"was trained for other joints .no joint lhip_smpl"):
        initial_weights.from_run(fresh, workflow / "initial", "whole", ours)
    with pytest.raises(ValueError, match=r"init.part is 'all'; it must be one of whole"):
        initial_weights.from_run(fresh, workflow / "initial", "all", ours)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("initial", "stage=initial"),
        ("autoencoder", "stage=autoencoder"),
        ("hybrid", "stage=consistency,variant=hybrid"),
    ],
)
def test_a_finished_run_is_returned_without_data_or_the_runs_before_it(
    workflow, tmp_path, name, arguments
):
    """Only the run's own folder is there: nothing else is opened."""
    shutil.copytree(workflow / name, tmp_path / name)
    state = run(tmp_path / "nowhere", tmp_path, name, arguments)
    assert checkpoints.checksum(state) == newest_checksum(workflow / name)


def newest_checksum(folder):
    return checkpoints.newest_metadata(folder)["crc32"]


@pytest.mark.parametrize(
    ("arguments", "upstream"),
    [
        ("stage=autoencoder", "initial"),
        ("stage=consistency,variant=latent", "autoencoder"),
    ],
)
def test_a_continued_run_needs_no_run_before_it_and_ends_in_the_same_bits(
    workflow, data, tmp_path, arguments, upstream, caplog
):
    for name in ("initial", "autoencoder"):
        shutil.copytree(workflow / name, tmp_path / name)
    whole = run(data, tmp_path, "run", arguments, "loop.save_every=2")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "4")
    copied = shutil.copytree(tmp_path / "run", tmp_path / "copied")

    for name in ("initial", "autoencoder"):
        (tmp_path / name).rename(tmp_path / f"{name} is gone")
    state = run(data, tmp_path, "run", arguments, "loop.save_every=2")
    assert checkpoints.checksum(state) == checkpoints.checksum(whole)

    caplog.clear()
    shutil.copytree(workflow / "separate", tmp_path / upstream)  # any other state
    state = run(data, tmp_path, copied.name, arguments, "loop.save_every=2")
    assert checkpoints.checksum(state) == checkpoints.checksum(whole)
    assert f"{tmp_path / upstream} has changed since" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "overrides", "message"),
    [
        ("stage=intial", (), "stage is 'intial'; it must be one of"),
        ("stag=initial", (), "did you mean 'stage'"),
        ("stage=consistency,variant=best", (), "variant is 'best'; it must be one of"),
        ("stage=initial", ("data.side_pxx=3",), "did you mean 'side_px'"),
        ("stage=initial", ("data.union=('smpl','mixmo')",), "did you mean 'mixamo'"),
        ("stage=initial", ("data.quotas=(('embedded_mixmo', 16),)",), "did you mean"),
        ("stage=initial", ("data.quotas=(('embedded_mixamo', 17),)",), "ghost groups of 16"),
        ("stage=initial", ("model.backbone=resnet19",), "did you mean 'resnet"),
    ],
)
def test_bad_input_is_one_line_with_the_fix(data, tmp_path, arguments, overrides, message):
    with pytest.raises(ValueError, match=r".+") as caught:
        run(data, tmp_path, "initial", arguments, *overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_name_of_the_test_set_means_none():
    config = configs.load(CONFIG, ("evals.test.dataset=",))
    union = building.joint_union(config.data)
    variant = objective.separate(len(union.joint_names))
    network = building.network(config, variant.points)
    assert building.evaluation_of(config, network, variant, union) is None


def test_a_stage_without_the_one_before_it_says_so(data, tmp_path):
    with pytest.raises(OSError, match="train that stage first"):
        run(data, tmp_path, "autoencoder", "stage=autoencoder")
    with pytest.raises(ValueError, match="holds no run of stage 1"):
        stages.of_workflow(tmp_path)
