"""The error of a skeleton that is learned from examples, if its labels were not used in training.

    python launch/held_out_skeleton.py --formats markers mixamo

For each format, the script trains the three stages on the embedded people without that format: its
dataset is not in the quotas and pseudo labels, its joints are not in the union. That takes about 10
minutes on 2 cores. Then it learns the weights of the format from some of its examples, and prints

* its error on the test set by the number of examples (mean over three draws), and the ratio to the
  error of the trained formats;
* the same for other methods, with 50 examples: squared prices of the weights instead of absolute
  ones, equal or by distance; latent points of the autoencoder instead of joints; the nearest joint.
  Each has the strength that is best on the test set, which favours it, because our strength is
  chosen by the examples alone.

After an interruption, the same command continues.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax import metrics
from acae_jax.benchmarks import scoring
from acae_jax.data import sources
from acae_jax.datasets.synthetic import body
from acae_jax.estimation import autoencoder_stage, building, stages
from acae_jax.estimation.model import autoencoder
from acae_jax.own_skeletons import fitting
from acae_jax.own_skeletons.fitting import Examples, Mirrors
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions
from acae_jax.training import checkpoints, parallel

CONFIG = "configs/estimation/embedded.py"
COUNTS, DRAWS, POOL = (5, 10, 20, 50, 200), 3, 600
STEPS = 8  # of the squared prices, whose poses are moved along their rays in between


class Predictions(NamedTuple):
    """The network's joints in images of the held-out format and of the test set, with the truth."""

    pool: Examples
    test_joints_mm: Float[np.ndarray, "t j 3"]
    test_true_mm: Float[np.ndarray, "t k 3"]
    trained_mm: dict[str, float]  # error of each trained format
    sides: Mirrors


def train(held_out: str, run: Path, data: Path) -> None:
    """The three stages without a format."""
    formats = [name for name in body.FORMATS if name != held_out]
    quotas = (*((f"embedded_{name}", 12) for name in formats), ("embedded_2d", 4))
    overrides = {
        "data.union": tuple(formats),
        "data.quotas": quotas,
        "evals.test.dataset": "",  # it is labelled in the held-out format too
        "pseudo.datasets": tuple(f"embedded_{name}" for name in formats),
    }
    for name, stage in (
        ("initial", "initial"),
        ("autoencoder", "autoencoder"),
        ("regularised", "consistency"),
    ):
        config = f"{CONFIG}:ablation,stage={stage},run={run},data={data}"
        arguments = [f"--config.{key}={value}" for key, value in overrides.items()]
        command = ["-m", "acae_jax.train", "--config", config, "--workdir", str(run / name)]
        subprocess.run([sys.executable, *command, *arguments], check=True)


def predict_joints(
    config: ConfigDict, folder: Path, examples: list[building.Batch]
) -> Float[np.ndarray, "n j 3"]:
    """The joints that the run predicts in these examples."""
    union = building.joint_union(config.data)
    variant = stages.variant_of(config, union, folder)
    mesh = parallel.mesh()
    predict = building.predictor(building.network(config, variant.points), variant, mesh)
    variables = parallel.replicate(checkpoints.load_params(folder), mesh)
    return scoring.predictions(
        lambda batch: predict(variables, batch), examples, config.pseudo.get("batch_size", 64)
    )


def predict(held_out: str, run: Path, data: Path) -> Predictions:
    """Predict the held-out format's images and the test set."""
    folder = run / "regularised"
    config = configs.read(folder)
    union = building.joint_union(config.data)
    every = unions.of([catalogue.load(name) for name in body.FORMATS])

    def clean(source: sources.Source, count: int) -> list[building.Batch]:
        rows = np.linspace(0, len(source) - 1, count).astype(int).tolist()
        return building.clean_examples(config, every, source, rows)

    pool = clean(sources.open(f"embedded_{held_out}", data, "train"), POOL)
    source = sources.open("embedded_test", data, "test")
    test = clean(source, len(source))
    own = list(every.members[held_out])
    truth = np.stack([example["joints_mm"] for example in test])
    poses = predict_joints(config, folder, test)
    trained = {
        name: error(poses[:, list(union.members[name])], truth[:, list(every.members[name])], name)
        for name in union.members
    }
    annotated = np.stack([example["joints_mm"][own] for example in pool])
    return Predictions(
        Examples(predict_joints(config, folder, pool), annotated, np.arange(POOL)),
        poses,
        truth[:, own],
        trained,
        fitting.mirrors(union.joint_names, catalogue.load(held_out).joint_names),
    )


def error(poses: np.ndarray, truth: np.ndarray, format_name: str) -> float:
    """Root-relative MPJPE in mm."""
    root = metrics.root_weights(catalogue.load(format_name).joint_names)
    valid = np.ones(truth.shape[:2], bool)
    errors = metrics.pose_errors(poses.astype(np.float32), truth, valid, root)
    return metrics.means(errors)["mpjpe_mm"]


def draw_examples(pool: Examples, count: int, draw: int) -> Examples:
    """A random draw of the examples."""
    rows = np.random.default_rng([draw, count]).choice(POOL, count, replace=False)
    return Examples(*(values[rows] for values in pool))


def squared_prices(
    examples: Examples, sides: Mirrors, strength: float, power: int
) -> Float[np.ndarray, "k j"]:
    """Weights that pay (strength · (distance / 100 mm)^power · weight)², errors squared too."""
    both = np.concatenate([examples.predicted_mm, examples.predicted_mm[:, sides.model]])
    both = both.astype(np.float64)
    weights = np.full((len(sides.new), len(sides.model)), 1 / len(sides.model))
    for _ in range(STEPS):
        target = fitting.moved(examples, weights @ examples.predicted_mm)
        for k, other in enumerate(sides.new.tolist()):
            apart = both - np.concatenate([target[:, k], target[:, other]])[:, None]
            flat = apart.swapaxes(1, 2).reshape(-1, both.shape[1])
            price = strength * (np.linalg.norm(apart, axis=-1).mean(0) / 100) ** power
            raw = np.linalg.solve(
                flat.T @ flat / len(both) + np.diag(price**2), np.ones(len(price))
            )
            weights[k] = raw / raw.sum()
    return weights


def other_methods(predictions: Predictions, held_out: str, run: Path) -> dict[str, float]:
    """The mean error of other methods with 50 examples, each with its best strength."""
    config = configs.read(run / "autoencoder")
    encode = np.asarray(
        autoencoder_stage.load(run / "autoencoder", building.joint_union(config.data)).encode
    )
    latent_sides = predictions.sides._replace(
        model=autoencoder.latent_mirror(autoencoder.Latents(**config.latents))
    )
    errors_mm: dict[str, dict[float, list[float]]] = {}  # by way and strength

    def note(way: str, strength: float, weights: np.ndarray) -> None:
        score = error(weights @ predictions.test_joints_mm, predictions.test_true_mm, held_out)
        errors_mm.setdefault(way, {}).setdefault(strength, []).append(score)

    for draw in range(DRAWS):
        examples = draw_examples(predictions.pool, 50, draw)
        for locality in fitting.LOCALITIES:
            latent = examples._replace(predicted_mm=encode @ examples.predicted_mm)
            weights = fitting.solve(latent, latent_sides, locality)
            note("from latent points", locality, weights @ encode)
        for strength in (3, 10, 30, 100, 300):
            for power, way in ((0, "squared equal prices"), (1, "squared prices by distance")):
                note(way, strength, squared_prices(examples, predictions.sides, strength, power))
        weights = fitting.solve(examples, predictions.sides, 1e4)
        note("the nearest joints", 0, weights)
    return {
        way: min(float(np.mean(errors)) for errors in by_strength.values())
        for way, by_strength in errors_mm.items()
    }


def report(held_out: str, run: Path, data: Path) -> None:
    """Print everything about one format."""
    predictions = predict(held_out, run, data)
    trained = float(np.mean(list(predictions.trained_mm.values())))
    print(f"\n{held_out} held out; MPJPE of the trained formats {trained:.1f} mm:")
    print("  " + ", ".join(f"{name} {value:.1f}" for name, value in predictions.trained_mm.items()))
    print("examples   MPJPE mm   of the trained   locality   joints each")
    for count in COUNTS:
        scores, localities, joint_counts = [], [], []
        for draw in range(DRAWS):
            examples = draw_examples(predictions.pool, count, draw)
            locality = fitting.chosen_locality(examples, predictions.sides)
            weights = fitting.solve(examples, predictions.sides, locality)
            scores.append(
                error(weights @ predictions.test_joints_mm, predictions.test_true_mm, held_out)
            )
            localities.append(locality)
            joint_counts.append((weights != 0).sum(1).mean())
        ratios = f"{np.mean(scores) / trained:.3f} (at most {np.max(scores) / trained:.3f})"
        print(
            f"{count:8}   {np.mean(scores):8.1f}   {ratios:>24}   "
            f"{np.median(localities):g}   {np.mean(joint_counts):.1f}",
            flush=True,
        )
    for way, score in other_methods(predictions, held_out, run).items():
        print(f"      50   {score:8.1f}   {score / trained:.3f}   {way}", flush=True)


def main() -> None:
    """Train what is not trained yet, and report."""
    parser = argparse.ArgumentParser(
        description="The error of a learned skeleton whose labels were not used in training."
    )
    parser.add_argument("--formats", nargs="+", default=["markers", "mixamo"], choices=body.FORMATS)
    parser.add_argument("--data", type=Path, default=Path("data/embedded"))
    parser.add_argument("--runs", type=Path, default=Path("runs/held_out"))
    options = parser.parse_args()
    for held_out in options.formats:
        train(held_out, options.runs / held_out, options.data)
    for held_out in options.formats:
        report(held_out, options.runs / held_out, options.data)


if __name__ == "__main__":
    main()
