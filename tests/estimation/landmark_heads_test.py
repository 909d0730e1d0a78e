"""Heads on the landmark network: the looks they learn from, their constraints, their training."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.datasets.synthetic import build as people
from acae_jax.datasets.synthetic import scenes, studios, takes
from acae_jax.estimation.model import landmark_heads
from acae_jax.estimation.photographs import heads_stage, look_dataset
from acae_jax.foreign import blazepose_weights
from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons import union as unions
from acae_jax.training import logs, loop
from configs.estimation import photographs

NAMES = catalogue.load("mediapipe_33").joint_names
LIMBS = [NAMES.index(f"{side}{part}") for side in "lr" for part in ("sho", "elb", "hip", "kne")]


@pytest.fixture(scope="module")
def networks():
    return look_dataset.opened(blazepose_weights.PACKAGED)


def limbs_px(look):
    """Where the labels of the limbs are in the crop."""
    joint_names = catalogue.load(look.format).joint_names
    joints_mm = look.joints_mm[[joint_names.index(NAMES[limb]) for limb in LIMBS]]
    homogeneous = joints_mm @ look.intrinsics.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


@pytest.mark.parametrize("number", [1, 4])
def test_labels_and_landmarks_lie_at_the_same_places(networks, number):
    """However a look is turned or mirrored, left is where the network sees left."""
    studio = studios.STUDIOS["embedded_coco_body"]
    record = scenes.make(studio, 5, takes.make(studio, 5, number), 24 * number, 192)
    looks = look_dataset.of_person(networks, record, 8, np.random.default_rng(number))
    off_px = [np.median(np.abs(limbs_px(look) - look.points_px[LIMBS])) for look in looks]
    assert np.median(off_px) < 8, off_px
    (plain,) = look_dataset.of_person(networks, record, 1, None)
    assert np.median(np.abs(limbs_px(plain) - plain.points_px[LIMBS])) < 8


def test_both_hands_are_among_the_looks():
    rng = np.random.default_rng(0)
    views = [look_dataset.random_view(rng) for _ in range(100)]
    assert 30 < sum(view.flip for view in views) < 70
    assert 5 < sum(abs(view.roll) > 1 for view in views) < 35


def test_points_begin_as_the_landmarks():
    begin = landmark_heads.start()
    np.testing.assert_array_equal(begin[:33], np.eye(33))
    np.testing.assert_allclose(begin.sum(axis=1), 1, atol=1e-6)
    mirror = skeleton.mirror_map(landmark_heads.point_names())
    np.testing.assert_allclose(begin[mirror][:, mirror[:33]], begin, atol=1e-6)


def test_rows_sum_to_one_and_are_mirrored():
    union = unions.of([catalogue.load("coco_body"), catalogue.load("mh_default")])
    mirrors = heads_stage.mirrors_of(union)
    shape = len(union.joint_names), landmark_heads.POINTS
    raw = jnp.asarray(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    rows = heads_stage.constrained(raw, mirrors)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(rows[mirrors.joints][:, mirrors.points], rows, atol=1e-6)
    np.testing.assert_allclose(heads_stage.constrained(rows, mirrors), rows, atol=1e-6)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The training of two small datasets of looks."""
    folder: Path = tmp_path_factory.mktemp("looks")
    names = ("embedded_coco_body", "embedded_test")
    people.build(folder / "people", size="tiny", datasets=names, workers=2)
    look_dataset.build(folder / "people", folder / "looks", names, blazepose_weights.PACKAGED, 2)
    made = photographs.get_config(f"data={folder / 'looks'},runlocal=True")
    made.data.union = ("coco_body",)
    made.data.quotas = (("embedded_coco_body", 8),)
    made.steps, made.model.hidden = 30, 32
    return made


EVERY = {"seed": 0, "save_every": 15, "evaluate_every": 30, "log_every": 10}


def test_heads_learn_and_resume_to_the_bit(config, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    uninterrupted = loop.fit(heads_stage.task(config, whole), whole, steps=30, **EVERY)
    rows = logs.read(whole / loop.LOG)
    curve = [row["loss"] for row in rows if "loss" in row]
    assert curve[-1] < 0.9 * curve[0]
    (error_mm,) = (row["test/mpjpe_mm"] for row in rows if "test/mpjpe_mm" in row)
    assert error_mm < 250
    loop.fit(heads_stage.task(config, parts), parts, steps=15, **EVERY)
    resumed = loop.fit(heads_stage.task(config, parts), parts, steps=30, **EVERY)
    jax.tree.map(np.testing.assert_array_equal, uninterrupted.params, resumed.params)


def test_looks_of_2d_labels_are_refused(tmp_path):
    people.build(tmp_path, size="tiny", datasets=["embedded_2d"], workers=1)
    with pytest.raises(ValueError, match="embedded_2d has no 3D labels"):
        look_dataset.build(
            tmp_path, tmp_path / "out", ["embedded_2d"], blazepose_weights.PACKAGED, 1
        )
