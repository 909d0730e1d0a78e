"""From a config to the parts of the stages: unions, batches, networks, evaluations.

Only this module and the task builders read a config; everything below them gets values.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Float
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.benchmarks import evals
from acae_jax.benchmarks.stored_crops import CropModel, StoredCrops
from acae_jax.data import crop_batches, examples, feed, sources
from acae_jax.estimation import schedules
from acae_jax.estimation.evaluation import crop_evals
from acae_jax.estimation.model import network as networks
from acae_jax.estimation.model import objective, step
from acae_jax.images import background, occlusion, props, props_from_files
from acae_jax.models import backbones
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import parallel
from acae_jax.training.loop import Evaluated, Task
from acae_jax.training.state import TrainState

Batch = dict[str, np.ndarray]
ASSET_SEED = 0
DTYPES = ("float32", "bfloat16")  # of activations; parameters are float32


def joint_union(data: ConfigDict) -> JointUnion:
    """The joints that the model predicts: those of a mixture, or of formats, side by side or merged
    by name.
    """
    if data.merge_by_name and not isinstance(data.union, str):
        return unions.merged_by_name([catalogue.load(name) for name in data.union])
    return _separate_joints(data.union)


def _separate_joints(names: str | Sequence[str]) -> JointUnion:
    """The joints of formats, and of a mixture that may stand before them, none merged."""
    if isinstance(names, str):
        return unions.mixture(names)
    if not names or names[0] not in catalogue.mixtures():
        return unions.of([catalogue.load(name) for name in names])
    others = unions.of([catalogue.load(name) for name in names[1:]])
    return unions.beside(unions.mixture(names[0]), others)


def label_names(data: ConfigDict) -> tuple[str, ...]:
    """The names of the 2D labels: those of a label set, and the joints of skeletons' files."""
    files = () if isinstance(data.union, str) else [n for n in data.union if n.endswith(".json")]
    own = unions.of([catalogue.load(path) for path in files]).joint_names
    return (*catalogue.load(data.labels).joint_names, *own)


def crop_layout(data: ConfigDict, union: JointUnion) -> crop_batches.Layout:
    """The joints, 2D labels and crop side of all examples."""
    return crop_batches.Layout(union, label_names(data), data.side_px)


def example_maker(data: ConfigDict, union: JointUnion) -> feed.MakeExample:
    """The function (record, dataset, (seed, step, slot)) → augmented example, for the feed."""
    chances = data.get("background_probabilities", {})
    return crop_batches.maker(
        crop_layout(data, union),
        examples.Augmentation(
            **configs.keywords(examples.Augmentation, data.augmentation, "data.augmentation")
        ),
        device_colour=data.device_colour,
        occluders=occluders(data),
        backgrounds=backgrounds(data),
        background_probabilities=[chances.get(sources.plain_name(name)) for name, _ in data.quotas],
    )


def occluders(data: ConfigDict) -> Sequence[occlusion.Occluder]:
    """Objects to paste in front of people: the user's, or the embedded ones."""
    if data.get("occluder_folder"):
        return props_from_files.occluders(data.occluder_folder)
    return props.occluders(ASSET_SEED, data.occluders)


def backgrounds(data: ConfigDict) -> Sequence[background.Background]:
    """Pictures to put behind people: the user's, or the embedded ones."""
    if data.get("background_folder"):
        return props_from_files.backgrounds(data.background_folder)
    return props.backgrounds(ASSET_SEED, data.backgrounds, 2 * data.side_px)


def training_batches(config: ConfigDict, union: JointUnion) -> Callable[[int], Iterator[Batch]]:
    """The function from a first step to the endless batches of the config's quotas."""
    data = config.data
    return crop_batches.training(
        data.quotas,
        data.folder,
        union,
        example_maker(data, union),
        seed=config.seed,
        ghost_size=data.ghost_size,
        devices=parallel.mesh(config.loop.devices).size,
        scale=data.quota_scale,
        parts=data.parts,
        workers=data.workers,
        in_memory=data.in_memory,
    )


def clean_examples(
    config: ConfigDict, union: JointUnion, source: sources.Records, rows: Iterable[int]
) -> list[Batch]:
    """Examples of these records, without augmentation."""
    return crop_batches.clean(crop_layout(config.data, union), source, rows, config.seed)


def even_examples(config: ConfigDict, union: JointUnion, name: str, limit: int) -> list[Batch]:
    """At most `limit` training examples of a dataset, evenly spread, without augmentation."""
    source = crop_batches.open_crops(name, config.data.folder, "train", union)
    return clean_examples(config, union, source, crop_batches.evenly_spread(len(source), limit))


def network(config: ConfigDict, points: int) -> networks.PoseNetwork:
    """The pose network of the config, with this number of output points."""
    model = config.model
    if model.dtype not in DTYPES:
        raise ValueError(f"model.dtype is {model.dtype!r}; it must be one of {', '.join(DTYPES)}")
    if model.depth_bins < 1:
        raise ValueError(f"model.depth_bins is {model.depth_bins}; it must be at least 1")
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
    network: networks.PoseNetwork, variant: objective.Variant, mesh: Mesh
) -> Callable[[dict, Batch], jax.Array]:
    """The compiled function from variables and a batch to joints.

    Every process passes its share of the batch and gets the joints of the whole batch.
    """

    @partial(jax.jit, out_shardings=parallel.replicated(mesh))
    def joints(variables: dict, batch: dict) -> jax.Array:
        return networks.predict(network, variant.joints, variables, **batch)

    def predict(variables: dict, batch: Batch) -> jax.Array:
        inputs = {"images": batch["image"], "intrinsics": batch["intrinsics"]}
        return joints(variables, parallel.place_batch(inputs, mesh))

    return predict


def test_union(config: ConfigDict) -> JointUnion:
    """The union of the test labels, in which no two formats share a joint."""
    return _separate_joints(config.data.union)


def test_layout(config: ConfigDict) -> crop_batches.Layout:
    """The joints, 2D labels and crop side of test examples."""
    return crop_layout(config.data, test_union(config))


def test_crops(config: ConfigDict, devices: int) -> StoredCrops:
    """The stored crops on which reports and exports measure a model, see `crop_evals.reported`."""
    test = crop_evals.reported(config)
    if test is None:
        raise ValueError(
            "config.evals names no dataset of crops, so the run cannot be measured: set "
            "evals.test.dataset"
        )
    return crop_evals.open_crops(test, test_layout(config), config.data.folder, devices)


def evaluation_of(
    config: ConfigDict,
    network: networks.PoseNetwork,
    variant: objective.Variant,
    union: JointUnion,
) -> evals.Evaluation | None:
    """All evaluations of config.evals as one, with their data opened; None if there are none."""
    entries = crop_evals.entries(config)
    if not entries:
        return None
    mesh = parallel.mesh(config.loop.devices)
    model = CropModel(
        predictor(network, variant, mesh),
        union.members,
        test_layout(config),
        config.data.folder,
        mesh.size,
    )
    return evals.build(entries, model, crop_evals.build)


def label_groups(data: ConfigDict, union: JointUnion) -> Float[np.ndarray, "k j"]:
    """The matrix that averages, for each 2D label, the joints with its name."""
    return unions.label_groups(union.joint_names, label_names(data))


class Computation(NamedTuple):
    """The part of a task that runs on devices; it needs no data. See `loop.Task`."""

    init: Callable[[jax.Array], TrainState]
    shapes: Callable[[], TrainState]
    update: Callable[[int, TrainState, dict[str, jax.Array]], tuple[TrainState, step.Metrics]]
    network: networks.PoseNetwork
    variant: objective.Variant
    union: JointUnion


def batch_size(data: ConfigDict) -> int:
    """The number of crops in a step, over all devices."""
    return data.quota_scale * sum(quota for _, quota in data.quotas)


def abstract_batch(data: ConfigDict, union: JointUnion) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of a batch of these quotas."""
    return crop_batches.shapes(crop_layout(data, union), batch_size(data), data.device_colour)


def pose_computation(
    config: ConfigDict,
    union: JointUnion,
    variant: objective.Variant,
    optimizer: optax.GradientTransformation,
    variables: Callable[[networks.PoseNetwork, jax.Array], dict],
) -> Computation:
    """The computation of stage 1 or 3, which differ in variant, optimiser and first variables.

    `variables` makes the first params and batch_stats from a network and a random key.
    """
    model = network(config, variant.points)
    weights = schedules.weights(config.weights, config.steps)
    schedule = schedules.schedule(config.schedule, config.steps)
    if weights.heatmap and variant.points != len(union.joint_names):
        raise ValueError(
            f"weights.heatmap is for the heat maps of joints, but this head predicts "
            f"{variant.points} points for {len(union.joint_names)} joints: set it to 0"
        )
    update = step.make_update(
        model,
        variant,
        optimizer,
        label_groups(config.data, union),
        weights,
        schedule,
        tuple(sources.plain_name(name) for name, _ in config.data.quotas),
        config.seed,
        config.average_decay,
    )

    averaged = bool(config.average_decay)

    def init(key: jax.Array) -> TrainState:
        return step.initial_state(optimizer, variables(model, key), averaged)

    def shapes() -> TrainState:
        fresh = lambda key: step.initial_state(  # noqa: E731
            optimizer, step.fresh_variables(model, key), averaged
        )
        return jax.eval_shape(fresh, jax.random.key(config.seed))

    return Computation(init, shapes, update, model, variant, union)


def metadata(union: JointUnion) -> dict[str, list[str]]:
    """The metadata of checkpoints, by which later stages match joints: see `initial_weights`."""
    return {"joint_names": list(union.joint_names)}


def pose_task(config: ConfigDict, computation: Computation) -> Task:
    """The task of a computation on the config's data, which is opened when training begins."""
    parts = computation.network, computation.variant, computation.union
    open_evaluation = cache(partial(evaluation_of, config, *parts))

    def batches(first_step: int) -> Iterator[Batch]:
        open_evaluation()  # so missing test data is an error before training, not after it
        return training_batches(config, computation.union)(first_step)

    def evaluate(state: TrainState) -> Evaluated:
        evaluation = open_evaluation()
        assert evaluation is not None
        return evaluation(state)

    return Task(
        init=computation.init,
        shapes=computation.shapes,
        update=computation.update,
        batches=batches,
        evaluate=evaluate if crop_evals.entries(config) else None,
        group_size=config.data.ghost_size,
        parts=config.data.parts,
        metadata=metadata(computation.union),
    )
