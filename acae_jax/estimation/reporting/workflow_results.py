"""What a report shows of a finished workflow, and the choices its tables and pictures share."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from acae_jax import losses, metrics
from acae_jax.estimation.evaluation.per_format import MEAN, LabelCount
from acae_jax.estimation.model import autoencoder
from acae_jax.estimation.reporting.relations import Table
from acae_jax.geometry import absolute
from acae_jax.skeletons.union import JointUnion

BASELINE, PROPOSED = "separate", "regularised"

# Which image of the test set, ordered by error, stands for which part of it.
EXAMPLES = {
    "middle of the best quarter": 0.125,
    "median": 0.5,
    "middle of the worst quarter": 0.875,
}


class Run(NamedTuple):
    """A finished workflow on the test set; poses in crop-camera space, joints in the union's order.

    There are only those images that `examples` shows, by number. `true_mm` is NaN where nothing is
    labelled, and `counts` says how many poses have labels of which format. `scores` leads from
    variant and format ("mean": the average over formats) to metrics, `curves` from stage to the
    rows of its log; `relations` says how well one format follows from another one, (from, to).
    `mean_pose_mpjpe_mm` is the error of always predicting the mean pose of training, if that has
    all formats.
    """

    union: JointUnion
    images: Mapping[int, UInt8[np.ndarray, "s s 3"]]
    intrinsics: Float[np.ndarray, "n 3 3"]
    true_mm: Float[np.ndarray, "n j 3"]
    counts: Mapping[str, LabelCount]
    predictions_mm: Mapping[str, Float[np.ndarray, "n j 3"]]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    curves: Mapping[str, Sequence[Mapping[str, float | int]]]
    maps: autoencoder.Matrices | None
    relations: Table | None
    mean_pose_mpjpe_mm: float | None
    seconds: float


def compared(run: Run) -> tuple[str, ...]:
    """The variants shown side by side: separate and regularised, or the last if one is missing.

    A ValueError if the run has no predictions.
    """
    if not run.predictions_mm:
        raise ValueError("a report needs the predictions of at least one variant; evaluate one.")
    if {BASELINE, PROPOSED} <= set(run.predictions_mm):
        return (BASELINE, PROPOSED)
    return (list(run.predictions_mm)[-1],)


def change_percent(run: Run, metric: str) -> float | None:
    """By how much `metric` of the regularised variant differs from that of the separate one; None
    if it has no value.
    """
    before, after = (run.scores[name][MEAN].get(metric) for name in (BASELINE, PROPOSED))
    return 100.0 * (after - before) / before if before and after is not None else None


def image_errors_mm(run: Run, variant: str) -> Float[np.ndarray, " n"]:
    """Root-relative error of each test image, averaged over its formats; NaN if no format has a
    labelled root there.
    """
    total, formats = np.zeros(len(run.true_mm)), np.zeros(len(run.true_mm))
    for indices in run.union.members.values():
        at = list(indices)
        root = metrics.root_weights([run.union.joint_names[i] for i in at])
        truth = run.true_mm[:, at]
        valid = np.all(np.isfinite(truth), axis=-1)
        errors = metrics.pose_errors(run.predictions_mm[variant][:, at], truth, valid, root)
        values, mask = errors["mpjpe_mm"]
        count = mask.sum(axis=1)
        total += np.where(mask, values, 0).sum(axis=1) / np.maximum(count, 1)
        formats += count > 0
    return np.where(formats > 0, total / np.maximum(formats, 1), np.nan)


def latents_outside(run: Run) -> Float[np.ndarray, " l"] | None:
    """For each latent point the share of the test images in whose crops it does not lie.

    Images with a joint that is not labelled do not count. None if all are such, or without an
    autoencoder. No heat map can show a point there: a network that predicts latent points itself
    must put it on the border.
    """
    complete = np.isfinite(run.true_mm).all(axis=(1, 2))
    if run.maps is None or not complete.any():
        return None
    latents_mm = autoencoder.to_latents(run.maps, jnp.asarray(run.true_mm[complete]))
    px = losses.project_px(latents_mm, jnp.asarray(run.intrinsics[complete]))
    inside = absolute.in_view(px, len(next(iter(run.images.values()))), 0.0)
    return 1.0 - np.asarray(inside).mean(axis=0)


def examples(run: Run) -> dict[str, int]:
    """Test images to show: those at fixed ranks of the error averaged over compared variants.

    Images without an error do not count.
    """
    errors = np.mean([image_errors_mm(run, name) for name in compared(run)], axis=0)
    order = np.argsort(errors, kind="stable")[: np.isfinite(errors).sum()]
    last = len(order) - 1
    return {label: int(order[round(rank * last)]) for label, rank in EXAMPLES.items()}


def whole_poses_mm(run: Run) -> Float[np.ndarray, "n j 3"]:
    """True poses with all joints; if there is none, what the last compared variant predicts."""
    whole = np.all(np.isfinite(run.true_mm), axis=(1, 2))
    return run.true_mm[whole] if whole.any() else run.predictions_mm[compared(run)[-1]]
