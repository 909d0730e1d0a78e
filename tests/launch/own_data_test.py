"""Fine-tuning on somebody's own data: what it begins with, what it learns, what comes out of it."""

import json
import shutil

import jax
import numpy as np
import own_people
import pytest

from acae_jax import config as configs
from acae_jax import export, report, train
from acae_jax.bundles import bundle, compiling
from acae_jax.datasets.synthetic import build
from acae_jax.estimation import building, initial
from acae_jax.estimation.model import network as networks
from acae_jax.estimation.own_data import bases, first_rows, stage
from acae_jax.estimation.packing import architecture
from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons.skeleton import Skeleton
from acae_jax.training import checkpoints, logs

CONFIG, OLD = "configs/estimation/own.py", ("mixamo", "coco_body")
SMALL = ("data.side_px=48", "data.union=('mixamo','coco_body')", "loop.devices=1")


@pytest.fixture(autouse=True, scope="module")
def no_cache():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(compiling.SWITCH, "0")
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data of both kinds, and a bundle of an untrained network."""
    place = tmp_path_factory.mktemp("own")
    build.build(place / "embedded", size="tiny", workers=1, datasets=["embedded_mixamo"])
    own_people.write(place / "own", train=24, test=12, formats=("mixamo",))
    text = f"configs/estimation/embedded.py:runlocal,stage=initial,data={place}/embedded"
    config = configs.load(text, (*SMALL, "evals.test.dataset="))
    configs.save(config, place / "run")
    facts = {"seed": 0, **building.metadata(building.joint_union(config.data))}
    with checkpoints.Checkpoints(place / "run", facts) as kept:
        kept.save(initial.computation(config).init(jax.random.key(0)), wait=True)
    assert export.main([str(place / "run"), "--to", "bundle", "--out", str(place / "base")]) == 0
    return place


def config_of(folder, *overrides, base="base", own="own/stickers"):
    arguments = f"runlocal,own={folder}/{own},skeleton={folder}/own/stickers.json"
    arguments += f",base={folder}/{base},data={folder}/embedded"
    quotas = (("embedded_mixamo", 8), (f"{folder}/{own}", 8))
    return configs.load(
        f"{CONFIG}:{arguments}",
        (
            f"data.quotas={quotas}",
            "evals.others.dataset=",
            "optimizer.base_rate=3e-3",
            "loop.devices=1",
            *overrides,
        ),
    )


@pytest.fixture(scope="module")
def tuned(folder):
    """A finished run."""
    config = config_of(folder, "steps=8", "loop.log_every=1", "loop.save_every=4")
    train.run(config, folder / "runs" / "tuned")
    return folder / "runs" / "tuned"


def predicted(network, variables, images, intrinsics):
    return np.asarray(
        jax.jit(lambda *inputs: networks.predict(network, lambda p: p, *inputs))(
            variables, images, intrinsics
        )
    )


def test_a_network_from_a_bundle_predicts_what_the_bundle_does():
    """Norms are scaled by their parameters alone, as folded."""
    contents = bundle.read(bundle.EMBEDDED)
    network = architecture.network(architecture.of(contents.facts))
    start = bases.load("embedded", network)
    stored = contents.reference
    poses_mm = predicted(network, start.variables, stored["images"], stored["intrinsics"])
    np.testing.assert_allclose(poses_mm, stored["poses_mm"], atol=0.05)
    assert start.joint_names == contents.facts.joint_names


def test_training_begins_with_the_bundles_joints_and_combinations_of_them(folder):
    config = config_of(folder)
    computation = stage.computation(config)
    state = computation.init(jax.random.key(0))
    opened = bundle.read(folder / "base")
    start = bases.load(str(folder / "base"), computation.network)
    own = bundle.load(folder / "base")
    stored = opened.reference
    variables = {"params": state.params, **state.collections}
    poses_mm = predicted(computation.network, variables, stored["images"], stored["intrinsics"])
    count = len(opened.facts.joint_names)
    expected, _ = own.crop_model(stored["images"], stored["intrinsics"])
    scale = np.linalg.norm(expected, axis=-1, keepdims=True)
    assert (np.abs(poses_mm[:, :count] - expected) < 1e-3 * scale).all()
    kernel = np.asarray(state.params["head"]["kernel"])
    old = np.asarray(start.variables["params"]["head"]["kernel"]).reshape(-1, count)
    rows = kernel.reshape(-1, len(computation.union.joint_names))
    new = rows[:, count:]
    weights = np.linalg.lstsq(old, new, rcond=None)[0]
    np.testing.assert_allclose(old @ weights, new, atol=1e-4)  # each block alike
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-3)


def test_new_rows_are_learned_or_else_of_the_same_part_of_the_body():
    rng = np.random.default_rng(0)
    theirs = ("pelv_a", "lkne_a", "rkne_a", "lank_a", "rank_a", "head_a")
    ours = ("left_knee_b", "right_knee_b", "left_thing_b", "right_thing_b")
    by_part = first_rows.by_part(theirs, ours)
    np.testing.assert_array_equal(by_part[0], [0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(by_part[3], [0, 0, 0.5, 0, 0.5, 0])
    predicted_mm = rng.normal((0, 0, 4000), 300, (40, 6, 3))
    planted = np.zeros((4, 6))
    planted[0, [1, 3]] = planted[1, [2, 4]] = planted[2, [1, 5]] = planted[3, [2, 5]] = 0.7, 0.3
    labelled_mm = planted @ predicted_mm
    learned = first_rows.fitted(predicted_mm, labelled_mm, theirs, ours)
    np.testing.assert_allclose(learned, planted, atol=0.03)
    labelled_mm[:, 2:] = np.nan
    learned = first_rows.fitted(predicted_mm, labelled_mm, theirs, ours)
    assert np.isfinite(learned[:2]).all() and np.isnan(learned[2:]).all()
    labelled_mm[5:] = np.nan
    assert np.isnan(first_rows.fitted(predicted_mm, labelled_mm, theirs, ours)).all()


def test_training_is_better_at_the_new_joints_and_reports_it(tuned, capsys):
    rows = logs.read(tuned / "metrics.jsonl")
    losses = [row["dataset/stickers"] for row in rows if "loss" in row]
    assert len(losses) == 8 and np.mean(losses[-3:]) < 0.9 * losses[0]
    scored = [row for row in rows if "loss" not in row]
    assert [row["step"] for row in scored] == [0, 8]
    before, after = (row["test/mpjpe_mm/stickers"] for row in scored)
    assert report.main([str(tuned.parent)]) == 0
    figures = json.loads((tuned.parent / "report.json").read_text())["tuned"]
    assert figures["test/mpjpe_mm/stickers"]["before"] == before
    assert figures["test/mpjpe_mm/stickers"]["after"] == after
    assert f"{100 * (after / before - 1):+.1f} %" in capsys.readouterr().out


def test_norms_stay_as_they_were(tuned):
    stats = checkpoints.load_params(tuned)["batch_stats"]
    for path, values in jax.tree_util.tree_leaves_with_path(stats):
        np.testing.assert_allclose(values, 0.0 if path[-1].key == "mean" else 1 - 1e-3, atol=1e-6)


def test_a_continued_run_ends_in_the_same_bits(tuned, folder):
    copied = shutil.copytree(tuned, folder / "copied")
    before = checkpoints.newest_metadata(copied)["crc32"]
    shutil.rmtree(copied / "checkpoints" / "8")
    config = config_of(folder, "steps=8", "loop.log_every=1", "loop.save_every=4")
    state = train.run(config, copied)
    assert checkpoints.checksum(state) == before


def test_its_bundle_has_the_skeleton_and_can_be_trained_on(tuned, folder):
    out = folder / "own_bundle"
    assert export.main([str(tuned), "--to", "bundle", "--out", str(out)]) == 0
    facts = bundle.read(out).facts
    assert list(facts.skeletons) == [*OLD, "stickers"]
    chosen = facts.skeletons["stickers"]
    assert chosen.joint_names == own_people.own_skeleton().joint_names
    test = building.test_crops(configs.read(tuned), devices=1)
    crops = next(iter(test))
    poses_mm, _ = bundle.load(out).crop_model(crops.inputs["image"], crops.inputs["intrinsics"])
    config = configs.read(tuned)
    union = building.joint_union(config.data)
    network = building.network(config, len(union.joint_names))
    expected = predicted(
        network, checkpoints.load_params(tuned), crops.inputs["image"], crops.inputs["intrinsics"]
    )
    scale = np.linalg.norm(expected, axis=-1, keepdims=True)
    assert (np.abs(poses_mm - expected) < 1e-3 * scale).all()
    again = config_of(folder, base="own_bundle")
    assert [catalogue.load(name).name for name in again.data.union] == [*OLD, "stickers"]
    start = bases.load(str(out), network)
    assert first_rows.old_and_new(union, start.joint_names)[1] == []
    run = bases.describe(str(tuned))
    assert run.formats == again.data.union


@pytest.mark.parametrize(
    ("settings", "overrides", "message"),
    [
        ({"base": "blazepose_full"}, (), "blazepose_full was not trained here"),
        ({"base": "nothing"}, (), "nothing is no model to start from"),
        ({"skeleton": "a.json+a.json"}, (), "two skeletons have one name"),
        ({"skeleton": "none.json"}, (), "no skeleton file at"),
        ({"skeleton": "mixamo.json"}, (), "has a skeleton 'mixamo' with other joints"),
        ({"skeleton": "fewer.json"}, (), "labels stickers with the joints crown"),
        ({"mixture": "huge9"}, (), "mixture is 'huge9'; it must be one of"),
        ({"own": "data/own/none"}, (), "no dataset 'none' in data/own"),
        ({}, ("model.depth_bins=8",), "model.depth_bins"),
        ({}, ("model.backbone=resnet18", "model.stride=32"), "of another network"),
    ],
)
def test_what_cannot_be_is_one_line(folder, tmp_path, monkeypatch, settings, overrides, message):
    for name, joints in (("mixamo", ("pelv", "lhip", "rhip")), ("stickers", ("crown", "brow"))):
        path = {"mixamo": "mixamo.json", "stickers": "fewer.json"}[name]
        skeleton.write(tmp_path / path, Skeleton(name, joints, ()))
    skeleton.write(tmp_path / "a.json", Skeleton("a", ("crown",), ()))
    at = str(tmp_path)
    values = {"own": f"{folder}/own/stickers", "skeleton": f"{folder}/own/stickers.json"}
    values |= {"base": f"{folder}/base", "data": f"{folder}/embedded", **settings}
    if "skeleton" in settings:
        values["skeleton"] = "+".join(f"{at}/{name}" for name in settings["skeleton"].split("+"))
    text = ",".join(f"{name}={value}" for name, value in values.items())
    with pytest.raises((ValueError, OSError), match=r".+") as caught:
        config = configs.load(
            f"{CONFIG}:runlocal,{text}",
            (f"data.quotas={((values['own'], 16),)}", "evals.others.dataset=", *overrides),
        )
        train.run(config, tmp_path / "run")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "config.json").exists()
