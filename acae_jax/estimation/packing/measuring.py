"""What the data of a run says of its model: scores, calibrated uncertainty, lengths of bones."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from acae_jax.bundles import uncertainty
from acae_jax.bundles.uncertainty import Calibration, Quality
from acae_jax.data import sources
from acae_jax.estimation import building, evaluation
from acae_jax.estimation.packing import architecture as architectures
from acae_jax.estimation.packing import program
from acae_jax.estimation.packing.architecture import Architecture
from acae_jax.estimation.packing.program import Weights
from acae_jax.geometry import alignment
from acae_jax.pages import charts
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import parallel

EXAMPLES_PER_DATASET = 150


class Measured(NamedTuple):
    """What a labelled test set says: scores on all of it, the calibration fitted on one half of its
    people and what it is worth on the other.
    """

    images: int
    scores: dict[str, dict[str, float]]
    calibration: Calibration
    quality: Quality
    split_by: str


def has_test_set(config: ConfigDict) -> bool:
    """Whether the run has a test set, and its data is where the config says."""
    data = config.data
    return "test" in data and data.test in sources.available(data.folder)


def measured(
    config: ConfigDict, union: JointUnion, architecture: Architecture, weights: Weights
) -> Measured:
    """Run the network, with the weights as they are stored, over the test set of the run."""
    test = building.load_test_set(config, parallel.mesh(1))
    compiled = jax.jit(program.crop_model(architectures.network(architecture)))
    placed = {name: jax.device_put(w.astype(np.float32)) for name, w in weights.items()}
    results = [compiled(placed, batch["image"], batch["intrinsics"]) for batch in test.batches]
    poses_mm, spread_mm = (
        np.concatenate(part)[: test.count] for part in zip(*results, strict=True)
    )
    arranged = evaluation.in_test_order(poses_mm, union.members, test.union)
    error_mm = joint_errors(poses_mm, *truth_of(union, test))
    groups, split_by = people(sources.open(config.data.test, config.data.folder, "test"))
    fitted = np.isin(groups, np.unique(groups)[::2])
    calibration = uncertainty.fit(spread_mm[fitted], error_mm[fitted])
    return Measured(
        test.count,
        evaluation.scores(arranged, test),
        calibration,
        uncertainty.quality(calibration, spread_mm[~fitted], error_mm[~fitted]),
        split_by,
    )


def truth_of(
    union: JointUnion, test: evaluation.TestSet
) -> tuple[Float[np.ndarray, "n j 3"], Bool[np.ndarray, "n j"]]:
    """True joints in the model's order, and which of them the test set labels."""
    shape = (test.count, len(union.joint_names))
    true_mm, valid = np.zeros((*shape, 3), np.float32), np.zeros(shape, bool)
    for name, places in test.union.members.items():
        joints = list(union.members[name])
        true_mm[:, joints] = test.true_mm[:, list(places)]
        valid[:, joints] = test.valid[:, list(places)]
    return true_mm, valid


def joint_errors(
    poses_mm: Float[np.ndarray, "n j 3"],
    true_mm: Float[np.ndarray, "n j 3"],
    valid: Bool[np.ndarray, "n j"],
) -> Float[np.ndarray, "n j"]:
    """Distances from the truth after the means of both are aligned; NaN where there is no truth."""
    apart = alignment.mean_relative(poses_mm, valid) - alignment.mean_relative(true_mm, valid)
    return np.where(valid, np.linalg.norm(apart, axis=-1), np.nan)


def people(source: sources.Records) -> tuple[np.ndarray, str]:
    """Whom each record shows, so that a set can be cut in halves that share nobody.

    Keys are read as "set/person/clip/frame"; where all name one person, or each another one, the
    set is cut in the middle.
    """
    keys = [source[index].key for index in range(len(source))]
    found = np.array(["/".join(key.split("/")[:2]) for key in keys])
    if 1 < len(np.unique(found)) < len(found):
        return found, "people"
    return (np.arange(len(keys)) >= len(keys) // 2).astype(str), "first and second half"


def bones_mm(config: ConfigDict, union: JointUnion) -> tuple[float, ...]:
    """Mean length of each edge in clean training examples; () if an edge is in none."""
    data = config.data
    there = sources.available(data.folder)
    a, b = np.array(union.edges).T
    total, count = np.zeros(len(a)), np.zeros(len(a))
    for name in (name for name, _ in data.quotas if name in there):
        for example in building.even_examples(config, union, name, EXAMPLES_PER_DATASET):
            joints_mm, valid = example["joints_mm"], example["valid"]
            both = valid[a] & valid[b]
            length = np.linalg.norm(joints_mm[a] - joints_mm[b], axis=-1)
            total[both] += length[both]
            count[both] += 1
    return tuple((total / count).tolist()) if count.all() else ()


def picture(found: Measured, path: Path) -> None:
    """Draw expected against actual error on the half that the calibration has not seen (PNG)."""
    quality = found.quality
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
        label="a tenth of the joints each",
    )
    axes.set(xlim=(0, end), ylim=(0, end), aspect="equal")
    axes.set_xlabel("expected error, mm")
    axes.set_ylabel("actual error, mm")
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    axes.set_title("Uncertainty on people that it was not fitted on", fontsize=9)
    figure.savefig(path)
