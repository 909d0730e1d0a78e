"""From the folder of a finished workflow to its report.

A workflow is a folder of runs: stage 1, the autoencoder, and a run for each variant of stage 3.
Each run has the config.json and the checkpoints that `acae_jax.train` wrote. The config says which
stage a run is; the name of its folder is the name of the variant in the report.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.benchmarks import scoring
from acae_jax.benchmarks.stored_crops import StoredCrops
from acae_jax.data import crop_batches
from acae_jax.data.crop_batches import Layout
from acae_jax.datasets.synthetic import body, poses
from acae_jax.estimation import autoencoder_stage, building, stages
from acae_jax.estimation.evaluation import per_format
from acae_jax.estimation.reporting import pictures, relations, report_page
from acae_jax.estimation.reporting.workflow_results import Run, examples
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints, logs, loop, parallel


def report(folder: Path, seconds: float) -> str:
    """Write report.html, report.json and overview.png to the folder of a workflow; returns text.

    `seconds` is the time that the whole workflow took.
    """
    names = ", ".join(stages.of_workflow(folder))
    run = results(folder, seconds)
    report_page.write(run, folder)
    (folder / "overview.png").write_bytes(pictures.overview(run))
    return (
        f"{folder} is a workflow of the runs {names}\n\n{report_page.summary(run)}\n\n"
        f"Report: {folder / 'report.html'}"
    )


def predictions(folder: Path, test: StoredCrops) -> np.ndarray:
    """Poses (n, J, 3) of the test set in its order, predicted with a run's newest checkpoint."""
    config = configs.read(folder)
    union = building.joint_union(config.data)
    variant = stages.variant_of(config, union, folder)
    network = building.network(config, variant.points)
    mesh = parallel.mesh()
    predict = building.predictor(network, variant, mesh)
    variables = parallel.replicate(checkpoints.load_params(folder), mesh)
    outputs = scoring.streamed(lambda crops: predict(variables, crops.inputs), test)
    poses = np.concatenate([output[: len(crops.true_mm)] for crops, output in outputs])
    return per_format.in_test_order(poses, union.members, test.scored)


def training_labels(
    config: ConfigDict, layout: Layout, per_dataset: int = 500
) -> Iterator[per_format.Labels]:
    """Labels of clean training crops for the mean pose; each batch is of one dataset."""
    for name, _ in config.data.quotas:
        source = crop_batches.open_crops(name, config.data.folder, "train", layout.union)
        rows = crop_batches.evenly_spread(len(source), per_dataset)
        yield from StoredCrops([source[row] for row in rows], layout, 64, 1).labels()


def is_of_embedded_body(union: JointUnion) -> bool:
    """Whether all formats of the union are formats of the embedded body, with the same joints."""
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
    """How well each format follows from each other one, on noise-free poses of other people."""
    train = body_poses(union, 2000, 400, seed)
    test = body_poses(union, 500, 100, seed + 1)
    return relations.table(train, test, union.members)


def results(folder: Path, seconds: float) -> Run:
    """Predict the test set with every run, and collect everything that the report shows."""
    runs = stages.of_workflow(folder)
    config = next(iter(runs.values()))
    test = building.test_crops(config, parallel.mesh().size)
    union = test.scored
    true_mm, valid = (np.concatenate(part) for part in zip(*test.labels(), strict=True))
    counts, pairs = per_format.survey([(true_mm, valid)], union)
    if not any(count.poses > count.without_root for count in counts.values()):
        raise ValueError("no pose of the test set has a labelled root: there is nothing to report")
    autoencoders = [name for name, config in runs.items() if config.task == stages.AUTOENCODER]
    pose_runs = [name for name in runs if name not in autoencoders]
    poses_mm = {name: predictions(folder / name, test) for name in pose_runs}
    labels = true_mm, valid
    scores = {n: per_format.scores(p, labels, union, pairs) for n, p in poses_mm.items()}
    mean_poses = per_format.mean_poses(training_labels(config, test.layout), union)
    run = Run(
        union=union,
        images={},
        intrinsics=test.intrinsics(),
        true_mm=np.where(valid[..., None], true_mm, np.float32(np.nan)),
        counts=counts,
        predictions_mm=poses_mm,
        scores=scores,
        curves={name: logs.read(folder / name / loop.LOG) for name in runs},
        maps=autoencoder_stage.load(folder / autoencoders[0], union) if autoencoders else None,
        relations=body_relations(union) if is_of_embedded_body(union) else None,
        mean_pose_mpjpe_mm=per_format.mean_pose_mpjpe_mm(mean_poses, labels, union),
        seconds=seconds,
    )
    return run._replace(images={index: test.image(index) for index in examples(run).values()})
