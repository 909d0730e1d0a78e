"""From the folders of a finished workflow to its report.

A workflow is a folder with one run a stage: stage 1, the autoencoder, and one for each variant of
stage 3, each with the config.json and checkpoints that `acae_jax.train` left. Which run is which,
their configs say; the folders' names are the variants' names in the report.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax import systems
from acae_jax.datasets.synthetic import body, poses
from acae_jax.estimation import (
    bottleneck,
    building,
    evaluation,
    objective,
    pictures,
    relations,
)
from acae_jax.estimation import report as pages
from acae_jax.estimation.outcome import Run
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints, logs, loop, parallel

INITIAL = "acae_jax.estimation.initial.task"
AUTOENCODER = "acae_jax.estimation.bottleneck.task"


def report(folder: Path, seconds: float) -> str:
    """Write report.html, report.json and overview.png into a workflow's folder; returns its table.

    `seconds` are the whole workflow's.
    """
    names = ", ".join(stages(folder))
    run = outcome(folder, seconds)
    pages.write(run, folder)
    (folder / "overview.png").write_bytes(pictures.overview(run))
    return (
        f"{folder} is a workflow of the runs {names}\n\n{pages.summary(run)}\n\n"
        f"Report: {folder / 'report.html'}"
    )


def stages(folder: Path) -> dict[str, ConfigDict]:
    """The runs in a workflow's folder with their configs, stage 1 and 2 before the variants."""
    names = sorted(path.parent.name for path in folder.glob("*/config.json"))
    runs = {name: configs.read(folder / name) for name in names}
    if all(config.task == AUTOENCODER for config in runs.values()):
        raise ValueError(
            f"{folder} holds no run of stage 1 or 3; run: bash launch/quickstart.sh, or train one"
        )
    order = {INITIAL: 0, AUTOENCODER: 1}
    return dict(sorted(runs.items(), key=lambda run: order.get(run[1].task, 2)))


def variant_of(config: ConfigDict, union: JointUnion, folder: Path) -> objective.Variant:
    """What the network of the run in this folder predicts and how joints are read out of it, as
    `variant_of` says, which stands beside the run's task builder; a ValueError if there is none.
    """
    module = config.task.rpartition(".")[0]
    try:
        variant = systems.function(f"{module}.variant_of", "task")
    except ValueError:
        raise ValueError(
            f"{folder}: {config.task} does not say what its network predicts. Define "
            f"{module}.variant_of(config, union, workdir), or import it there from "
            "acae_jax.estimation.initial or .consistency"
        ) from None
    return variant(config, union, folder)


def predictions(folder: Path, test: evaluation.TestSet) -> np.ndarray:
    """Poses (n, J, 3) of the test set, in its order, by the newest checkpoint of a run."""
    config = configs.read(folder)
    union = building.joint_union(config.data)
    variant = variant_of(config, union, folder)
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


def is_of_embedded_body(union: JointUnion) -> bool:
    """Whether all formats of the union are those of the embedded body, with the same joints."""
    if not set(union.members) <= set(body.FORMATS):
        return False
    mesh = body.load()
    return all(
        [union.joint_names[i] for i in indices] == body.joint_names(mesh, [name])
        for name, indices in union.members.items()
    )


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
    runs = stages(folder)
    config = next(iter(runs.values()))
    test = building.load_test_set(config, parallel.mesh())
    learners = [name for name, config in runs.items() if config.task == AUTOENCODER]
    predicted = {name: predictions(folder / name, test) for name in runs if name not in learners}
    return Run(
        union=test.union,
        images=_stacked(test, "image"),
        intrinsics=_stacked(test, "intrinsics"),
        true_mm=test.true_mm,
        predictions_mm=predicted,
        scores={name: evaluation.scores(poses, test) for name, poses in predicted.items()},
        curves={name: logs.read(folder / name / loop.LOG) for name in runs},
        maps=bottleneck.load(folder / learners[0], test.union) if learners else None,
        relations=body_relations(test.union) if is_of_embedded_body(test.union) else None,
        mean_pose_mpjpe_mm=evaluation.mean_pose_mpjpe_mm(training_poses(config), test),
        seconds=seconds,
    )


def _stacked(test: evaluation.TestSet, name: str) -> np.ndarray:
    parts: Sequence[np.ndarray] = [batch[name] for batch in test.batches]
    return np.concatenate(parts)[: test.count]
