"""Scores, calibrated uncertainty and lengths of bones of a run's model, from the run's data."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from acae_jax.benchmarks import scoring
from acae_jax.bundles import uncertainty
from acae_jax.bundles.uncertainty import Calibration, Quality
from acae_jax.data import sources
from acae_jax.estimation import building
from acae_jax.estimation.evaluation import crop_evals, per_format
from acae_jax.estimation.evaluation.crop_evals import CropTest
from acae_jax.estimation.packing import architecture as architectures
from acae_jax.estimation.packing import program
from acae_jax.estimation.packing.architecture import Architecture
from acae_jax.estimation.packing.program import Weights
from acae_jax.geometry import alignment
from acae_jax.pages import charts
from acae_jax.skeletons import skeleton
from acae_jax.skeletons.union import JointUnion

EXAMPLES_PER_DATASET = 150


class Measurements(NamedTuple):
    """The results on a labelled test set: scores on all of it; the calibration, fitted on one half
    of its people; and the quality of the calibration on the other half.
    """

    dataset: str
    images: int
    scores: dict[str, dict[str, float]]
    calibration: Calibration
    quality: Quality
    split_by: str


def test_set(config: ConfigDict) -> CropTest | None:
    """The test set of the run, if it has one and the data is in the config's folder."""
    test = crop_evals.reported(config)
    return test if test and sources.is_prepared(test.dataset, config.data.folder) else None


def measure(
    config: ConfigDict,
    test: CropTest,
    union: JointUnion,
    architecture: Architecture,
    weights: Weights,
) -> Measurements:
    """Measure the network with the stored weights on a test set."""
    layout, folder = building.test_layout(config), config.data.folder
    batches = crop_evals.open_crops(test, layout, folder, devices=1)
    label_union = batches.scored
    compiled = jax.jit(program.crop_model(architectures.network(architecture)))
    placed = {name: jax.device_put(w.astype(np.float32)) for name, w in weights.items()}
    _, pairs = per_format.survey(batches.labels(), label_union)
    tally, errors, spreads = scoring.Tally(), [], []
    for crops, outputs in scoring.streamed(
        lambda crops: compiled(placed, crops.inputs["image"], crops.inputs["intrinsics"]), batches
    ):
        poses_mm, spread_mm = (output[: len(crops.true_mm)] for output in outputs)
        labels = crops.true_mm, crops.valid
        ordered_mm = per_format.in_test_order(poses_mm, union.members, label_union)
        per_format.add(tally, ordered_mm, labels, label_union, pairs)
        errors.append(joint_errors(poses_mm, *in_model_order(labels, label_union, union)))
        spreads.append(spread_mm)
    error_mm, spread_mm = np.concatenate(errors), np.concatenate(spreads)
    labelled = np.isfinite(error_mm).any(axis=1)
    error_mm, spread_mm = error_mm[labelled], spread_mm[labelled]
    keys = [batches.source[i].key for i in np.flatnonzero(labelled).tolist()]
    return calibrated(
        test.dataset, len(batches), per_format.result(tally), spread_mm, error_mm, keys
    )


def calibrated(
    dataset: str,
    images: int,
    scores: dict[str, dict[str, float]],
    spread_mm: Float[np.ndarray, "n j"],
    error_mm: Float[np.ndarray, "n j"],
    keys: Sequence[str],
) -> Measurements:
    """The results of n records with these keys: raw spreads, and errors that are NaN if unknown."""
    groups, split_by = people(keys)
    half = np.isin(groups, np.unique(groups)[::2])
    calibration = uncertainty.fit(spread_mm[half], error_mm[half])
    quality = uncertainty.quality(calibration, spread_mm[~half], error_mm[~half])
    return Measurements(dataset, images, scores, calibration, quality, split_by)


def about(measurements: Measurements) -> dict[str, object]:
    """What a bundle's facts tell people of the results."""
    return {
        "test set": measurements.dataset,
        "test images": measurements.images,
        "scores": measurements.scores,
        "calibration": {**measurements.quality._asdict(), "split by": measurements.split_by},
    }


def in_model_order(
    labels: per_format.Labels, label_union: JointUnion, union: JointUnion
) -> tuple[Float[np.ndarray, "n p 3"], Bool[np.ndarray, "n p"]]:
    """The true joints in the model's order, 0 without a label, and which are labelled."""
    true_mm, valid = labels
    shape = len(true_mm), len(union.joint_names)
    joints_mm, is_labelled = np.zeros((*shape, 3), np.float32), np.zeros(shape, bool)
    for name, places in label_union.members.items():
        for joint, place in zip(union.members[name], places, strict=True):
            own = valid[:, place]
            joints_mm[own, joint] = true_mm[own, place]
            is_labelled[own, joint] = True
    return joints_mm, is_labelled


def joint_errors(
    poses_mm: Float[np.ndarray, "n j 3"],
    true_mm: Float[np.ndarray, "n j 3"],
    valid: Bool[np.ndarray, "n j"],
) -> Float[np.ndarray, "n j"]:
    """Distances from the truth, after the means of both poses are aligned; NaN without a label.

    Poses with one labelled joint are NaN, too, because their distance would always be 0.
    """
    valid = valid & (valid.sum(axis=1, keepdims=True) > 1)
    error_mm = alignment.mean_relative(poses_mm, valid) - alignment.mean_relative(true_mm, valid)
    return np.where(valid, np.linalg.norm(error_mm, axis=-1), np.nan)


def people(keys: Sequence[str]) -> tuple[np.ndarray, str]:
    """The group of each record, by which a set is cut in two halves without a person in common; and
    what the groups are.

    Keys have the form "set/person/clip/frame". If all keys name the same person, or each names
    another, the groups are the first and the second half of the set.
    """
    names = np.array(["/".join(key.split("/")[:2]) for key in keys])
    if 1 < len(np.unique(names)) < len(names):
        return names, "people"
    return (np.arange(len(keys)) >= len(keys) // 2).astype(str), "first and second half"


def bones_mm(config: ConfigDict, union: JointUnion) -> tuple[float, ...]:
    """The mean length of each edge in clean training examples; () if an edge is in none of them."""
    data = config.data
    a, b = np.array(union.edges).T
    total, count = np.zeros(len(a)), np.zeros(len(a))
    for name in (name for name, _ in data.quotas if sources.is_prepared(name, data.folder)):
        for example in building.even_examples(config, union, name, EXAMPLES_PER_DATASET):
            joints_mm, valid = example["joints_mm"], example["valid"]
            both = valid[a] & valid[b]
            total[both] += skeleton.bone_lengths(joints_mm, union.edges)[both]
            count[both] += 1
    return tuple((total / count).tolist()) if count.all() else ()


def picture(quality: Quality, path: Path) -> None:
    """Draw expected against actual error on people that the calibration was not fitted on (PNG)."""
    figure = Figure((4.2, 4.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    end = 1.08 * max(*quality.bin_expected_mm, *quality.bin_actual_mm)
    axes.plot([0, end], [0, end], color=charts.QUIET, linewidth=1, label="perfectly calibrated")
    axes.plot(
        quality.bin_expected_mm,
        quality.bin_actual_mm,
        "o-",
        color=charts.PALETTE[0],
        label="tenths of the joints",
    )
    axes.set(xlim=(0, end), ylim=(0, end), aspect="equal")
    axes.set_xlabel("expected error, mm")
    axes.set_ylabel("actual error, mm")
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    axes.set_title("Uncertainty on people that it was not fitted on", fontsize=9)
    figure.savefig(path)
