"""From a trained network to the contents of a bundle."""

from importlib import metadata
from typing import Any

import numpy as np

from acae_jax.bundles.bundle import Contents, Selection
from acae_jax.bundles.facts import Facts
from acae_jax.estimation.packing import pose_card, program
from acae_jax.estimation.packing.architecture import Architecture, network
from acae_jax.estimation.packing.program import Weights
from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons.union import JointUnion

STORAGE = ("float32", "float16")


def contents(
    facts: Facts,
    architecture: Architecture,
    weights: Weights,
    matrix: np.ndarray | None = None,
) -> Contents:
    """The contents of a bundle of the network, with weights from `program.fold` and `stored`.

    The architecture and the versions are added to `facts.about`.
    """
    model, side_px = program.crop_model(network(architecture)), architecture.side_px
    as_float32 = {name: values.astype(np.float32) for name, values in weights.items()}
    versions = {name: metadata.version(name) for name in ("acae_jax", "jax", "flax")}
    about: dict[str, Any] = {"network": architecture._asdict(), "versions": versions}
    complete = facts._replace(about={**facts.about, **about})
    return Contents(
        complete,
        program.export(model, as_float32, side_px),
        weights,
        matrix,
        program.reference(model, as_float32, side_px),
        pose_card.text(complete, "bundle"),
    )


def stored(weights: Weights, storage: str) -> Weights:
    """Weights in the type of their file; ValueError if a weight does not fit it.

    The readout stays float32, because its rows must sum to 1.
    """
    if storage not in STORAGE:
        raise ValueError(f"weights are stored as {' or '.join(STORAGE)}, not {storage!r}")
    with np.errstate(over="ignore"):
        converted = {
            name: values if name == program.READOUT else values.astype(storage)
            for name, values in weights.items()
        }
    for name, values in converted.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} does not fit {storage}: store the weights as float32")
    return converted


def selections(union: JointUnion) -> dict[str, Selection]:
    """The union's members as skeletons: formats, and the datasets of a mixture; with a mixture also
    exports of the catalogue whose joints it has.
    """
    datasets = _datasets(union)
    skeletons = {}
    for name, indices in union.members.items():
        if name in datasets:
            one = catalogue.dataset_skeleton(name)
            skeletons[name] = Selection(tuple(indices), one.joint_names, one.edges)
        else:
            skeletons[name] = _member(union, name)
    if not datasets:
        return skeletons
    places = {name: index for index, name in enumerate(union.joint_names)}
    for name in catalogue.exports():
        parts = catalogue.export_parts(name)
        names = [joint + catalogue.suffix(p.format) for p in parts for joint in p.joint_names]
        if all(joint in places for joint in names):
            one = catalogue.load(name)
            indices = tuple(places[joint] for joint in names)
            skeletons[name] = Selection(indices, one.joint_names, one.edges)
    return skeletons


def _datasets(union: JointUnion) -> set[str]:
    """The members that are datasets of a mixture, beside which the user's own skeleton may be."""
    members, datasets = set(union.members), set(catalogue.datasets())
    parts = [set(catalogue.mixture_datasets(name)) for name in catalogue.mixtures()]
    is_mixture = members <= datasets or any(part <= members for part in parts)
    return members & datasets if is_mixture else set()


def _member(union: JointUnion, member: str) -> Selection:
    """A format of the union, which may be the user's own."""
    indices = tuple(union.members[member])
    joint_names = tuple(union.joint_names[i].removesuffix(f"_{member}") for i in indices)
    places = {joint: place for place, joint in enumerate(indices)}
    edges = [(places[a], places[b]) for a, b in union.edges if a in places and b in places]
    return Selection(indices, joint_names, skeleton.canonical_edges(edges))
