"""From a config to the values that the stages are made of: unions, batches, networks, evaluation.

Only this module and the task builders see a config; everything below receives values.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float
from ml_collections import ConfigDict

from acae_jax.data import examples, feed, mixture, sources
from acae_jax.data.record import Record
from acae_jax.datasets.synthetic import props
from acae_jax.estimation import evaluation, objective, step
from acae_jax.estimation import network as networks
from acae_jax.models import backbones
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions
from acae_jax.skeletons.union import JointUnion
from acae_jax.training.loop import Task
from acae_jax.training.state import TrainState

Batch = dict[str, np.ndarray]
ASSET_SEED = 0


def joint_union(data: ConfigDict) -> JointUnion:
    """The model's outputs: a named mixture, or given formats side by side or merged by name."""
    if isinstance(data.union, str):
        return unions.mixture(data.union)
    skeletons = [catalogue.load(name) for name in data.union]
    return unions.merged_by_name(skeletons) if data.merge_by_name else unions.of(skeletons)


def label_names(data: ConfigDict) -> tuple[str, ...]:
    """Names of the 2D labels."""
    return catalogue.load(data.labels).joint_names


def _example(
    record: Record, dataset: int, seed_step_slot: tuple[int, int, int], **settings: object
) -> dict[str, Any]:
    """`examples.arrange` in the form that the feed calls (it must be importable by the workers)."""
    return examples.arrange(record, seed_step_slot, dataset_index=dataset, **settings)  # type: ignore[arg-type]


def example_maker(data: ConfigDict, union: JointUnion) -> Callable[..., dict[str, Any]]:
    """The function (record, dataset, (seed, step, slot)) → augmented example, for the feed."""
    return partial(
        _example,
        union=union,
        label_names=label_names(data),
        side_px=data.side_px,
        augmentation=examples.Augmentation(**data.augmentation),
        occluders=props.occluders(ASSET_SEED, data.occluders),
        backgrounds=props.backgrounds(ASSET_SEED, data.backgrounds, 2 * data.side_px),
    )


def training_batches(config: ConfigDict, union: JointUnion) -> Callable[[int], Iterator[Batch]]:
    """The function from a first step to the endless batches of the config's quotas."""
    data = config.data
    stored = [sources.open(name, data.folder, "train") for name, _ in data.quotas]
    opened = [list(source) for source in stored] if data.in_memory else stored
    plan = mixture.create(
        data.quotas,
        [len(source) for source in opened],
        seed=config.seed,
        ghost_size=data.ghost_size,
        devices=config.loop.devices or jax.device_count(),
        scale=data.quota_scale,
    )
    return partial(
        feed.batches,
        plan,
        opened,
        example_maker(data, union),
        host=jax.process_index(),
        hosts=jax.process_count(),
        workers=data.workers,
    )


def clean_examples(
    config: ConfigDict, union: JointUnion, name: str, split: str, limit: int | None = None
) -> list[Batch]:
    """Un-augmented examples of one dataset, evenly chosen when `limit` is smaller than it."""
    data = config.data
    source = sources.open(name, data.folder, split)
    count = len(source) if limit is None else min(limit, len(source))
    chosen = np.linspace(0, len(source) - 1, count).astype(int)
    return [
        examples.make(
            source[int(i)],
            (config.seed, 0, int(i)),
            union=union,
            label_names=label_names(data),
            side_px=data.side_px,
            augmentation=None,
        )
        for i in chosen
    ]


def network(config: ConfigDict, points: int) -> networks.PoseNetwork:
    """The pose network of the config for this many output points."""
    model = config.model
    dtype = jnp.dtype(model.dtype)
    backbone = backbones.create(
        model.backbone,
        ghost_size=config.data.ghost_size,
        dtype=dtype,
        stride=model.stride,
        **model.options,
    )
    geometry = networks.Geometry(side_px=config.data.side_px, stride=model.stride)
    return networks.PoseNetwork(backbone, points, geometry, model.depth_bins, dtype=dtype)


def predictor(
    network: networks.PoseNetwork, variant: objective.Variant
) -> Callable[[dict, Batch], jax.Array]:
    """The jitted function from variables and a batch to the joints that the variant reads out."""

    @jax.jit
    def joints(variables: dict, image: jax.Array, intrinsics: jax.Array) -> jax.Array:
        return networks.predict(network, variant.joints, variables, image, intrinsics)

    return lambda variables, batch: joints(variables, batch["image"], batch["intrinsics"])


def test_union(config: ConfigDict) -> JointUnion:
    """The union in whose order the fully labelled test set is stored."""
    return unions.of([catalogue.load(name) for name in config.data.union])


def load_test_set(config: ConfigDict) -> evaluation.TestSet:
    """The config's test set, as clean crops."""
    union = test_union(config)
    made = clean_examples(config, union, config.data.test, "test")
    return evaluation.test_set(made, union, config.evaluation.batch_size)


def test_predictions(
    predict: Callable[[dict, Batch], jax.Array],
    variables: dict,
    test: evaluation.TestSet,
    union: JointUnion,
) -> Float[np.ndarray, "n j 3"]:
    """Predicted joints of the whole test set, in its order."""
    poses = evaluation.predictions(
        lambda batch: predict(variables, batch), test.batches, test.count
    )
    return evaluation.in_test_order(poses, union.members, test.union)


def evaluations(
    config: ConfigDict,
    network: networks.PoseNetwork,
    variant: objective.Variant,
    union: JointUnion,
) -> dict[str, Callable[[TrainState], dict[str, float]]]:
    """Named functions from a state to mean scores; none if the config has no test set.

    The test set is read once, here, so that a missing one is found before training and not after.
    """
    if "test" not in config.data:
        return {}
    predict = predictor(network, variant)
    test = load_test_set(config)

    def evaluate(state: TrainState) -> dict[str, float]:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        return evaluation.scores(test_predictions(predict, variables, test, union), test)["mean"]

    return {"test": evaluate}


def label_groups(data: ConfigDict, union: JointUnion) -> Float[np.ndarray, "k j"]:
    """The matrix that averages the joints each 2D label names."""
    return unions.label_groups(union.joint_names, label_names(data))


class Program(NamedTuple):
    """What devices run of a task, whether or not its data is here: see `loop.Task`."""

    init: Callable[[jax.Array], TrainState]
    update: Callable[[int, TrainState, dict[str, jax.Array]], tuple[TrainState, step.Metrics]]
    network: networks.PoseNetwork
    variant: objective.Variant
    union: JointUnion


def batch_size(data: ConfigDict) -> int:
    """Crops in a step, over all devices."""
    return data.quota_scale * sum(quota for _, quota in data.quotas)


def abstract_batch(data: ConfigDict, union: JointUnion) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of a batch of these quotas, as `examples.make` and the feed give it."""
    b, j, k = batch_size(data), len(union.joint_names), len(label_names(data))
    return {
        "image": jax.ShapeDtypeStruct((b, data.side_px, data.side_px, 3), jnp.uint8),
        "intrinsics": jax.ShapeDtypeStruct((b, 3, 3), jnp.float32),
        "joints_mm": jax.ShapeDtypeStruct((b, j, 3), jnp.float32),
        "valid": jax.ShapeDtypeStruct((b, j), jnp.bool_),
        "labels_px": jax.ShapeDtypeStruct((b, k, 2), jnp.float32),
        "labels_valid": jax.ShapeDtypeStruct((b, k), jnp.bool_),
        "dataset": jax.ShapeDtypeStruct((b,), jnp.int32),
    }


def pose_program(
    config: ConfigDict,
    union: JointUnion,
    variant: objective.Variant,
    optimizer: optax.GradientTransformation,
    variables: Callable[[networks.PoseNetwork, jax.Array], dict],
) -> Program:
    """The program of stage 1 or 3: what they share, around variant, optimiser and first variables.

    `variables` gives params and batch_stats to start from, of a network and a random key.
    """
    model = network(config, variant.points)
    weights = objective.Weights(**config.weights)
    if weights.heatmap and variant.points != len(union.joint_names):
        raise ValueError(
            f"weights.heatmap prices the heat maps of joints, but this head predicts "
            f"{variant.points} points for {len(union.joint_names)} joints: set it to 0"
        )
    update = step.make_update(
        model,
        variant,
        optimizer,
        label_groups(config.data, union),
        weights,
        step.Schedule(**config.schedule),
        tuple(name for name, _ in config.data.quotas),
        config.seed,
    )
    init = lambda key: step.initial_state(optimizer, variables(model, key))  # noqa: E731
    return Program(init, update, model, variant, union)


def pose_task(config: ConfigDict, program: Program) -> Task:
    """The task of a program, on the config's data."""
    return Task(
        init=program.init,
        update=program.update,
        batches=training_batches(config, program.union),
        evaluate=evaluations(config, program.network, program.variant, program.union),
        group_size=config.data.ghost_size,
    )
