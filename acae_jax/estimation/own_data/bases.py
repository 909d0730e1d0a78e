"""The model that fine-tuning starts from: a bundle, a run, or an imported backbone.

A bundle holds what inference uses, which is less than a run: `folding.unfold` gives its norms
statistics under which it predicts the same, and which training must leave as they are.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from acae_jax import config as configs
from acae_jax.bundles import bundle as bundles
from acae_jax.bundles.bundle import Contents
from acae_jax.bundles.facts import Facts
from acae_jax.estimation import initial_weights, stages
from acae_jax.estimation.model.network import PoseNetwork
from acae_jax.estimation.packing import architecture as architectures
from acae_jax.estimation.packing import program
from acae_jax.foreign import pretrained
from acae_jax.models import folding
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions
from acae_jax.training import checkpoints

IMPORTED_SIDE_PX, IMPORTED_STRIDE, IMPORTED_BINS = 256, 32, 8
PLAIN_VARIANTS = ("separate", "regularised")  # whose points are the joints
LATENT = "predicts latent points, not joints: start from a variant separate or regularised"


class Base(NamedTuple):
    """What a config takes from a base: the settings of its network, and what it predicts.

    `formats` are for `data.union`: a mixture or formats of the catalogue, and skeletons' files.
    """

    model: dict[str, Any]
    side_px: int
    formats: tuple[str, ...]
    is_backbone: bool = False


class Start(NamedTuple):
    """The variables of a base, and its joints: affine combinations of its head's points."""

    variables: dict[str, Any]
    joint_names: tuple[str, ...]
    matrix: Float[np.ndarray, "j p"]


def describe(base: str) -> Base:
    """What is known of a base without its weights. Raises ValueError or OSError, in one line, if it
    is none, or if its network is not one that can be trained here.
    """
    folder = bundles.located(base)
    if pretrained.is_import(folder):
        imported = pretrained.read(folder)
        model = {
            "backbone": imported.name,
            "stride": IMPORTED_STRIDE,
            "dtype": "float32",
            "depth_bins": IMPORTED_BINS,
            "options": {"pixels": imported.pixels},
        }
        return Base(model, IMPORTED_SIDE_PX, (), is_backbone=True)
    if (folder / bundles.HEADER).is_file():
        return _of_bundle(bundles.read(folder))
    if (folder / "config.json").is_file():
        return _of_run(folder)
    raise ValueError(
        f"{base} is no model to start from: give the folder of a bundle, of a run or of an "
        "imported backbone, or 'embedded' for the packaged bundle"
    )


def with_skeletons(base: Base, paths: Sequence[str]) -> tuple[str, ...]:
    """The value of `data.union`: what the base predicts, then these skeletons.

    A skeleton that the base has already keeps its place. Raises ValueError if it has another one
    of that name, or if a name comes twice.
    """
    own = {catalogue.load(path).name: path for path in paths}
    if len(own) < len(paths):
        raise ValueError(f"{', '.join(paths)}: two skeletons have one name; rename one of them")
    formats = []
    for entry in base.formats:
        if entry in catalogue.mixtures():
            formats.append(entry)
            continue
        old = catalogue.load(entry)
        path = own.pop(old.name, entry)
        if catalogue.load(path).joint_names != old.joint_names:
            raise ValueError(
                f"{path}: the model that training starts from has a skeleton '{old.name}' with "
                "other joints; give yours another name"
            )
        formats.append(path)
    return (*formats, *own.values())


def load(base: str, network: PoseNetwork) -> Start | None:
    """The weights and joints of a base; None for an imported backbone, which has no joints.

    `network` is the network to train; its number of points does not matter. Raises ValueError if
    the base has another network.
    """
    folder = bundles.located(base)
    if pretrained.is_import(folder):
        return None
    if (folder / bundles.HEADER).is_file():
        contents = bundles.read(folder)
        names = contents.facts.joint_names
        points = architectures.of(contents.facts).points
        weights = {n: jnp.asarray(w, jnp.float32) for n, w in contents.weights.items()}
        variables = folding.unfold(network.clone(points=points), weights, _images(network))
        matrix = np.eye(points) if contents.matrix is None else contents.matrix
    else:
        names = initial_weights.joint_names(folder)
        variables = jax.tree.map(jnp.asarray, checkpoints.load_params(folder))
        points, matrix = len(names), np.eye(len(names))
    like = partial(network.clone(points=points).init, train=False)
    shapes = jax.eval_shape(like, jax.random.key(0), _images(network))
    try:
        checkpoints.init_from(shapes, variables)
    except ValueError as error:
        raise ValueError(f"{base} is not of the network that model describes: {error}") from None
    return Start(variables, names, matrix.astype(np.float32))


def _images(network: PoseNetwork) -> jax.ShapeDtypeStruct:
    side_px = network.geometry.side_px
    return jax.ShapeDtypeStruct((1, side_px, side_px, 3), jnp.float32)


def _of_bundle(contents: Contents) -> Base:
    facts = contents.facts
    try:
        one = architectures.of(facts)
    except ValueError:
        raise ValueError(
            f"the network of the bundle {facts.name} was not trained here, so it cannot be trained "
            "further; `acae skeletons fit` gives it a skeleton of your own without training"
        ) from None
    if program.READOUT in contents.weights:
        raise ValueError(f"the bundle {facts.name} {LATENT}")
    options = {n: tuple(v) if isinstance(v, list) else v for n, v in one.options.items()}
    model = {
        "backbone": one.backbone,
        "stride": one.stride,
        "dtype": one.dtype,
        "depth_bins": one.depth_bins,
        "options": options,
    }
    return Base(model, one.side_px, _formats(facts))


def _formats(facts: Facts) -> tuple[str, ...]:
    """The mixture, or else the formats of the catalogue, whose joints a bundle has."""
    for mixture in catalogue.mixtures():
        joints = unions.mixture(mixture).joint_names
        if facts.joint_names[: len(joints)] == joints:
            return (mixture,)
    known = [name for name in facts.skeletons if name in catalogue.formats()]
    return tuple(
        name
        for name in known
        if {f"{joint}_{name}" for joint in catalogue.load(name).joint_names}
        <= set(facts.joint_names)
    )


def _of_run(folder: Path) -> Base:
    config = configs.read(folder)
    if config.task == stages.AUTOENCODER or "backbone" not in config.get("model", {}):
        raise ValueError(f"{folder} is a run of {config.task}, which trains no pose network")
    if config.get("variant") not in (None, *PLAIN_VARIANTS):
        raise ValueError(f"{folder} {LATENT}")
    if config.data.get("merge_by_name"):
        raise ValueError(f"{folder} merges joints by name, so a new skeleton cannot stand beside")
    union = config.data.union
    formats = (union,) if isinstance(union, str) else tuple(union)
    return Base(config.model.to_dict(), config.data.side_px, formats)
