"""Sums over a stream are those over the whole, and a stream never waits in full."""

import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.benchmarks import scoring
from acae_jax.metrics import Masked


def test_a_tally_over_batches_has_the_means_of_the_whole():
    rng = np.random.default_rng(0)
    values, mask = rng.normal(size=(50, 4)), rng.random((50, 4)) < 0.3
    values[~mask] = np.nan  # what does not count may be anything
    tally = scoring.Tally()
    for start in range(0, 50, 7):
        part = slice(start, start + 7)
        tally.add("a", {"error": Masked(values[part], mask[part])})
    tally.add("b", {"error": Masked(np.full((2, 3), 5.0), np.ones((2, 3), bool))})
    tally.add("none", {"error": Masked(np.ones((2, 3)), np.zeros((2, 3), bool))})
    means = tally.means()
    assert list(means) == ["a", "b"] and means["b"] == {"error": 5.0}
    assert means["a"]["error"] == pytest.approx(values[mask].mean())


def test_the_mean_over_groups_takes_those_that_have_the_metric():
    means = {"a": {"x": 1.0, "y": 7.0}, "b": {"x": 3.0}}
    assert scoring.mean_over_groups(means) == {"x": 2.0, "y": 7.0}
    assert scoring.mean_over_groups({}) == {}


def test_a_stream_is_two_batches_ahead_at_most_and_stays_in_order():
    launched, read = [], []

    def batches():
        for number in range(6):
            assert len(launched) - len(read) <= 2
            yield number

    def predict(number):
        launched.append(number)
        return jnp.full(3, number), jnp.ones(1)

    for batch, (output, _) in scoring.streamed(predict, batches()):
        assert isinstance(output, np.ndarray) and (output == batch).all()
        read.append(batch)
        assert len(launched) - len(read) <= 1
    assert read == list(range(6))


@pytest.mark.parametrize("count", [1, 4, 5])
def test_predictions_are_those_of_each_example_without_the_padding(count):
    examples = [{"x": np.full(2, i, np.float32)} for i in range(count)]
    sizes = []

    def predict(batch):
        sizes.append(len(batch["x"]))
        return jnp.asarray(batch["x"]) * 2

    predicted = scoring.predictions(predict, examples, 4)
    np.testing.assert_array_equal(predicted, np.arange(count)[:, None] * [2, 2])
    assert set(sizes) == {4}
