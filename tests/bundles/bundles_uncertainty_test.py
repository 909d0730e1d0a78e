"""Calibration recovers how errors follow from spreads, where that is known."""

import numpy as np
import pytest

from acae_jax.bundles import uncertainty
from acae_jax.bundles.uncertainty import Calibration


def sampled(poses, seed, factors=(1.0, 2.0, 0.5)):
    """Spreads, errors around factor · spread² / 50, and that."""
    rng = np.random.default_rng(seed)
    spread = rng.uniform(20, 100, (poses, len(factors)))
    mean = np.array(factors) * spread**2 / 50
    return spread, mean * rng.gamma(4.0, 0.25, spread.shape), mean


def test_known_errors_are_expected():
    spread, error, _ = sampled(4000, 0)
    calibration = uncertainty.fit(spread, error)
    new_spread, new_error, mean = sampled(4000, 1)
    expected = uncertainty.expected_mm(calibration, new_spread)
    assert np.abs(expected / mean - 1).mean() < 0.1
    found = uncertainty.quality(calibration, new_spread, new_error)
    assert found.expected_mm == pytest.approx(found.actual_mm, rel=0.03)
    assert found.bin_error_mm < 0.05 * found.actual_mm
    assert found.spearman > 0.8 > found.spearman_of_spread


def test_the_curve_never_falls_and_is_constant_outside():
    rng = np.random.default_rng(0)
    spread = rng.uniform(20, 100, (300, 2))
    calibration = uncertainty.fit(spread, rng.uniform(10, 20, spread.shape))
    ends = np.array([[0.0, 0.0], [1e6, 1e6]])
    grid = np.linspace(0, 200, 50)
    values = uncertainty.expected_mm(calibration, np.stack([grid, grid], axis=1))
    assert (np.diff(values, axis=0) >= 0).all()
    np.testing.assert_allclose(uncertainty.expected_mm(calibration, ends), values[[0, -1]])


def test_joints_without_truth_keep_the_shared_curve():
    spread, error, _ = sampled(500, 0)
    error[:, 1] = np.nan
    calibration = uncertainty.fit(spread, error)
    assert calibration.factors[1] == 1.0
    assert calibration.factors[0] > 1.2 > 0.8 > calibration.factors[2]
    assert np.isfinite(uncertainty.quality(calibration, spread, error).actual_mm)


def test_equal_spreads_are_one_knot():
    error = np.arange(1.0, 101.0).reshape(50, 2)
    calibration = uncertainty.fit(np.full((50, 2), 7.0), error)
    assert calibration.spreads_mm == (7.0,)
    assert uncertainty.expected_mm(calibration, np.array([[7.0, 7.0]])).mean() == pytest.approx(
        50.5, rel=0.02
    )


def test_too_little_truth_is_an_error():
    with pytest.raises(ValueError, match="needs 24 joints with a truth, not 4"):
        uncertainty.fit(np.ones((2, 2)), np.ones((2, 2)))


def test_combined_joints_are_off_by_the_sum_of_their_parts():
    matrix = np.array([[1.0, 0.0], [0.5, 0.5], [2.0, -1.0]])
    found = uncertainty.combined_mm(matrix, np.array([[10.0, 20.0]]))
    np.testing.assert_allclose(found, [[10.0, 15.0, 40.0]])


def test_neighbours_that_fall_become_their_mean():
    """One spread to a knot; the errors of the second to fourth and of the last two knots fall."""
    levels = np.array([1.0, 3.0, 2.0, 2.0, 5.0, 4.0])
    spread = np.repeat(np.arange(24.0), 5).reshape(120, 1)
    error = np.concatenate([levels, np.arange(6.0, 24.0)])[spread.astype(int)]
    curve = uncertainty.fit(spread, error)
    np.testing.assert_allclose(curve.errors_mm[:6], [1, 7 / 3, 7 / 3, 7 / 3, 4.5, 4.5])
    np.testing.assert_allclose(curve.errors_mm[6:], np.arange(6.0, 24.0))


def test_a_spread_that_is_the_same_everywhere_says_nothing():
    error = np.random.default_rng(0).gamma(2, 30, (60, 4))
    spread = np.full(error.shape, 3.0)
    quality = uncertainty.quality(uncertainty.fit(spread, error), spread, error)
    assert quality.spearman_of_spread == 0


def test_between_knots_the_curve_is_straight():
    curve = Calibration((1.0, 2.0), (3.0, 4.0), (1.0,))
    assert uncertainty.expected_mm(curve, np.array([[1.5]])) == pytest.approx(3.5)
