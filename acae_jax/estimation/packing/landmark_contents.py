"""From published landmark weights, and rows that make other joints of them, to a bundle."""

from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from acae_jax.bundles.bundle import Contents
from acae_jax.bundles.facts import Edges, Facts, Looks, Selection, Variation
from acae_jax.bundles.uncertainty import Calibration
from acae_jax.estimation.model.landmark_heads import FORMAT, LANDMARKS, LandmarkHeads
from acae_jax.estimation.packing import bundle_contents, landmarks, pose_card, program
from acae_jax.foreign import blazepose_weights
from acae_jax.models.blazepose import SIDE_PX
from acae_jax.skeletons import catalogue

LICENCE = "Apache-2.0. Landmark weights: MediaPipe, The MediaPipe Authors"
VARIATION = Variation(roll=0.1, zoom=(0.9, 1.1))
"""Looks leave little of rolls and zooms. With five variants near the plain crop the error on studio
photographs falls from 163 to 159 mm, with the published ones to 161.
"""


class Heads(NamedTuple):
    """Trained heads: their settings and parameters."""

    network: LandmarkHeads
    params: dict[str, Any]


class Derived(NamedTuple):
    """Joints of further skeletons as affine combinations of the points."""

    joint_names: tuple[str, ...]
    edges: Edges  # which count within these joints
    skeletons: dict[str, Selection]  # whose indices do so, too
    rows: Float[np.ndarray, "k p"]
    bones_mm: tuple[float, ...]  # of the landmarks' edges and these, in this order; () if unknown


NOTHING = Derived((), (), {}, np.zeros((0, LANDMARKS), np.float32), ())


def contents(
    path: Path,
    derived: Derived,
    heads: Heads | None = None,
    calibration: Calibration | None = None,
    about: dict[str, Any] | None = None,
) -> Contents:
    """A bundle of the landmark network in this file, with the landmarks and the derived joints.

    Without heads, the points are the landmarks. `about` is added to what people are told.
    """
    network, variables = blazepose_weights.load(path)
    points = landmarks.points(heads and heads.network)
    readout = np.concatenate([np.eye(LANDMARKS, points), derived.rows])
    weights = landmarks.weights(variables, readout, heads and heads.params)
    own, count = catalogue.load(FORMAT), LANDMARKS
    after = {
        name: one._replace(indices=tuple(count + i for i in one.indices))
        for name, one in derived.skeletons.items()
    }
    joints = len(readout)
    settings = {"variant": network.variant, "heads": heads and settings_of(heads.network)}
    facts = Facts(
        name=f"blazepose_{network.variant}",
        side_px=SIDE_PX,
        joint_names=(*(f"{name}_{FORMAT}" for name in own.joint_names), *derived.joint_names),
        edges=(*own.edges, *((count + a, count + b) for a, b in derived.edges)),
        skeletons={FORMAT: Selection(tuple(range(count)), own.joint_names, own.edges), **after},
        default_skeleton=next(iter(derived.skeletons), FORMAT),
        bones_mm=derived.bones_mm,
        uncertainty=calibration,
        about={
            "licence": LICENCE,
            landmarks.NETWORK: settings,
            "versions": {name: metadata.version(name) for name in ("acae_jax", "jax", "flax")},
            **(about or {}),
        },
        trained=VARIATION,
        looks=Looks(middle=joints, top=joints + 1),
    )
    model = landmarks.crop_model(network, heads and heads.network)
    network_joints = joints + landmarks.REGION_POINTS
    return Contents(
        facts,
        program.export(model, weights, SIDE_PX),
        bundle_contents.stored(weights, "float16"),
        np.eye(joints, network_joints, dtype=np.float32),
        program.reference(model, weights, SIDE_PX),
        pose_card.text(facts, "bundle", network_joints),
    )


def settings_of(heads: LandmarkHeads) -> dict[str, int]:
    """The settings of heads, in JSON's types."""
    return {"hidden": heads.hidden, "depth_bins": heads.depth_bins}
