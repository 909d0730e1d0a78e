"""Up is found among people of whom some lie."""

import numpy as np
import pytest

from acae_jax.datasets.steps import upright


def test_few_who_lie_do_not_turn_the_world():
    rng = np.random.default_rng(0)
    up = np.array([0.1, -0.95, 0.3]) / np.linalg.norm([0.1, -0.95, 0.3])
    standing = 1500 * (up + 0.03 * rng.normal(size=(40, 3)))
    lying = np.tile([900.0, 0, 0], (9, 1))
    trunks = np.concatenate([standing, lying, [[np.nan] * 3]])
    found, axis = upright.direction(trunks), upright.axis(trunks)
    assert found is not None and axis is not None
    assert np.degrees(np.arccos(found @ up)) < 2
    mean = np.nanmean(trunks / np.linalg.norm(trunks, axis=-1, keepdims=True), axis=0)
    assert np.degrees(np.arccos(mean @ up / np.linalg.norm(mean))) > 8  # what the mean would be
    np.testing.assert_allclose(axis, [0, -1, 0])


@pytest.mark.parametrize("trunks", [np.zeros((0, 3)), np.full((2, 3), np.nan), np.zeros((2, 3))])
def test_nobody_tells_nothing(trunks):
    assert upright.direction(trunks) is None and upright.axis(trunks) is None


def test_one_person_is_enough():
    found = upright.direction(np.array([[0.0, -700, 0]]))
    assert found is not None
    np.testing.assert_allclose(found, [0, -1, 0])
