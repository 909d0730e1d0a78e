"""Shares of the training become steps: the published ones at the published number of steps."""

import pytest

from acae_jax import config as configs
from acae_jax.data.examples import Augmentation
from acae_jax.estimation import schedules
from acae_jax.estimation.model import objective, step
from acae_jax.training import optimizers

DOZENS = "configs/estimation/dozens.py"
EMBEDDED = "configs/estimation/embedded.py"


def times(path, *overrides):
    """(absolute_from, teacher_from, weak_until, frozen_norm_from) of a config."""
    config = configs.load(path, overrides)
    weights = schedules.weights(config.weights, config.steps)
    schedule = schedules.schedule(config.schedule, config.steps)
    return weights.absolute_from, weights.teacher_from, *schedule


def test_the_published_steps_are_those_of_the_publication():
    assert times(DOZENS) == (5000, 5000, 500, 399_000)
    assert times(f"{DOZENS}:stage=consistency") == (5000, 5000, 0, 39_000)


def test_every_time_follows_the_number_of_steps():
    assert times(DOZENS, "steps=50000") == (625, 625, 62, 49_000)
    assert times(EMBEDDED) == (100, 0, 100, None)
    assert times(f"{EMBEDDED}:ablation") == (100, 0, 100, None)
    assert times(EMBEDDED, "steps=14000") == (200, 0, 200, None)
    assert times(f"{EMBEDDED}:stage=consistency,variant=hybrid") == (0, 0, 0, None)


def test_norms_may_be_frozen_from_the_first_step():
    assert schedules.schedule({"weak_until": 0.0, "frozen_norms": True}, 10) == (0, 0)
    assert schedules.schedule({"weak_until": 0.0, "frozen_norms": False}, 10) == (0, None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("weights.absolute_from=5000", "weights.absolute_from is 5000.0; it is a share of the"),
        ("schedule.weak_until=-0.5", "schedule.weak_until is -0.5; it is a share of the steps"),
        ("steps=900", "frozen_norm_last is 1000, but there are 900 steps"),
    ],
)
def test_times_that_make_no_sense_are_one_line(override, message):
    with pytest.raises(ValueError, match=message):
        times(DOZENS, override)


def test_a_wrong_name_is_told_with_the_likely_one():
    with pytest.raises(ValueError, match=r"config\.weights has no 'labels2d'; did you mean"):
        schedules.weights({"labels2d": 1.0}, 10)
    with pytest.raises(ValueError, match=r"config\.schedule has no 'frozen_norm_from'; did"):
        schedules.schedule({"weak_until": 0.0, "frozen_norm_from": 9}, 10)


def test_every_value_stands_in_the_configs_and_can_be_changed():
    values = ("weights.absolute_from=0.5", "weights.labels_2d=0.1", "data.augmentation.roll=0.2")
    values += ("optimizer.muon_rate=0.02", "optimizer.kernel_norm=1e9", "optimizer.decay=0.1")
    for path in (DOZENS, EMBEDDED):
        config = configs.load(path, values)
        assert set(config.weights) == set(objective.LossWeights._fields)
        assert set(config.data.augmentation) == set(Augmentation._fields)
        assert config.optimizer.muon_rate == 0.02
        optimizers.initial(
            10, **configs.keywords(optimizers.initial, config.optimizer, "optimizer")
        )
    published = configs.load(DOZENS)
    assert Augmentation(**published.data.augmentation) == Augmentation()
    assert schedules.weights(published.weights, published.steps) == objective.LossWeights()
    assert step.Schedule().weak_until == 500
