"""From the folder of a training run to the contents of a bundle."""

from importlib import metadata
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.estimation import building, collect
from acae_jax.inference.bundle import Contents, Facts, Selection
from acae_jax.packaging import program
from acae_jax.skeletons import catalogue
from acae_jax.skeletons.union import JointUnion
from acae_jax.training import checkpoints

STORAGE = ("float32", "float16")


def contents(folder: Path, storage: str) -> Contents:
    """What a bundle of the run's newest checkpoint holds, its weights stored as told."""
    config = configuration(folder)
    union = building.joint_union(config.data)
    variant = collect.variant_of(config, union)
    network = building.network(config, variant.points)
    weights = stored(program.fold(network, checkpoints.load_params(folder)), storage)
    used = {name: values.astype(np.float32) for name, values in weights.items()}
    model = program.crop_model(network, variant.joints)
    side_px = network.geometry.side_px
    skeletons = selections(union)
    facts = Facts(
        name=folder.resolve().name,
        side_px=side_px,
        joint_names=union.joint_names,
        edges=union.edges,
        skeletons=skeletons,
        default_skeleton=next(iter(skeletons)),
        bones_mm=(),
        uncertainty=None,
        about={"versions": {name: metadata.version(name) for name in ("acae_jax", "jax")}},
    )
    return Contents(
        facts,
        program.export(model, used, side_px),
        weights,
        None,
        program.reference(model, used, side_px),
        f"# {facts.name}\n",
    )


def configuration(folder: Path) -> ConfigDict:
    """The run's config, with the autoencoder beside the run if it is no longer where it was."""
    config = configs.read(folder)
    beside = folder.resolve().parent / "autoencoder"
    autoencoder = config.to_dict().get("autoencoder")
    if autoencoder and not Path(autoencoder).is_dir() and beside.is_dir():
        config.autoencoder = str(beside)
    return config


def stored(weights: dict[str, np.ndarray], storage: str) -> dict[str, np.ndarray]:
    """Weights in the type in which they are kept; a ValueError if it cannot hold one of them."""
    if storage not in STORAGE:
        raise ValueError(f"weights are stored as {' or '.join(STORAGE)}, not {storage!r}")
    with np.errstate(over="ignore"):
        kept = {name: values.astype(storage) for name, values in weights.items()}
    for name, values in kept.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} does not fit {storage}: store the weights as float32")
    return kept


def selections(union: JointUnion) -> dict[str, Selection]:
    """The union's members as skeletons: formats, or the datasets of a mixture."""
    found = {}
    for name, indices in union.members.items():
        known = name in catalogue.formats()
        one = catalogue.load(name) if known else catalogue.dataset_skeleton(name)
        found[name] = Selection(tuple(indices), one.joint_names, one.edges)
    return found
