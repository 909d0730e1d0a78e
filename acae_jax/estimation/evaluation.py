"""How good and how consistent a model is on a test set that is labelled in every format.

The test set's joints stand in the order of the union of its formats; a model may have other outputs
(joints merged by name), so both are compared format by format through their `members`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from acae_jax import metrics
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import parallel

NEIGHBOURS_MM = 60.0

Batch = dict[str, np.ndarray]
Predict = Callable[[Batch], jax.Array]


class TestSet(NamedTuple):
    """Examples ready for the network (clean crops; of several processes, this one's share), their
    true joints, and which joints are neighbours.
    """

    batches: list[Batch]
    count: int
    true_mm: Float[np.ndarray, "n j 3"]
    valid: Bool[np.ndarray, "n j"]
    union: JointUnion
    pairs: Int[np.ndarray, "p 2"]


def padded_rows(count: int, size: int) -> Int[np.ndarray, "batches size"]:
    """Which examples stand in which batch; the last one is repeated to fill the last batch."""
    rows = np.arange(-(-count // size) * size).reshape(-1, size)
    return np.minimum(rows, count - 1)


def stacked(examples: Sequence[Batch]) -> Batch:
    """One batch of the examples."""
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}


def test_set(batches: Sequence[Batch], count: int, union: JointUnion) -> TestSet:
    """Collect batches of clean examples in the order of `union`, the formats' joints side by side.

    `batches` are this process's shares of `count` examples, which all processes call this with.
    """
    own = tuple(np.stack([batch[name] for batch in batches]) for name in ("joints_mm", "valid"))
    # (processes, batches, share, …) → (batches · processes · share, …)
    shares = [np.swapaxes(values, 0, 1) for values in parallel.gathered(own)]
    true_mm, valid = (v.reshape(-1, *v.shape[3:])[:count] for v in shares)
    pairs = metrics.neighbour_pairs(true_mm, union.members, NEIGHBOURS_MM)
    return TestSet(list(batches), count, true_mm, valid, union, pairs)


def predictions(
    predict: Predict, batches: Iterable[Batch], count: int
) -> Float[np.ndarray, "n p 3"]:
    """Run the model over padded batches and cut the padding off."""
    pending = [predict(batch) for batch in batches]
    return np.concatenate([np.asarray(part) for part in pending])[:count]


def in_test_order(
    poses_mm: Float[np.ndarray, "n p 3"],
    members: Mapping[str, Sequence[int]],
    union: JointUnion,
) -> Float[np.ndarray, "n j 3"]:
    """A model's outputs, gathered format by format into the order of the test set's union."""
    arranged = np.full((len(poses_mm), len(union.joint_names), 3), np.nan, np.float32)
    for name, indices in union.members.items():
        if name not in members:
            raise ValueError(f"the model has no format {name!r}; it has {', '.join(members)}.")
        arranged[:, list(indices)] = poses_mm[:, list(members[name])]
    return arranged


def scores(poses_mm: Float[np.ndarray, "n j 3"], test: TestSet) -> dict[str, dict[str, float]]:
    """Metrics per format, under "mean" their average over formats and the disagreement between
    formats.
    """
    per_format = {}
    for name, indices in test.union.members.items():
        chosen = list(indices)
        root = metrics.root_weights([test.union.joint_names[i] for i in chosen])
        per_format[name] = metrics.pose_metrics(
            poses_mm[:, chosen], test.true_mm[:, chosen], test.valid[:, chosen], root
        )
    keys = next(iter(per_format.values()))
    mean = {key: float(np.mean([found[key] for found in per_format.values()])) for key in keys}
    mean |= metrics.disagreement(poses_mm, test.true_mm, test.pairs)
    return {**per_format, "mean": mean}


def mean_pose_mpjpe_mm(training: Mapping[str, Float[np.ndarray, "n j 3"]], test: TestSet) -> float:
    """Error, averaged over formats, of always predicting the training set's mean root-relative
    pose.

    `training` holds, for each format, camera-space poses of its training examples.
    """
    errors = []
    for name, indices in test.union.members.items():
        chosen = list(indices)
        root = metrics.root_weights([test.union.joint_names[i] for i in chosen])
        mean = metrics.root_relative(training[name], root).mean(axis=0)
        truth = metrics.root_relative(test.true_mm[:, chosen], root)
        errors.append(metrics.joint_errors(np.broadcast_to(mean, truth.shape), truth).mean())
    return float(np.mean(errors))
