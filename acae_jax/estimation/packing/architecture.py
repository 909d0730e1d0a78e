"""The settings of a bundle's network, with which it can be built again without its run."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from acae_jax.bundles.facts import Facts
from acae_jax.estimation.model.network import Geometry, PoseNetwork
from acae_jax.models import backbones


class Architecture(NamedTuple):
    """The settings of a `PoseNetwork`, all in JSON's types."""

    backbone: str
    options: dict[str, Any]
    stride: int
    centred: bool
    points: int
    depth_bins: int
    side_px: int
    box_mm: float
    dtype: str


def of(facts: Facts) -> Architecture:
    """The architecture in the facts of a model; ValueError if it is not there."""
    settings = facts.about.get("network")
    if not isinstance(settings, dict) or set(settings) != set(Architecture._fields):
        raise ValueError(
            f"{facts.name} does not say how its network is built (about.network), which weights "
            "alone and ONNX need: use its bundle, or a SavedModel"
        )
    return Architecture(**settings)


def network(architecture: Architecture) -> PoseNetwork:
    """The network of this architecture, for inference."""
    one = architecture
    dtype = jnp.dtype(one.dtype)
    options = {n: tuple(v) if isinstance(v, list) else v for n, v in one.options.items()}
    backbone = backbones.create(
        one.backbone,
        ghost_size=1,
        dtype=dtype,
        stride=one.stride,
        centred=one.centred,
        **options,
    )
    geometry = Geometry(one.side_px, one.stride, one.centred, one.box_mm)
    return PoseNetwork(backbone, one.points, geometry, one.depth_bins, dtype=dtype)
