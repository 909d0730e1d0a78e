"""Runs are matched by the names of their joints, never by position."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.estimation import autoencoder_stage, building, initial_weights
from acae_jax.estimation.model import autoencoder
from acae_jax.skeletons import union as unions
from acae_jax.skeletons.skeleton import Skeleton
from acae_jax.training import checkpoints
from acae_jax.training.state import TrainState

A = Skeleton("a", ("neck", "lhip", "rhip"), ())
B = Skeleton("b", ("lank", "rank"), ())
THEIRS, OURS = unions.of([A, B]), unions.of([B, A])
BLOCKS = 3  # of head channels for each joint


def saved(folder, params, union):
    """The folder of a run with these parameters of this union."""
    state = TrainState(jnp.array(1), params, {"batch_stats": {}}, ())
    facts = {"seed": 0, **building.metadata(union)}
    with checkpoints.Checkpoints(folder, facts) as run:
        run.save(state, wait=True)
    return folder


@pytest.fixture(scope="module")
def stage_one(tmp_path_factory):
    """A run whose head's channels tell block and joint: 10 × block + joint's place in THEIRS."""
    channels = jnp.array([[10.0 * b + j for j in range(5)] for b in range(BLOCKS)]).reshape(1, -1)
    params = {"backbone": {"w": jnp.ones(2)}, "head": {"kernel": channels, "bias": channels[0]}}
    return saved(tmp_path_factory.mktemp("stage_one"), params, THEIRS)


def test_a_reversed_union_gets_its_own_joints_channels(stage_one):
    expected = [10 * b + THEIRS.joint_names.index(n) for b in range(3) for n in OURS.joint_names]
    fresh = jax.tree.map(jnp.zeros_like, checkpoints.load_params(stage_one))
    for variables in (
        initial_weights.stage_one(stage_one, OURS),
        initial_weights.from_run(fresh, stage_one, "whole", OURS),
        initial_weights.from_run(fresh, stage_one, "head rows", OURS),
    ):
        head = variables["params"]["head"]
        np.testing.assert_array_equal(head["kernel"][0], expected)
        np.testing.assert_array_equal(head["bias"], expected)
    same = initial_weights.stage_one(stage_one, THEIRS)["params"]["head"]["bias"]
    np.testing.assert_array_equal(same, [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24])


def test_a_part_of_the_union_takes_its_channels_and_a_larger_one_is_refused(stage_one):
    part = unions.of([B])
    head = initial_weights.stage_one(stage_one, part)["params"]["head"]
    np.testing.assert_array_equal(head["bias"], [3, 4, 13, 14, 23, 24])
    with pytest.raises(ValueError, match=r"predicts 5 joints and this run 2 .*'head rows'"):
        initial_weights.stage_one(stage_one, part, whole=True)
    more = unions.of([A, B, Skeleton("c", ("nose",), ())])
    with pytest.raises(
        ValueError, match=r"other joints \(no joint nose_c among neck_a.*data.union"
    ):
        initial_weights.stage_one(stage_one, more)


def test_an_autoencoder_is_matched_by_name(tmp_path):
    sides = autoencoder.sides_of(THEIRS.joint_names)
    params = autoencoder.init(jax.random.key(0), sides, autoencoder.Latents(1, 1))
    folder = saved(tmp_path / "autoencoder", params, THEIRS)
    theirs, ours = autoencoder_stage.load(folder, THEIRS), autoencoder_stage.load(folder, OURS)
    places = [THEIRS.joint_names.index(name) for name in OURS.joint_names]
    np.testing.assert_array_equal(ours.encode, np.asarray(theirs.encode)[:, places])
    np.testing.assert_array_equal(ours.decode, np.asarray(theirs.decode)[places])
    with pytest.raises(ValueError, match=r"joins 5 joints .*but this run has 2 .*data.union"):
        autoencoder_stage.load(folder, unions.of([B]))
