"""Affine relations between two skeleton formats, learned from poses that have both.

Each target joint is a combination of source joints with weights that sum to 1, so a relation
commutes with every affine map of space. No affine-combining autoencoder could do better for this
pair of formats. Some error remains even with weights fitted to the test poses; the body causes it:
a joint of one format turns with a bone that the other format does not observe, or shapes differ.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from acae_jax import metrics

ALLOWED_MM = 4.5
"""A joint counts as predictable if the best possible weights leave less than this error."""


class Relation(NamedTuple):
    """The errors of the joints of one format, predicted from another, as mean distances in mm."""

    learned_mm: Float[np.ndarray, " t"]  # on other people than those of the learned weights
    limit_mm: Float[np.ndarray, " t"]  # with weights fitted to the test poses

    @property
    def allowed(self) -> Bool[np.ndarray, " t"]:
        """Which joints some affine combination predicts with an error below ALLOWED_MM."""
        return self.limit_mm < ALLOWED_MM


Table = dict[tuple[str, str], Relation]  # by source and target format


def fit(
    source_mm: Float[np.ndarray, "n s 3"],
    target_mm: Float[np.ndarray, "n t 3"],
    ridge: float = 1e-6,
) -> Float[np.ndarray, "t s"]:
    """Least-squares weights of the target joints over the source joints; every row sums to 1.

    `ridge`, relative to the mean energy of a source joint, makes the weights unique.
    """
    centre = source_mm.mean(axis=1, keepdims=True, dtype=np.float64)
    columns = (source_mm - centre).transpose(0, 2, 1).reshape(-1, source_mm.shape[1])
    targets = (target_mm - centre).transpose(0, 2, 1).reshape(-1, target_mm.shape[1])
    gram = columns.T @ columns
    gram += ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    free = np.linalg.solve(gram, columns.T @ targets)
    # Source joints minus their mean sum to zero, so any constant may be added to a row.
    return (free - free.mean(axis=0) + 1.0 / len(free)).T


def errors_mm(
    weights: Float[np.ndarray, "t s"],
    source_mm: Float[np.ndarray, "n s 3"],
    target_mm: Float[np.ndarray, "n t 3"],
) -> Float[np.ndarray, " t"]:
    """The mean distance of each target joint from its combination of source joints."""
    predicted = np.einsum("ts,nsc->ntc", weights, source_mm)
    return metrics.joint_errors(predicted, target_mm).mean(axis=0)


def table(
    train_mm: Float[np.ndarray, "n j 3"],
    test_mm: Float[np.ndarray, "m j 3"],
    members: Mapping[str, Sequence[int]],
) -> Table:
    """The relation of each ordered pair of formats, learned on some poses and tested on others."""
    relations = {}
    for source, at_source in members.items():
        for target, at_target in members.items():
            if source != target:
                sources, targets = test_mm[:, list(at_source)], test_mm[:, list(at_target)]
                weights = fit(train_mm[:, list(at_source)], train_mm[:, list(at_target)])
                relations[source, target] = Relation(
                    errors_mm(weights, sources, targets),
                    errors_mm(fit(sources, targets), sources, targets),
                )
    return relations
