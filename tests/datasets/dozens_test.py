"""The published recipe – 28 + 4 datasets, 555 joints, ghost groups of 16 – from releases on.

The 32 datasets are what their builders make of the tiny releases of their tests.
"""

import importlib

import miniature
import numpy as np
import pytest

from acae_jax import config as configs
from acae_jax import train
from acae_jax.data import crop_batches, sources
from acae_jax.datasets import building as datasets
from acae_jax.datasets import official, shards
from acae_jax.estimation import building
from acae_jax.skeletons import union as unions
from acae_jax.training import checkpoints, logs, loop

CONFIG = "configs/estimation/dozens.py"
# Compiling is most of the work: one program a stage, for one device.
OVERRIDES = ("loop.devices=1", "schedule.frozen_norm_last=0")
UNION = unions.mixture("huge8")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The first unit of every release."""
    folder = tmp_path_factory.mktemp("data")
    for name in official.NAMES:
        tests = importlib.import_module(f"official_{name}_test")
        with miniature.released(tests, tmp_path_factory.mktemp(name)) as raw:
            plan = datasets.plan(datasets.load(name), raw, folder)
            first = next(unit for unit in plan.units if unit.split == "train")
            plan = plan._replace(units=(first,), networks=miniature.networks())
            assert shards.build(plan, workers=1) == folder / name / plan.release.version
    return folder


def test_all_releases_become_datasets_whose_joints_have_places(data):
    assert set(sources.available(data)) == set(official.NAMES)
    for name in official.NAMES:
        source = crop_batches.open_crops(name, data, "train", UNION)
        (label_format,) = crop_batches.formats(source)
        is_3d = label_format in UNION.members
        for record in source:
            assert record.format == label_format
            labels = record.joints_mm if is_3d else record.joints_px
            assert len(labels) == len(source.joint_names[label_format])
            assert np.isfinite(labels).all(axis=-1).any()


def test_ghost_groups_see_the_datasets_of_the_recipe(data):
    config = configs.load(f"{CONFIG}:runlocal,data={data}", OVERRIDES)
    names = [name for name, _ in config.data.quotas]
    assert names == list(official.NAMES)
    batch = next(building.training_batches(config, UNION)(0))
    groups = batch["dataset"].reshape(-1, config.data.ghost_size)
    assert np.all(np.diff(batch["dataset"]) >= 0)
    assert [len(set(group)) for group in groups] == [4, 4, 5, 5, 7, 7, 2, 2]
    assert {names[dataset] for dataset in groups[-1]} == {"jrdb", "posetrack"}
    for dataset, valid, labelled in zip(
        batch["dataset"], batch["valid"], batch["labels_valid"], strict=True
    ):
        places = UNION.members.get(names[dataset], ())
        assert set(np.flatnonzero(valid)) <= set(places)
        assert valid.any() if places else labelled.any()


def test_two_steps_of_each_stage(data, tmp_path):
    rows = {}
    for stage, name in (
        ("initial", "initial"),
        ("autoencoder", "autoencoder"),
        ("consistency", "regularised"),
    ):
        arguments = f"runlocal,data={data},run={tmp_path},stage={stage}"
        config = configs.load(f"{CONFIG}:{arguments}", OVERRIDES)
        train.run(config, str(tmp_path / name))
        rows[name] = logs.read(tmp_path / name / loop.LOG)[-1]
        assert rows[name]["step"] == 2
        assert all(np.isfinite(v) for v in rows[name].values() if isinstance(v, float))
    for name in ("relative", "projected", "labels_2d"):
        assert rows["initial"][name] > 0 and rows["regularised"][name] > 0
    for name in ("initial", "regularised"):
        params = checkpoints.load_params(tmp_path / name)["params"]
        assert params["head"]["bias"].shape == (9 * 555,)
