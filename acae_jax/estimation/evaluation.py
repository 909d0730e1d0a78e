"""How good and how consistent a model is on a test set that is labelled in every format.

The test set's joints stand in the order of the union of its formats; a model may have other outputs
(joints merged by name), so both are compared format by format through their `members`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from acae_jax import metrics
from acae_jax.skeletons.union import JointUnion

NEIGHBOURS_MM = 60.0

Batch = dict[str, np.ndarray]
Predict = Callable[[Batch], jax.Array]


class TestSet(NamedTuple):
    """Examples ready for the network (clean crops), their true joints, and which joints are
    neighbours.
    """

    batches: list[Batch]
    count: int
    true_mm: Float[np.ndarray, "n j 3"]
    valid: Bool[np.ndarray, "n j"]
    union: JointUnion
    pairs: Int[np.ndarray, "p 2"]


def padded_batches(examples: Sequence[Batch], size: int) -> Iterator[Batch]:
    """Stack examples to batches of `size`; the last is filled by repeating its last example."""
    for start in range(0, len(examples), size):
        chosen = list(examples[start : start + size])
        chosen += [chosen[-1]] * (size - len(chosen))
        yield {name: np.stack([example[name] for example in chosen]) for name in chosen[0]}


def test_set(examples: Sequence[Batch], union: JointUnion, batch_size: int) -> TestSet:
    """Collect clean examples in the order of `union`, the formats' joints side by side."""
    if not examples:
        raise ValueError("the test set is empty: build it with python -m acae_jax.prepare.")
    true_mm = np.stack([example["joints_mm"] for example in examples])
    pairs = metrics.neighbour_pairs(true_mm, union.members, NEIGHBOURS_MM)
    return TestSet(
        batches=list(padded_batches(examples, batch_size)),
        count=len(examples),
        true_mm=true_mm,
        valid=np.stack([example["valid"] for example in examples]),
        union=union,
        pairs=pairs,
    )


def predictions(
    predict: Predict, batches: Sequence[Batch], count: int
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
