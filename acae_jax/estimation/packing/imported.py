"""From a published MeTRAbs folder to the contents of a bundle."""

from functools import partial
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from acae_jax.bundles.bundle import Contents, Facts, Selection
from acae_jax.estimation.model import network as networks
from acae_jax.estimation.model.network import Geometry, PoseNetwork
from acae_jax.estimation.packing import pose_card, program
from acae_jax.estimation.packing.program import CropModel
from acae_jax.foreign import metrabs
from acae_jax.foreign.metrabs import Published, PublishedSettings
from acae_jax.models import backbones, folding

LICENCE = "as the model that was imported; the published MeTRAbs models are for non-commercial use"
USUAL_SKELETON = "smpl_24"


def contents(name: str, published: Published) -> Contents:
    """The contents of a bundle of a published model; ValueError if its weights do not fit."""
    settings = published.settings
    network = pose_network(published)
    weights = program.fold(network, metrabs.variables(published, shapes(network)))
    model = crop_model(network, settings)
    # In the estimator, the skeleton '' stands for all output joints.
    skeletons = {key or "all": Selection(*one) for key, one in published.skeletons.items()}
    facts = Facts(
        name=name,
        side_px=settings.side_px,
        joint_names=published.joint_names,
        edges=published.edges,
        skeletons=skeletons,
        default_skeleton=USUAL_SKELETON if USUAL_SKELETON in skeletons else next(iter(skeletons)),
        bones_mm=(),
        uncertainty=None,
        about={
            "licence": LICENCE,
            "training": {"imported from": "MeTRAbs, PyTorch layout", **settings._asdict()},
            "versions": {package: metadata.version(package) for package in ("acae_jax", "jax")},
        },
    )
    return Contents(
        facts,
        program.export(model, weights, settings.side_px),
        weights,
        published.matrix,
        program.reference(model, weights, settings.side_px),
        pose_card.text(facts, "bundle", published.points),
    )


def pose_network(published: Published) -> PoseNetwork:
    """The network to which a published model's weights belong."""
    settings = published.settings
    geometry = Geometry(settings.side_px, metrabs.STRIDE, settings.centred, settings.box_mm)
    backbone = backbones.create(
        f"efficientnetv2_{settings.size}", ghost_size=1, centred=settings.centred
    )
    return PoseNetwork(backbone, published.points, geometry, settings.depth_bins)


def shapes(network: PoseNetwork) -> dict:
    """The shapes of the network's params and batch_stats."""
    side_px = network.geometry.side_px
    images = jax.ShapeDtypeStruct((1, side_px, side_px, 3), np.float32)
    return jax.eval_shape(partial(network.init, train=False), jax.random.key(0), images)


def crop_model(network: PoseNetwork, settings: PublishedSettings) -> CropModel:
    """Like `program.crop_model`, but with the geometry of the published models."""

    def model(
        weights: dict[str, Any], images: UInt8[Array, "b s s 3"], intrinsics: Float[Array, "b 3 3"]
    ) -> tuple[Float[Array, "b j 3"], Float[Array, "b j"]]:
        output = folding.apply(network, weights, networks.as_float(images))
        points = output.points
        px, relative_mm = metrabs.shifted(points.px, points.relative_mm, settings)
        poses_mm = metrabs.locate(px, relative_mm, intrinsics, settings)
        return poses_mm, jnp.sqrt(program.spread_variance(output.box, network.geometry))

    return model
