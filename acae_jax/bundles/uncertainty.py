"""From the spread of heat maps to the error to expect, in mm.

The wider a joint's heat map, the less sure the network is of it, but in units of its own. A
`Calibration` turns the spread into millimetres: a rising curve that all joints share, times a
factor for each joint. It is fitted on poses whose truth is known. Errors are distances of joints
after the means of both poses are aligned.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

KNOTS = 24
BINS = 10
PRIOR_POSES = 20.0
"""Strength of the prior that pulls each joint's factor towards 1, in poses."""


class Calibration(NamedTuple):
    """A curve through (spreads_mm, errors_mm), constant outside, and a factor for each joint."""

    spreads_mm: tuple[float, ...]
    errors_mm: tuple[float, ...]
    factors: tuple[float, ...]


class Quality(NamedTuple):
    """How well expected errors agree with actual ones, on poses that the fit has not seen.

    The bins hold equally many joints each, in the order of their expected error.
    """

    expected_mm: float
    actual_mm: float
    bin_expected_mm: tuple[float, ...]
    bin_actual_mm: tuple[float, ...]
    bin_error_mm: float  # mean distance of the two over the bins
    spearman: float  # rank correlation of expected and actual error
    spearman_of_spread: float  # … of the plain spread and the actual error


def expected_mm(
    calibration: Calibration, spread_mm: Float[np.ndarray, "*b j"]
) -> Float[np.ndarray, "*b j"]:
    """Expected distance of each of the network's joints from the truth, after the pose's mean is
    aligned.
    """
    shared = np.interp(spread_mm, calibration.spreads_mm, calibration.errors_mm)
    return (shared * np.asarray(calibration.factors)).astype(np.float32)


def combined_mm(
    matrix: Float[np.ndarray, "k j"], expected_mm: Float[np.ndarray, "*b j"]
) -> Float[np.ndarray, "*b k"]:
    """The most that joints combined by the rows of `matrix` are off in expectation: Σ |w| error."""
    return expected_mm @ np.abs(matrix).T


def fit(spread_mm: Float[np.ndarray, "n j"], error_mm: Float[np.ndarray, "n j"]) -> Calibration:
    """The calibration of a network by its spreads and errors; NaN marks a joint without truth.

    The curve is the best rising one through the means of equally filled bins (pool adjacent
    violators). A ValueError if there are fewer than KNOTS joints with a truth.
    """
    from scipy import optimize  # here, for opening a bundle needs no scipy

    has_truth = np.isfinite(error_mm)
    if has_truth.sum() < KNOTS:
        raise ValueError(f"a calibration needs {KNOTS} joints with a truth, not {has_truth.sum()}")
    spreads, errors = _binned(spread_mm[has_truth], error_mm[has_truth], KNOTS)
    # Equal spreads, as of a network that is sure of everything, are one knot.
    spreads, first, counts = np.unique(spreads, return_index=True, return_counts=True)
    errors = np.add.reduceat(errors, first) / counts
    curve = Calibration(
        tuple(spreads.tolist()),
        tuple(optimize.isotonic_regression(errors).x.tolist()),
        (1.0,) * spread_mm.shape[1],
    )
    expected = np.where(has_truth, expected_mm(curve, spread_mm), 0.0).astype(np.float64)
    prior = PRIOR_POSES * float(error_mm[has_truth].mean())
    factors = (np.where(has_truth, error_mm, 0.0).sum(axis=0) + prior) / (
        expected.sum(axis=0) + prior
    )
    return curve._replace(factors=tuple(factors.tolist()))


def quality(
    calibration: Calibration,
    spread_mm: Float[np.ndarray, "n j"],
    error_mm: Float[np.ndarray, "n j"],
) -> Quality:
    """How well the errors that a calibration expects agree with actual ones."""
    has_truth = np.isfinite(error_mm)
    expected = expected_mm(calibration, spread_mm)[has_truth]
    actual, spread = error_mm[has_truth], spread_mm[has_truth]
    bins_expected, bins_actual = _binned(expected, actual, BINS)
    return Quality(
        expected_mm=float(expected.mean()),
        actual_mm=float(actual.mean()),
        bin_expected_mm=tuple(bins_expected.tolist()),
        bin_actual_mm=tuple(bins_actual.tolist()),
        bin_error_mm=float(np.abs(bins_expected - bins_actual).mean()),
        spearman=_rank_correlation(expected, actual),
        spearman_of_spread=_rank_correlation(spread, actual),
    )


def _binned(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], bins: int
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Means of both over bins of equally many, in the order of x."""
    order = np.argsort(x, kind="stable")
    parts = np.array_split(order, bins)
    return (
        np.array([x[part].mean() for part in parts]),
        np.array([y[part].mean() for part in parts]),
    )


def _rank_correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Spearman's; 0 if one of them is the same everywhere, which says nothing of the other."""
    from scipy import stats

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(stats.spearmanr(a, b).statistic)  # pyright: ignore - scipy does not declare it
