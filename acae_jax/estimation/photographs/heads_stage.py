"""The training of the heads, and of the rows that make all joints of their points.

Both heads and their mean are judged by the labelled joints that follow from them. The rows start
as `skeletons fit` would have them for the landmarks. They sum to 1, and mirrored joints have
mirrored rows. A small pull keeps each point near the landmark that it is called after, where labels
say nothing.
"""

from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Float32, Int
from ml_collections import ConfigDict

from acae_jax import losses
from acae_jax.data import feed, labels, mixture, sources
from acae_jax.estimation.evaluation import per_format
from acae_jax.estimation.model.landmark_heads import (
    GEOMETRY,
    LANDMARKS,
    LandmarkHeads,
    Look,
    Refined,
    point_names,
)
from acae_jax.estimation.packing import landmarks
from acae_jax.estimation.photographs import look_record
from acae_jax.estimation.photographs.look_record import LookRecord
from acae_jax.geometry import absolute
from acae_jax.own_skeletons import fitting
from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons import union as unions
from acae_jax.skeletons.union import JointUnion
from acae_jax.training.loop import Evaluated, Task
from acae_jax.training.state import TrainState, step_key

Batch = Mapping[str, Any]

LOCALITY = 0.01  # of the first rows, see own_skeletons.fitting
IN_VIEW_PX = 0.0  # true joints beyond the crop's edge do not count in the image


class LossWeights(NamedTuple):
    """The factors of the loss terms; that of the relative pose is 1."""

    projected: float = 1.0
    pull: float = 0.05  # of points to their landmarks
    sparsity: float = 0.0005  # of the rows: the mean over joints of the sum of absolute weights


def union_of(config: ConfigDict) -> JointUnion:
    """The joints of the config's formats, side by side."""
    return unions.of([catalogue.load(name) for name in config.data.union])


def network_of(config: ConfigDict) -> LandmarkHeads:
    """The heads of a config."""
    return LandmarkHeads(config.model.hidden, config.model.depth_bins)


def example(
    record: LookRecord, dataset: int, seed_step_slot: tuple[int, int, int], union: JointUnion
) -> dict[str, Any]:
    """The arrays of one look, for the feed; looks were varied when they were stored."""
    del seed_step_slot
    joints_mm, valid = placed(record, union)
    return {
        **{name: getattr(record, name) for name in Look._fields},
        "joints_mm": joints_mm,
        "valid": valid,
        "dataset": np.int32(dataset),
    }


def placed(
    record: LookRecord, union: JointUnion
) -> tuple[Float32[np.ndarray, "j 3"], Bool[np.ndarray, " j"]]:
    """The labels at the union's joints, 0 without one, and which joints have one."""
    joints_mm = np.zeros((len(union.joint_names), 3), np.float32)
    valid = np.zeros(len(union.joint_names), bool)
    members = labels.members_of(record.format, len(record.joints_mm), union)
    own = np.isfinite(record.joints_mm).all(axis=-1) & (members >= 0)
    joints_mm[members[own]], valid[members[own]] = record.joints_mm[own], True
    return joints_mm, valid


def first_rows(
    examples: Mapping[str, tuple[Float[np.ndarray, "n 33 3"], Float[np.ndarray, "n _ 3"]]],
    union: JointUnion,
) -> Float32[np.ndarray, "j p"]:
    """Rows of weights that make the joints of each format of the landmarks.

    `examples` has for each format the landmarks of n people in mm in their camera's space, and the
    labels there.
    """
    rows = np.zeros((len(union.joint_names), len(point_names())), np.float32)
    names = point_names()[:LANDMARKS]
    for name, (landmarks_mm, true_mm) in examples.items():
        fitted = fitting.solve(
            fitting.Examples(landmarks_mm, true_mm, np.arange(len(true_mm))),
            fitting.mirrors(names, union.member_joints[name]),
            LOCALITY,
        )
        rows[list(union.members[name]), :LANDMARKS] = fitted
    return rows


class Mirrors(NamedTuple):
    """The joint and the point on the other side of each."""

    joints: Int[np.ndarray, " j"]
    points: Int[np.ndarray, " p"]


def mirrors_of(union: JointUnion) -> Mirrors:
    """The mirrors of a union's joints and of the points."""
    maps = (skeleton.mirror_map(names) for names in (union.joint_names, point_names()))
    return Mirrors(*maps)


def constrained(raw: Float[Array, "j p"], mirrors: Mirrors) -> Float[Array, "j p"]:
    """The nearest rows that sum to 1 and are equal for mirror images."""
    rows = (raw + raw[mirrors.joints][:, mirrors.points]) / 2
    return rows - (rows.sum(axis=1, keepdims=True) - 1) / rows.shape[1]


def look_of(batch: Batch) -> Look:
    """The looks of a batch."""
    return Look(**{name: batch[name] for name in Look._fields})


def loss_terms(
    refined: Refined, rows: Float[Array, "j p"], batch: Batch, weights: LossWeights
) -> dict[str, Float[Array, ""]]:
    """The terms of a batch's loss, in metres."""
    true_mm, valid = batch["joints_mm"], batch["valid"]
    true_px = losses.project_px(true_mm, batch["intrinsics"])
    visible = valid & absolute.in_view(true_px, GEOMETRY.side_px, IN_VIEW_PX)
    metres_per_px = GEOMETRY.box_mm / 1000.0 / GEOMETRY.side_px
    heads_mm = (refined.points.relative_mm, refined.of_landmarks.relative_mm, refined.of_map)
    relative = [
        losses.mean_relative_loss(jnp.einsum("jp,bpc->bjc", rows, points_mm), true_mm, valid)
        for points_mm in heads_mm
    ]
    joints_px = jnp.einsum("jp,bpc->bjc", rows, refined.points.px)
    begin = landmarks.before(look_of(batch))
    everywhere = jnp.ones(begin.px.shape[:2], bool)
    pulls = losses.mean_relative_loss(refined.points.relative_mm, begin.relative_mm, everywhere)
    pulls_px = losses.pixel_loss(refined.points.px, begin.px, everywhere, metres_per_px)
    projected = losses.pixel_loss(joints_px, true_px, visible, metres_per_px)
    return {
        "relative": sum(relative, start=jnp.zeros(())) / len(relative),
        "projected": weights.projected * projected,
        "pull": weights.pull * (pulls + pulls_px),
        "sparsity": weights.sparsity * jnp.abs(rows).sum(axis=1).mean(),
    }


def predicted_mm(
    network: LandmarkHeads, mirrors: Mirrors, params: dict[str, Any], look: Look
) -> Float[Array, "b j 3"]:
    """All joints in the space of the crop's camera."""
    refined: Any = network.apply({"params": params["heads"]}, look, train=False)
    points_mm = landmarks.located(refined.points, look.intrinsics)
    return jnp.einsum(
        "jp,bpc->bjc", constrained(params["rows"], mirrors), points_mm, precision="highest"
    )


def open_looks(name: str, folder: str | Path, split: str) -> sources.Source:
    """A dataset of looks."""
    return sources.open(name, folder, split, look_record.SCHEMA)


def stacked(records: list[LookRecord], union: JointUnion) -> dict[str, np.ndarray]:
    """The arrays of several looks."""
    made = [example(record, 0, (0, 0, 0), union) for record in records]
    return {name: np.stack([one[name] for one in made]) for name in made[0]}


def task(config: ConfigDict, workdir: Path) -> Task:
    """The task of configs/estimation/photographs.py."""
    del workdir
    union, data = union_of(config), config.data
    network, mirrors = network_of(config), mirrors_of(union)
    weights = LossWeights(**config.weights)
    rate = optax.cosine_decay_schedule(config.optimizer.base_rate, config.steps)
    optimizer = optax.adamw(rate, weight_decay=config.optimizer.decay)

    @cache
    def train_looks() -> list[sources.Source]:
        return [open_looks(name, data.folder, "train") for name, _ in data.quotas]

    def fresh_heads(key: Array, features: int) -> dict:
        empty = Look(
            jnp.zeros((1, 8, 8, features), jnp.float16),
            jnp.zeros((1, LANDMARKS, 2)),
            jnp.zeros((1, LANDMARKS, 3)),
            jnp.zeros((1, LANDMARKS, 2)),
            jnp.eye(3)[None],
        )
        return dict(jax.jit(partial(network.init, train=False))(key, empty))["params"]

    def state_of(params: dict) -> TrainState:
        return TrainState(jnp.zeros((), jnp.int32), params, {}, optimizer.init(params))

    def init(key: Array) -> TrainState:
        examples = {}
        for source in train_looks():
            at = np.linspace(0, len(source) - 1, min(len(source), config.first_rows)).astype(int)
            records = [source[index] for index in at.tolist()]
            arrays = stacked(records, union)
            begin = landmarks.before(look_of(arrays))
            points_mm = landmarks.located(begin, jnp.asarray(arrays["intrinsics"]))
            (name,) = source.joint_names
            true_mm = np.stack([record.joints_mm for record in records]).astype(np.float64)
            examples[name] = np.asarray(points_mm[:, :LANDMARKS], np.float64), true_mm
        rows = jnp.asarray(first_rows(examples, union))
        features = train_looks()[0][0].features.shape[-1]
        return state_of({"heads": fresh_heads(key, features), "rows": rows})

    def shapes() -> TrainState:
        rows = jnp.zeros((len(union.joint_names), len(point_names())))
        features = train_looks()[0][0].features.shape[-1]
        fresh = lambda key: state_of({"heads": fresh_heads(key, features), "rows": rows})  # noqa: E731
        return jax.eval_shape(fresh, jax.random.key(0))

    @partial(jax.jit, donate_argnums=0)
    def update(now: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        def cost(params: dict) -> tuple[Array, dict[str, Array]]:
            key = {"dropout": step_key(config.seed, now.step)}
            variables = {"params": params["heads"]}
            refined: Any = network.apply(variables, look_of(batch), train=True, rngs=key)
            terms = loss_terms(refined, constrained(params["rows"], mirrors), batch, weights)
            return sum(terms.values(), start=jnp.zeros(())), terms

        (value, terms), gradient = jax.value_and_grad(cost, has_aux=True)(now.params)
        changes, opt_state = optimizer.update(gradient, now.opt_state, now.params)
        params = optax.apply_updates(now.params, changes)
        return TrainState(now.step + 1, params, {}, opt_state), {"loss": value, **terms}

    def batches(first_step: int) -> Iterator[dict[str, np.ndarray]]:
        opened = train_looks()
        plan = mixture.create(data.quotas, [*map(len, opened)], seed=config.seed, ghost_size=1)
        make = partial(example, union=union)
        return feed.batches(plan, opened, make, first_step, workers=data.workers)

    predict = jax.jit(partial(predicted_mm, network, mirrors))

    def evaluate(now: TrainState) -> Evaluated:
        test = list(open_looks(config.test, data.folder, "test"))
        arrays = stacked(test, union)
        parts = [{n: a[i : i + 50] for n, a in arrays.items()} for i in range(0, len(test), 50)]
        poses_mm = np.concatenate([np.asarray(predict(now.params, look_of(p))) for p in parts])
        true = arrays["joints_mm"], arrays["valid"]
        _, pairs = per_format.survey([true], union)
        scores = per_format.scores(poses_mm, true, union, pairs)
        mean = scores[per_format.MEAN]
        return Evaluated({f"test/{name}": value for name, value in mean.items()})

    return Task(
        init=init,
        shapes=shapes,
        update=lambda step, now, batch: update(now, batch),
        batches=batches,
        evaluate=evaluate,
        metadata={"joint_names": list(union.joint_names)},
    )
