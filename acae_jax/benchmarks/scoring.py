"""Means of errors over a stream of batches, by group: a format, a sequence, an action.

tally = Tally()
for batch, poses_mm in streamed(predict, batches):
    tally.add("smpl", metrics.pose_errors(poses_mm, batch.true_mm, batch.valid, root))
tally.means()["smpl"]["mpjpe_mm"]
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Int

from acae_jax.metrics import Masked

Batch = TypeVar("Batch")


class Tally:
    """Sums and counts of errors by group and metric."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, tuple[float, int]]] = {}

    def add(self, group: str, errors: Mapping[str, Masked]) -> None:
        """Add the errors of a batch that count to a group's sums."""
        sums = self._sums.setdefault(group, {})
        for name, (values, mask) in errors.items():
            total, count = sums.get(name, (0.0, 0))
            counting = np.asarray(values[mask], np.float64)
            sums[name] = total + float(counting.sum()), count + counting.size

    def means(self) -> dict[str, dict[str, float]]:
        """The mean of each metric in each group, without those for which nothing counts."""
        by_group = {
            group: {name: total / count for name, (total, count) in sums.items() if count}
            for group, sums in self._sums.items()
        }
        return {group: means for group, means in by_group.items() if means}


def mean_over_groups(means: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The plain mean of each metric over the groups that have it, whatever their size."""
    names = dict.fromkeys(name for each in means.values() for name in each)
    return {
        name: float(np.mean([each[name] for each in means.values() if name in each]))
        for name in names
    }


def streamed(
    predict: Callable[[Batch], Any], batches: Iterable[Batch]
) -> Iterator[tuple[Batch, Any]]:
    """Each batch and the model's output for it, as host arrays.

    The next batch is made while the devices work on this one; they never hold more than two.
    """
    waiting: list[tuple[Batch, Any]] = []
    for batch in batches:
        waiting.append((batch, predict(batch)))
        if len(waiting) > 1:
            yield _on_host(*waiting.pop(0))
    for batch, output in waiting:
        yield _on_host(batch, output)


def _on_host(batch: Batch, output: Any) -> tuple[Batch, Any]:
    return batch, jax.tree.map(np.asarray, output)


def padded_rows(count: int, size: int) -> Int[np.ndarray, "batches size"]:
    """The indices of the examples in each batch; the last example is repeated in the last batch."""
    rows = np.arange(-(-count // size) * size).reshape(-1, size)
    return np.minimum(rows, count - 1)


def stacked(examples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The examples as one batch."""
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}


def predictions(
    predict: Callable[[dict[str, np.ndarray]], jax.Array],
    examples: Sequence[Mapping[str, np.ndarray]],
    batch_size: int,
) -> np.ndarray:
    """The model's output for each of these examples; all batches have the same size."""
    rows = padded_rows(len(examples), batch_size)
    batches = (stacked([examples[row] for row in batch]) for batch in rows)
    return np.concatenate([output for _, output in streamed(predict, batches)])[: len(examples)]
