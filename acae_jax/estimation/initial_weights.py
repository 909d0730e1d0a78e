"""First variables: those of another run, as far as the networks agree, or an imported backbone."""

import logging
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from acae_jax import config as configs
from acae_jax.estimation import building
from acae_jax.estimation.model.network import PoseNetwork
from acae_jax.foreign import pretrained
from acae_jax.skeletons import union as unions
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints
from acae_jax.training.state import parameter_count

PARTS = ("whole", "backbone", "head rows")
HEAD = ("head",)
Pairs = list[tuple[int, int]]


def from_run(fresh: dict, folder: str | Path, part: str, union: JointUnion) -> dict:
    """The variables `fresh`, with values of a stage-1 run; the optimiser's state is not loaded.

    `part` is "whole", for which the networks must be equal; "backbone", which leaves the head
    fresh; or "head rows", which loads the backbone, and the head's rows of the joints that both
    unions have under one name. Logs what was loaded and what was not. Raises ValueError if
    something does not fit, OSError if there is no such run.
    """
    if part not in PARTS:
        raise ValueError(f"init.part is {part!r}; it must be one of {', '.join(PARTS)}")
    if part == "whole":
        loaded = stage_one(folder, union, whole=True)
    else:
        loaded = jax.tree.map(jnp.asarray, checkpoints.load_params(folder))
    variables, stayed = checkpoints.init_from(fresh, loaded, () if part == "whole" else HEAD)
    report = f"loaded {len(jax.tree.leaves(fresh)) - len(stayed)} arrays of {folder}"
    if part == "head rows":
        theirs = joint_names(folder)
        pairs = shared_joints(theirs, union.joint_names)
        counts = len(theirs), len(union.joint_names)
        head = jax.tree.map(
            lambda old, new: with_points(old, new, pairs, counts),
            loaded["params"]["head"],
            fresh["params"]["head"],
        )
        variables = {**variables, "params": {**variables["params"], "head": head}}
        report += f", and the head's rows of {_listed(pairs, union)}"
    elif stayed:
        report += f"; not loaded: {', '.join(stayed)}"
    numbers = parameter_count(variables["params"])
    logging.warning("init: %s; the network has %d parameters", report, numbers)
    return variables


def from_import(fresh: dict, folder: str | Path, part: str, network: PoseNetwork) -> dict:
    """The variables `fresh`, with the backbone that `acae_jax.import_weights` wrote to the folder.

    Raises ValueError if the config has another backbone, or one that normalises pixels differently.
    """
    if part != "backbone":
        raise ValueError(f"{folder} is a backbone only: set init.part to 'backbone', not {part!r}")
    imported = pretrained.read(folder)
    pixels = getattr(network.backbone, "pixels", None)
    nested = {kind: {"backbone": tree} for kind, tree in imported.variables.items()}
    try:
        variables, stayed = checkpoints.init_from(fresh, nested, HEAD)
    except ValueError as error:
        raise ValueError(
            f"{folder} holds {imported.name}: set model.backbone to {imported.name!r} ({error})"
        ) from error
    if pixels != imported.pixels:
        raise ValueError(
            f"{folder} takes pixels as {imported.pixels!r}, but this backbone as {pixels!r}: set "
            f"model.options.pixels to {imported.pixels!r}"
        )
    variables = jax.tree.map(jnp.asarray, variables)
    logging.warning("init: loaded %s; not loaded: %s", imported.source, ", ".join(stayed))
    return variables


def joint_names(folder: str | Path) -> tuple[str, ...]:
    """The joints of a run, in the order of its weights.

    They stand in its checkpoints; for those of version 0.1, they follow from its config.
    """
    names = checkpoints.newest_metadata(folder).get("joint_names")
    return tuple(names or building.joint_union(configs.read(folder).data).joint_names)


def stage_one(folder: str | Path, union: JointUnion, whole: bool = False) -> dict:
    """The variables of a stage-1 run, with the head's rows matched by name to our joints.

    Raises ValueError, in one line, if the run lacks one of our joints, or, with `whole`, if it has
    others too.
    """
    loaded = jax.tree.map(jnp.asarray, checkpoints.load_params(folder))
    theirs = joint_names(folder)
    try:
        places = unions.places(theirs, union.joint_names)
    except ValueError as error:
        raise ValueError(
            f"{folder} was trained for other joints ({error}): data.union and data.merge_by_name "
            "must name formats of that run"
        ) from error
    if whole and len(theirs) != len(places):
        raise ValueError(
            f"{folder} predicts {len(theirs)} joints and this run {len(places)} of them: use "
            "init.part='head rows', or the data.union of that run"
        )
    if places == tuple(range(len(theirs))):
        return loaded
    head = jax.tree.map(
        lambda channels: channels.reshape(*channels.shape[:-1], -1, len(theirs))[
            ..., jnp.array(places)
        ].reshape(*channels.shape[:-1], -1),
        loaded["params"]["head"],
    )
    return {**loaded, "params": {**loaded["params"], "head": head}}


def shared_joints(theirs: Sequence[str], ours: Sequence[str]) -> Pairs:
    """The indices (theirs, ours) of the joints that both have under one name."""
    places = {name: index for index, name in enumerate(theirs)}
    return [(places[name], i) for i, name in enumerate(ours) if name in places]


def with_points(old: jax.Array, new: jax.Array, pairs: Pairs, counts: tuple[int, int]) -> jax.Array:
    """A head's `new` kernel or bias, with the channels of paired points copied from the `old` one.

    Channels are 1 + D blocks of one channel for each point; `counts` are the points of both heads.
    Raises ValueError if the heads differ in blocks or features.
    """
    before = old.reshape(*old.shape[:-1], -1, counts[0])
    after = new.reshape(*new.shape[:-1], -1, counts[1])
    if before.shape[:-1] != after.shape[:-1]:
        raise ValueError(
            f"a head of shape {before.shape[:-1]} for each point does not fit one of "
            f"{after.shape[:-1]}: model.depth_bins and the backbone must be equal"
        )
    if not pairs:
        return new
    sources, targets = (jnp.array(places) for places in zip(*pairs, strict=True))
    return after.at[..., targets].set(before[..., sources]).reshape(new.shape)


def _listed(pairs: Pairs, union: JointUnion) -> str:
    """How many joints were loaded, and the first of the others."""
    places = {place for _, place in pairs}
    missing = [name for i, name in enumerate(union.joint_names) if i not in places]
    others = f"; not of {', '.join(missing[:6])}{' …' * (len(missing) > 6)}" if missing else ""
    return f"{len(places)} of {len(union.joint_names)} joints{others}"
