"""Places in images → joints in the camera space of each image, for every test-time variant.

A place is the box of a person in px, or the region of one whom the network has seen, in an image
from the same camera a moment ago: two points in the camera's space (`bundles.facts.Looks`).
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from acae_jax.bundles import uncertainty
from acae_jax.bundles.bundle import Bundle
from acae_jax.geometry import cameras, lens
from acae_jax.inference import batches, cropping, framing, looks
from acae_jax.inference.arguments import Scene
from acae_jax.inference.framing import Frame
from acae_jax.inference.variants import Variant
from acae_jax.skeletons import skeleton


class People(NamedTuple):
    """n people of an image in `a` variants: joints in its camera's space, errors to expect.

    Of a network that tells where the person is, the middle and the top of the region, and how
    unsure it is of the person; of others NaN.
    """

    joints_mm: Float[np.ndarray, "n a j 3"]
    uncertainty_mm: Float[np.ndarray, "n a j"]
    regions_mm: Float[np.ndarray, "n a 2 3"]
    doubts_mm: Float[np.ndarray, "n a"]


def estimate(
    bundle: Bundle,
    scenes: Sequence[Scene],
    places: Sequence[Float[np.ndarray, "_n 4"] | Float[np.ndarray, "_n 2 3"]],
    variants: Sequence[Variant],
    up: Float[np.ndarray, "3"],
    antialias: int = 1,
    batch_size: int = 64,
) -> Iterator[People]:
    """The people in the places of each scene; one scene after another, so that few are in memory.

    Crops are turned so that the world direction `up` is up in them.
    """
    facts = bundle.facts
    mirror = None
    if any(variant.view.flip for variant in variants):
        mirror = skeleton.mirror_map(facts.joint_names)
    crops = (
        crop
        for scene, of_scene in zip(scenes, places, strict=True)
        if len(of_scene)
        for crop in _crops(bundle, scene, of_scene, variants, up, antialias, batch_size)
    )
    predictions = batches.predict(bundle.crop_model, crops, batch_size)
    for scene, of_scene in zip(scenes, places, strict=True):
        count = len(of_scene) * len(variants)
        parts = [
            _in_scene(bundle, scene.camera, prediction)
            for prediction in itertools.islice(predictions, count)
        ]
        yield _people(parts, variants, len(facts.joint_names), mirror)


def _crops(
    bundle: Bundle,
    scene: Scene,
    places: Float[np.ndarray, "n 4"] | Float[np.ndarray, "n 2 3"],
    variants: Sequence[Variant],
    up: Float[np.ndarray, "3"],
    antialias: int,
    batch_size: int,
) -> Iterator[batches.Crop]:
    """The variants of what to crop of a scene."""
    levels = cropping.Levels(scene.image)
    last = frames(bundle, scene, levels, places, up, antialias, batch_size)
    side_px = bundle.facts.side_px
    yield from framing.crops_of(levels, scene.camera, last, variants, side_px, antialias)


def frames(
    bundle: Bundle,
    scene: Scene,
    levels: cropping.Levels,
    places: Float[np.ndarray, "n 4"] | Float[np.ndarray, "n 2 3"],
    up: Float[np.ndarray, "3"],
    antialias: int = 1,
    batch_size: int = 64,
) -> list[Frame]:
    """What to crop of a scene: the places, or where the network's first looks lead from boxes."""
    side_px, looked = bundle.facts.side_px, bundle.facts.looks
    if looked is None:
        return [framing.of_box(scene, box, side_px, up) for box in places]
    if places.ndim == 3:
        return [framing.of_points(scene, region, side_px, looked.radii) for region in places]
    region = [looked.middle, looked.top]

    def look(candidates: Sequence[Frame]) -> list[looks.Seen]:
        crops = framing.crops_of(levels, scene.camera, candidates, [Variant()], side_px, antialias)
        seen = []
        for prediction in batches.predict(bundle.crop_model, crops, batch_size):
            region_px = cameras.camera_to_image(prediction.camera, prediction.joints_mm[region])
            seen.append(looks.Seen(region_px, float(prediction.spread_mm[looked.top])))
        return seen

    return looks.settled(look, looked, scene, places, side_px, up)


def project(
    camera: cameras.Camera, joints_mm: Float[np.ndarray, "*b 3"]
) -> Float[np.ndarray, "*b 2"]:
    """Pixels of points in camera space.

    A point beyond what the lens model reaches is shown at the farthest place, in its direction,
    that the model knows.
    """
    limit = lens.fold_radius(camera.distortion)
    if np.isfinite(limit):
        radius = np.hypot(joints_mm[..., 0], joints_mm[..., 1])
        reach = limit * np.abs(joints_mm[..., 2])
        inwards = np.minimum(1, reach / np.maximum(radius, cameras.NEAREST_MM))
        joints_mm = joints_mm * np.stack([inwards, inwards, np.ones_like(inwards)], axis=-1)
    return cameras.camera_to_image(camera, joints_mm)


def _in_scene(bundle: Bundle, camera: cameras.Camera, prediction: batches.Prediction) -> People:
    """A prediction's joints in the space of the scene's camera, and the errors to expect.

    The crop camera of a mirror image is a mirror image itself, so turning back mirrors back; only
    left and right still have each other's names.
    """
    turn = camera.rotation @ prediction.camera.rotation.T
    joints_mm, error_mm = prediction.joints_mm @ turn.T, prediction.spread_mm
    region_mm, doubt_mm, looked = np.full((2, 3), np.nan), np.nan, bundle.facts.looks
    if looked is not None:
        region_mm, doubt_mm = joints_mm[[looked.middle, looked.top]], float(error_mm[looked.top])
    if bundle.facts.uncertainty is not None:
        error_mm = uncertainty.expected_mm(bundle.facts.uncertainty, error_mm)
    if bundle.matrix is not None:
        joints_mm = bundle.matrix @ joints_mm
        error_mm = uncertainty.combined_mm(bundle.matrix, error_mm)
    return People(
        *(np.asarray(part)[None, None] for part in (joints_mm, error_mm, region_mm, doubt_mm))
    )


def _people(
    parts: Sequence[People], variants: Sequence[Variant], joints: int, mirror: np.ndarray | None
) -> People:
    """Predictions of person after person, variant after variant, with left and right put right."""
    shapes = ((joints, 3), (joints,), (2, 3), ())
    people = People(
        *(
            np.array([part[field] for part in parts]).reshape(-1, len(variants), *shape)
            for field, shape in enumerate(shapes)
        )
    )
    if mirror is not None:
        flipped = [variant.view.flip for variant in variants]
        for of_joints in people[:2]:
            of_joints[:, flipped] = of_joints[:, flipped][:, :, mirror]
    return people
