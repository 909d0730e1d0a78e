"""Affine-combining relations between two skeleton formats, learned from poses that have both.

Each target joint is a combination of source joints whose weights sum to 1, so a relation commutes
with every affine map of space. It is the best that any autoencoder of affine combinations could do
for the pair: what it leaves, the body does not allow, because a joint of one format turns with a
bone that the other format does not observe.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from acae_jax import metrics


def fit(
    source_mm: Float[np.ndarray, "n s 3"],
    target_mm: Float[np.ndarray, "n t 3"],
    ridge: float = 1e-6,
) -> Float[np.ndarray, "t s"]:
    """Least-squares weights of the target joints over the source joints; every row sums to 1.

    `ridge`, relative to the mean energy of a source joint, settles what the poses leave open.
    """
    centre = source_mm.mean(axis=1, keepdims=True, dtype=np.float64)
    columns = (source_mm - centre).transpose(0, 2, 1).reshape(-1, source_mm.shape[1])
    wanted = (target_mm - centre).transpose(0, 2, 1).reshape(-1, target_mm.shape[1])
    gram = columns.T @ columns
    gram += ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    free = np.linalg.solve(gram, columns.T @ wanted)
    # Around their own mean the source joints sum to zero: any constant may be added to a row.
    return (free - free.mean(axis=0) + 1.0 / len(free)).T


def errors_mm(
    weights: Float[np.ndarray, "t s"],
    source_mm: Float[np.ndarray, "n s 3"],
    target_mm: Float[np.ndarray, "n t 3"],
) -> Float[np.ndarray, " t"]:
    """Mean distance of each target joint from its combination of source joints."""
    predicted = np.einsum("ts,nsc->ntc", weights, source_mm)
    return metrics.joint_errors(predicted, target_mm).mean(axis=0)


def table(
    train_mm: Float[np.ndarray, "n j 3"],
    test_mm: Float[np.ndarray, "m j 3"],
    members: Mapping[str, Sequence[int]],
) -> dict[tuple[str, str], Float[np.ndarray, " t"]]:
    """Errors per target joint on test poses, for every ordered pair of different formats."""
    found = {}
    for source, at_source in members.items():
        for target, at_target in members.items():
            if source != target:
                weights = fit(train_mm[:, list(at_source)], train_mm[:, list(at_target)])
                found[source, target] = errors_mm(
                    weights, test_mm[:, list(at_source)], test_mm[:, list(at_target)]
                )
    return found
