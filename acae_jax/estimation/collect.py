"""From the folders of a finished workflow to what a report shows.

A workflow is a folder with one run a stage: `initial`, `autoencoder`, and one for each variant of
stage 3, each with the config.json and checkpoints that `acae_jax.train` left.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.datasets.synthetic import body, poses
from acae_jax.estimation import bottleneck, building, consistency, evaluation, objective, relations
from acae_jax.estimation.outcome import Run
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints, logs, loop, parallel

CORPUS = ("initial", "autoencoder")


def stages(folder: Path) -> tuple[str, ...]:
    """Names of the runs in a workflow's folder, stage 1 and 2 before the variants."""
    found = sorted(path.parent.name for path in folder.glob("*/config.json"))
    if "initial" not in found:
        raise ValueError(
            f"{folder} holds no run 'initial'; run: bash launch/quickstart.sh, or train that stage"
        )
    return tuple(n for n in CORPUS if n in found) + tuple(n for n in found if n not in CORPUS)


def variant_of(config: ConfigDict, union: JointUnion) -> objective.Variant:
    """What a run's network predicts and how joints are read out of it."""
    if config.task.endswith("consistency.task"):
        return consistency.choose(config, union)
    return objective.separate(len(union.joint_names))


def predictions(folder: Path, test: evaluation.TestSet) -> np.ndarray:
    """Poses (n, J, 3) of the test set, in its order, by the newest checkpoint of a run."""
    config = configs.read(folder)
    union = building.joint_union(config.data)
    variant = variant_of(config, union)
    network = building.network(config, variant.points)
    mesh = parallel.mesh()
    predict = building.predictor(network, variant, mesh)
    variables = parallel.replicate(checkpoints.load_params(folder), mesh)
    return building.test_predictions(predict, variables, test, union)


def training_poses(config: ConfigDict, per_dataset: int = 500) -> dict[str, np.ndarray]:
    """Clean labelled poses of the training sets by format, for the mean pose."""
    union = building.test_union(config)
    found: dict[str, list[np.ndarray]] = {}
    for name, _ in config.data.quotas:
        for example in building.even_examples(config, union, name, per_dataset):
            for member, indices in union.members.items():
                if example["valid"][list(indices)].all():
                    found.setdefault(member, []).append(example["joints_mm"][list(indices)])
    return {member: np.stack(examples) for member, examples in found.items()}


def body_poses(union: JointUnion, count: int, people: int, seed: int) -> np.ndarray:
    """Noise-free poses (n, J, 3) of the embedded body in every format of the union."""
    rng = np.random.default_rng(seed)
    mesh = body.load()
    rests = [body.rest(mesh, body.sample_shape(rng)) for _ in range(people)]
    posed = [body.pose(mesh, rests[i % people], poses.sample(rng)) for i in range(count)]
    return np.stack(
        [np.concatenate([body.joints(mesh, f, points) for f in union.members]) for points in posed]
    )


def body_relations(union: JointUnion, seed: int = 0) -> relations.Table:
    """How well each format follows from each other one on noise-free poses of unseen people."""
    train = body_poses(union, 2000, 400, seed)
    test = body_poses(union, 500, 100, seed + 1)
    return relations.table(train, test, union.members)


def outcome(folder: Path, seconds: float) -> Run:
    """Everything that the report of this workflow shows; predicts the test set with every run."""
    names = stages(folder)
    config = configs.read(folder / "initial")
    test = building.load_test_set(config, parallel.mesh())
    predicted = {name: predictions(folder / name, test) for name in names if name != "autoencoder"}
    has_autoencoder = "autoencoder" in names
    return Run(
        union=test.union,
        images=_stacked(test, "image"),
        intrinsics=_stacked(test, "intrinsics"),
        true_mm=test.true_mm,
        predictions_mm=predicted,
        scores={name: evaluation.scores(poses, test) for name, poses in predicted.items()},
        curves={name: logs.read(folder / name / loop.LOG) for name in names},
        maps=bottleneck.load(folder / "autoencoder", test.union) if has_autoencoder else None,
        relations=body_relations(test.union),
        mean_pose_mpjpe_mm=evaluation.mean_pose_mpjpe_mm(training_poses(config), test),
        seconds=seconds,
    )


def _stacked(test: evaluation.TestSet, name: str) -> np.ndarray:
    parts: Sequence[np.ndarray] = [batch[name] for batch in test.batches]
    return np.concatenate(parts)[: test.count]
