"""From datasets of crops to datasets of looks: each person is looked at a few times, as prediction
would, at crops that are turned, shifted, scaled, mirrored, recoloured and cut off at random.

The looks of test people are those of prediction itself.
"""

import functools
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from acae_jax.bundles.bundle import Bundle
from acae_jax.bundles.facts import Facts, Looks, Selection
from acae_jax.data import crop_record, sources
from acae_jax.datasets import chunks, writer
from acae_jax.estimation.model import network as networks
from acae_jax.estimation.model.landmark_heads import LANDMARKS, Look
from acae_jax.estimation.packing import landmarks
from acae_jax.estimation.photographs import look_record
from acae_jax.estimation.photographs.look_record import LookRecord
from acae_jax.foreign import blazepose_weights
from acae_jax.geometry import cameras
from acae_jax.images import decoding
from acae_jax.images.crops import View
from acae_jax.inference import arguments, box_poses, cropping, framing
from acae_jax.inference.framing import Frame
from acae_jax.inference.variants import Variant
from acae_jax.models.blazepose import SIDE_PX, BlazePose
from acae_jax.skeletons import catalogue, skeleton

VERSION = "1.0.0"
UP = np.array([0.0, -1.0, 0.0])
MOVED = 0.03  # of a box's longer side: standard deviation of its edges
ROLL, ANY_ROLL = 0.25, 0.2  # radians; the share of looks that are turned by any angle
ZOOM, SHIFT_PX = 0.12, 9.0
GAMMA, GAIN, NOISE = 0.2, 0.05, 3.0
CUT_OFF = (0.05, 0.3)  # of the side
CUT_OFF_PROBABILITY = 0.15
PEOPLE_PER_CHUNK = 50
BYTES_PER_LOOK = 2 * 120_000  # in its chunk and in the dataset


class Networks(NamedTuple):
    """The landmark network as a bundle, which prediction's looks need, and by itself."""

    bundle: Bundle
    outputs: Callable[..., Look]  # of crops and their intrinsics


@functools.lru_cache(maxsize=1)
def opened(weights: Path) -> Networks:
    """The networks of a file of landmark weights."""
    network, variables = blazepose_weights.load(weights)
    points = tuple(f"point{i}" for i in range(LANDMARKS))
    facts = Facts(
        name="landmarks",
        side_px=SIDE_PX,
        joint_names=points,
        edges=(),
        skeletons={"all": Selection(tuple(range(LANDMARKS)), points, ())},
        default_skeleton="all",
        bones_mm=(),
        uncertainty=None,
        about={},
        looks=Looks(middle=LANDMARKS, top=LANDMARKS + 1),
    )
    arrays = jax.tree.map(jnp.asarray, landmarks.weights(variables, np.eye(LANDMARKS)))
    model = partial(jax.jit(landmarks.crop_model(network)), arrays)
    return Networks(Bundle(weights, "", facts, None, model), partial(_outputs, network, variables))


@partial(jax.jit, static_argnums=0)
def _outputs(
    network: BlazePose,
    variables: dict,
    crops: UInt8[Array, "b s s 3"],
    intrinsics: Float[Array, "b 3 3"],
) -> Look:
    person: Any = network.apply(variables, networks.as_float(crops))
    seen = landmarks.look(person, intrinsics)
    return seen._replace(features=seen.features.astype(jnp.float16))


def build(
    data: Path, out: Path, names: Sequence[str], weights: Path, looks: int, seed: int = 0
) -> list[Path]:
    """Write the looks of these datasets of crops to `out`; returns their folders.

    `looks` is how many each training person gets. Those of test people are plain, one each. A
    build that was stopped continues. Raises OSError if the disk is too small, ValueError if a
    dataset is missing or labels no joints in 3D.
    """
    plans = []
    for name in names:
        split = "test" if name.endswith("_test") else "train"
        source = sources.open(name, data, split)
        if not len(source[0].joints_mm):
            raise ValueError(f"{name} has no 3D labels, so heads cannot learn from it")
        each = looks if split == "train" else 1
        settings = {"seed": seed, "looks": each, "people": len(source), "weights": weights.name}
        if writer.is_there(out, name, VERSION, source.joint_names, settings):
            continue
        folder = out / name / f".chunks-{VERSION}-{zlib.crc32(repr(settings).encode())}"
        plans.append(
            chunks.Plan(
                name=name,
                count=each * len(source),
                chunk_size=each * PEOPLE_PER_CHUNK,
                folder=folder,
                make=partial(_make, data, name, split, weights, each, seed),
                write=partial(_write, out, name, split, source.joint_names, settings),
                schema=look_record.SCHEMA,
            )
        )
    chunks.check_space(out, BYTES_PER_LOOK * sum(plan.count for plan in plans))
    chunks.build(plans)
    return [writer.folder(out, name, VERSION) for name in names]


def _write(
    out: Path,
    name: str,
    split: str,
    joint_names: dict[str, tuple[str, ...]],
    settings: dict[str, Any],
    records: Callable[[], Iterator[LookRecord]],
) -> None:
    description = f"Looks of a landmark network at the people of {name}."
    writer.write(
        out,
        name,
        VERSION,
        {split: records},
        description=description,
        joint_names=joint_names,
        metadata=settings,
        schema=look_record.SCHEMA,
    )


def _make(
    data: Path, name: str, split: str, weights: Path, each: int, seed: int, start: int, stop: int
) -> list[LookRecord]:
    """The looks from `start`, which is a person's first, to `stop`."""
    source, nets = sources.open(name, data, split), opened(weights)
    records = []
    for person in range(start // each, stop // each):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), person])
        records += of_person(nets, source[person], each, rng if split == "train" else None)
    return records


def of_person(
    nets: Networks, record: crop_record.CropRecord, count: int, rng: np.random.Generator | None
) -> list[LookRecord]:
    """The looks at a person; without `rng` all are the one that prediction takes."""
    image = decoding.decode(record.image)
    (scene,) = arguments.create([image], record.intrinsics, None, None, 55)
    levels = cropping.Levels(image)
    box = record.box.astype(np.float64)
    if rng is not None:
        low, high = box[:2], box[:2] + box[2:]
        low, high = (edge + rng.normal(0, MOVED * box[2:].max(), 2) for edge in (low, high))
        box = np.concatenate([low, np.maximum(high - low, 0.5 * box[2:])])
    (frame,) = box_poses.frames(nets.bundle, scene, levels, box[None], UP)
    views = [PLAIN if rng is None else random_view(rng) for _ in range(count)]
    frames = [turned(frame, view) for view in views]
    drawn = list(
        framing.crops_of(levels, scene.camera, frames, [Variant()], nets.bundle.facts.side_px, 1)
    )
    crops = np.stack([crop.draw() for crop in drawn])
    if rng is not None:
        crops = np.stack([disturbed(crop, rng) for crop in crops])
    intrinsics = np.stack([np.float32(crop.camera.intrinsics) for crop in drawn])
    seen = jax.tree.map(np.asarray, nets.outputs(crops, intrinsics))
    joints_mm = crop_record.in_camera_mm(record)
    return [
        LookRecord(
            **{name: values[k] for name, values in seen._asdict().items()},
            joints_mm=_in_crop(joints_mm, record.format, scene.camera, crop.camera, views[k].flip),
            format=record.format,
            key=f"{record.key}/{k}",
        )
        for k, crop in enumerate(drawn)
    ]


class Turned(NamedTuple):
    """How a look departs from that of prediction: its view, and its shift in px of the crop."""

    zoom: float = 1.0
    roll: float = 0.0
    flip: bool = False
    shift_px: tuple[float, float] = (0.0, 0.0)


PLAIN = Turned()


def random_view(rng: np.random.Generator) -> Turned:
    """A random departure: mostly small, in a fifth of all cases turned by any angle."""
    roll = rng.uniform(-np.pi, np.pi) if rng.random() < ANY_ROLL else rng.normal(0, ROLL)
    shift_px = rng.normal(0, SHIFT_PX, 2).tolist()
    zoom = float(np.exp(rng.normal(0, ZOOM)))
    return Turned(zoom, float(roll), bool(rng.random() < 0.5), (shift_px[0], shift_px[1]))


def turned(frame: Frame, by: Turned) -> Frame:
    """A frame that departs from another one by this."""
    if by == PLAIN:
        return frame
    radii = Looks(0, 1).radii
    middle = np.full(2, (SIDE_PX - 1) / 2)
    centre = middle + np.array(by.shift_px)
    top = centre - np.array([0.0, SIDE_PX / radii])
    rolled = framing.varied(frame, View(by.zoom, by.roll))
    shifted = framing.of_region(rolled, np.stack([centre, top]), SIDE_PX, radii)
    return framing.varied(shifted, View(flip=by.flip))


def disturbed(crop: UInt8[np.ndarray, "s s 3"], rng: np.random.Generator) -> np.ndarray:
    """A crop in other light, with noise, and sometimes cut off below or at a side."""
    gamma, gain = np.exp(rng.normal(0, GAMMA)), 1 + rng.normal(0, GAIN, 3)
    other = 255 * (crop / 255.0) ** gamma * gain + rng.normal(0, NOISE, crop.shape)
    result = np.clip(other, 0, 255).astype(np.uint8)
    if rng.random() < CUT_OFF_PROBABILITY:
        cut = int(rng.uniform(*CUT_OFF) * len(crop))
        where = (np.s_[-cut:], np.s_[:, :cut], np.s_[:, -cut:])[int(rng.integers(3))]
        result[where] = 0
    return result


def _in_crop(
    joints_mm: np.ndarray,
    formats: str,
    camera: cameras.Camera,
    crop: cameras.Camera,
    flip: bool,
) -> np.ndarray:
    """Labels in the space of a crop's camera; of a mirrored crop, with sides named right."""
    in_crop = joints_mm @ (crop.rotation @ camera.rotation.T).T
    if flip:
        skeletons = [catalogue.load(name) for name in crop_record.formats(formats)]
        parts, start = [], 0
        for one in skeletons:
            parts.append(start + skeleton.mirror_map(one.joint_names))
            start += len(one.joint_names)
        in_crop = in_crop[np.concatenate(parts)]
    return in_crop.astype(np.float32)
