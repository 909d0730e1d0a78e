"""The head's first weights for new joints: affine combinations of those for old joints.

A heat map's logits are linear in the head's weights, so a combination of rows predicts about the
same combination of joints (see `consistency.start`). The combination is learned from the user's
labels and what the base predicts for these images, as `acae skeletons fit` does it; for joints that
no 3D label determines, it is the mean of the joints of the same part of the body. Where each joint
began with that mean (`launch/own_data_test.py`), the error was 387 mm at first and 227 mm after 300
steps, instead of 228 mm and 186 mm.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from acae_jax.own_skeletons import fitting
from acae_jax.own_skeletons.fitting import Examples
from acae_jax.skeletons import body_parts
from acae_jax.skeletons.union import JointUnion

FEWEST = 10  # examples
LOCALITY = 0.1  # choosing it by the examples takes 25 times as long


def by_part(theirs: Sequence[str], ours: Sequence[str]) -> Float[np.ndarray, "k j"]:
    """For each of our joints, the mean of theirs that are the same part of the body; of all joints
    on its side if none is, and of all if that is none, too.
    """
    old, new = body_parts.of(theirs), body_parts.of(ours)
    sides = np.array([part.side for part in old])
    rows = []
    for part in new:
        same = np.array([part == one for one in old])
        on_side = sides == part.side
        chosen = next((mask for mask in (same, on_side) if mask.any()), np.ones(len(old), bool))
        rows.append(chosen / chosen.sum())
    return np.array(rows, np.float32).reshape(len(new), len(old))


def fitted(
    predicted_mm: Float[np.ndarray, "n j 3"],
    labelled_mm: Float[np.ndarray, "n k 3"],
    theirs: Sequence[str],
    ours: Sequence[str],
) -> Float[np.ndarray, "k j"]:
    """The weights by which their joints give ours in these poses (NaN: not labelled); a row is NaN
    if there are too few labels for it.
    """
    usable = fitting.in_front(predicted_mm) & np.isfinite(labelled_mm).any(axis=(1, 2))
    count = int(usable.sum())
    if count < FEWEST:
        return np.full((len(ours), len(theirs)), np.nan, np.float32)
    examples = Examples(
        predicted_mm[usable].astype(np.float64),
        labelled_mm[usable].astype(np.float64),
        np.arange(count),
    )
    sides = fitting.mirrors(tuple(theirs), tuple(ours))
    return fitting.solve(examples, sides, LOCALITY).astype(np.float32)


def of_joints(
    union: JointUnion,
    theirs: Sequence[str],
    matrix: Float[np.ndarray, "j p"],
    new: Float[np.ndarray, "k j"],
) -> Float[np.ndarray, "u p"]:
    """The weights by which the base's points give every joint of the union.

    `matrix` are those of the base's joints; `new` has a row over these for each joint that the base
    lacks, in the union's order.
    """
    places = {name: index for index, name in enumerate(theirs)}
    rows = iter(new @ matrix)
    return np.stack([
        matrix[places[name]] if name in places else next(rows) for name in union.joint_names
    ])  # fmt: skip


def old_and_new(union: JointUnion, theirs: Sequence[str]) -> tuple[list[str], list[str]]:
    """The union's joints that the base has, and those that it lacks."""
    known = set(theirs)
    old = [name for name in union.joint_names if name in known]
    return old, [name for name in union.joint_names if name not in known]
