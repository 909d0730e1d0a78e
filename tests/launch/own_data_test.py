"""Fine-tuning on somebody's own data: what it begins with, what it learns, what comes out of it."""

import contextlib
import json
import shutil
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import own_people
import pytest

from acae_jax import config as configs
from acae_jax import export, prepare, report, train
from acae_jax.bundles import bundle, compiling
from acae_jax.estimation import building, initial
from acae_jax.estimation.model import network as networks
from acae_jax.estimation.own_data import bases, first_rows, stage
from acae_jax.estimation.packing import architecture
from acae_jax.skeletons import skeleton
from acae_jax.skeletons.skeleton import Skeleton
from acae_jax.training import checkpoints, logs

CONFIG, OLD = "configs/estimation/own.py", ("mixamo", "coco_body")
SMALL = ("data.side_px=48", "data.union=('mixamo','coco_body')", "loop.devices=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Somebody's own data, and a run of an untrained network."""
    place = tmp_path_factory.mktemp("own")
    path = own_people.write(place / "recordings", train=24, test=12, masks=False)
    assert prepare.main([str(path), "--out", str(place / "own"), "--jobs", "1"]) == 0
    text = f"configs/estimation/embedded.py:runlocal,stage=initial,data={place}/embedded"
    config = configs.load(text, SMALL)
    configs.save(config, place / "base")
    facts = {"seed": 0, **building.metadata(building.joint_union(config.data))}
    with checkpoints.Checkpoints(place / "base", facts) as kept:
        kept.save(initial.computation(config).init(jax.random.key(0)), wait=True)
    return place


def config_of(folder, *overrides, file=CONFIG, **arguments):
    values = {"own": f"{folder}/own/stickers", "skeleton": f"{folder}/recordings/stickers.json"}
    values |= {"base": f"{folder}/base", "mixture": "none", "test": "test", **arguments}
    text = ",".join(f"{name}={value}" for name, value in values.items())
    settings = ("optimizer.base_rate=2e-2", "optimizer.warmup_steps=0", "loop.devices=1")
    settings += ("loop.save_every=4", "steps=8")
    return configs.load(f"{file}:runlocal,{text}", (*settings, "loop.log_every=1", *overrides))


@pytest.fixture(scope="module")
def tuned(folder):
    """A finished run."""
    train.run(config_of(folder), folder / "runs" / "tuned")
    return folder / "runs" / "tuned"


def points_of(network, variables, images):
    """The head's points, in px and in mm."""
    images = networks.as_float(jnp.asarray(images))
    return jax.jit(partial(network.apply, train=False))(variables, images).points


def test_a_network_from_a_bundle_predicts_what_the_bundle_does():
    """Its norms scale by their parameters alone, as they were folded."""
    contents = bundle.read(bundle.EMBEDDED)
    network = architecture.network(architecture.of(contents.facts))
    start = bases.load("embedded", network)
    stored = contents.reference
    points = points_of(network, start.variables, stored["images"])
    poses_mm = networks.locate(points, jnp.asarray(stored["intrinsics"]), 0.5, network.geometry)
    np.testing.assert_allclose(poses_mm, stored["poses_mm"], atol=0.05)
    assert start.joint_names == contents.facts.joint_names


def test_training_begins_with_the_bases_joints_and_combinations_of_them(folder):
    computation = stage.computation(config_of(folder))
    network, union = computation.network, computation.union
    state = computation.init(jax.random.key(0))
    start = bases.load(f"{folder}/base", network)
    count = len(start.joint_names)
    assert union.joint_names[:count] == start.joint_names
    images = np.random.default_rng(0).integers(0, 255, (2, 48, 48, 3), dtype=np.uint8)
    ours = points_of(network, {"params": state.params, **state.collections}, images)
    theirs = points_of(network.clone(points=count), start.variables, images)
    np.testing.assert_allclose(ours.px[:, :count], theirs.px, atol=1e-3)
    np.testing.assert_allclose(ours.relative_mm[:, :count], theirs.relative_mm, atol=1e-2)

    rows = np.asarray(state.params["head"]["kernel"]).reshape(-1, len(union.joint_names))
    old, new = rows[:, :count], rows[:, count:]
    weights = np.linalg.lstsq(old, new, rcond=None)[0]
    np.testing.assert_allclose(old @ weights, new, atol=1e-5)
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


def test_norms_keep_their_statistics(tuned, folder):
    before, after = (
        checkpoints.load_params(run)["batch_stats"] for run in (folder / "base", tuned)
    )
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_a_continued_run_ends_in_the_same_bits(tuned, folder):
    copied = shutil.copytree(tuned, folder / "copied")
    shutil.rmtree(copied / "checkpoints" / "8")
    state = train.run(config_of(folder), copied)
    assert checkpoints.checksum(state) == checkpoints.newest_metadata(tuned)["crc32"]


def test_its_bundle_has_the_skeleton_and_can_be_trained_on(tuned, folder, monkeypatch):
    monkeypatch.setenv(compiling.SWITCH, "0")
    out = folder / "own_bundle"
    assert export.main([str(tuned), "--to", "bundle", "--out", str(out)]) == 0
    facts = bundle.read(out).facts
    assert list(facts.skeletons) == [*OLD, "stickers"]
    assert facts.skeletons["stickers"].joint_names == own_people.own_skeleton().joint_names
    assert facts.about["scores"]["stickers"]["mpjpe_mm"] > 0

    config = configs.read(tuned)
    crops = next(iter(building.test_crops(config, devices=1)))
    images, intrinsics = crops.inputs["image"], crops.inputs["intrinsics"]
    poses_mm, _ = bundle.load(out).crop_model(images, intrinsics)
    union = building.joint_union(config.data)
    network = building.network(config, len(union.joint_names))
    points = points_of(network, checkpoints.load_params(tuned), images)
    expected = networks.locate(points, jnp.asarray(intrinsics), 0.5, network.geometry)
    distances_mm = np.linalg.norm(expected, axis=-1, keepdims=True)
    assert (np.abs(poses_mm - expected) < 1e-3 * distances_mm).all()

    again = config_of(folder, base=out)
    assert again.data.union == config.data.union == bases.describe(str(tuned)).formats
    assert first_rows.old_and_new(union, bases.load(str(out), network).joint_names)[1] == []


@pytest.mark.parametrize(
    ("arguments", "overrides", "message"),
    [
        ({"base": "blazepose_full"}, (), "blazepose_full was not trained here"),
        ({"base": "nothing"}, (), "nothing is no model to start from"),
        ({"skeleton": "a.json+a.json"}, (), "two skeletons have one name"),
        ({"skeleton": "none.json"}, (), "no skeleton file at none.json"),
        ({"skeleton": "mixamo.json"}, (), "has a skeleton 'mixamo' with other joints"),
        ({"skeleton": "fewer.json"}, (), "labels stickers with the joints crown"),
        ({"mixture": "huge9"}, (), "mixture is 'huge9'; it must be one of"),
        ({"own": "data/own/none"}, (), "no dataset 'none' in data/own"),
        ({}, ("model.depth_bins=8",), "is not of the network that model describes"),
        ({}, ("data.side_px=64",), "is not of the network that model describes"),
    ],
)
def test_what_cannot_be_is_one_line(folder, tmp_path, arguments, overrides, message):
    config_file = str(Path(CONFIG).resolve())
    skeletons = {
        "a": Skeleton("a", ("crown",), ()),
        "mixamo": Skeleton("mixamo", ("pelv", "lhip", "rhip"), ()),
        "fewer": Skeleton("stickers", ("crown", "brow"), ()),
    }
    for name, one in skeletons.items():
        skeleton.write(tmp_path / f"{name}.json", one)
    with contextlib.chdir(tmp_path):
        with pytest.raises((ValueError, OSError), match=r".+") as caught:
            train.run(config_of(folder, *overrides, file=config_file, **arguments), "run")
        assert not Path("run/config.json").exists()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
