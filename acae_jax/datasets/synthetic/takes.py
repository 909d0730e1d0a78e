"""Takes: a subject in motion. Poses too near to the last one are left out before rendering.

A take has FRAMES poses, so record i of a dataset is frame i % FRAMES of take i // FRAMES.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from acae_jax.data import crop_record
from acae_jax.datasets.synthetic import actions, body, looks, motions, poses, studios

FRAMES = 12  # poses of a take
NEAR_REPEAT_MM = 100.0  # in each next pose some joint has moved this far
_BATCH = 16  # poses made at a time, at ten a second
_DISTURBANCE = 0.7  # of the joint angles, for poses.sample and poses.sequence
_AIRBORNE = ("jump", "backflip", "cartwheel", "run", "spinkick", "kick")


class Take(NamedTuple):
    """A dressed subject with FRAMES poses of one motion."""

    key: str
    look: looks.Look
    rest_mm: Float[np.ndarray, "v 3"]  # shaped body, not posed
    vertices_mm: list[Float[np.ndarray, "v 3"]]  # posed, in the world


def moved(
    pose_mm: Float[np.ndarray, "j 3"],
    last_mm: Float[np.ndarray, "j 3"] | None,
    threshold_mm: float = NEAR_REPEAT_MM,
) -> bool:
    """Whether some joint moved by the threshold or more since the take's last pose."""
    if last_mm is None:
        return True
    return bool(np.linalg.norm(pose_mm - last_mm, axis=-1).max() >= threshold_mm)


def labels(
    assets: body.Body, format_name: str, vertices_mm: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, "j 3"]:
    """Joints of a record's format, or of several side by side."""
    parts = crop_record.formats(format_name)
    return np.concatenate([body.joints(assets, name, vertices_mm) for name in parts])


def make(studio: studios.Studio, seed: int, index: int) -> Take:
    """Makes take `index` of a studio: a pure function of its arguments."""
    rng = studios.stream(seed, studio, "take", index)
    subject = int(rng.integers(studio.subjects))
    shape, identity = _subject(studio, seed, subject)
    look = looks.sample(rng, studio.wardrobe)
    look = look._replace(
        skin=identity.skin,
        hair=identity.hair,
        long_hair=identity.long_hair,
        beard=identity.beard and shape.sex > 0.5,
    )
    assets = body.load()
    rest = body.rest(assets, shape)
    improvised = rng.random() < studio.improvised
    motion = str(rng.choice(studio.motions))
    spot = rng.uniform(-500, 500, 3) * np.array([1, 0, 1])
    person = f"{'man' if shape.sex > 0.5 else 'woman'}{subject:03d}"
    title = "improvised" if improvised else motion
    frames_mm: list[np.ndarray] = []
    last = None
    while len(frames_mm) < FRAMES:
        if improvised:
            motion_poses = _improvise(rng, studio.motions, _BATCH)
        else:
            motion_poses = poses.sequence(rng, motion, _BATCH, disturbance=_DISTURBANCE, step=3)
        vertices = _placed(assets, rest, motion_poses, spot, motion in _AIRBORNE and not improvised)
        for posed in vertices:
            joints = labels(assets, studio.format, posed)
            if len(frames_mm) < FRAMES and moved(joints, last):
                frames_mm.append(posed)
                last = joints
    return Take(f"{studio.name}/{person}/{title}/{index:05d}", look, rest.vertices_mm, frames_mm)


def _subject(studio: studios.Studio, seed: int, subject: int) -> tuple[body.Shape, looks.Look]:
    """A person: the shape and what does not change with clothes."""
    rng = studios.stream(seed, studio, "subject", subject)
    shape = body.sample_shape(rng, studio.ages, spread=1.2)
    return shape, looks.sample(rng, studio.wardrobe)


def _improvise(
    rng: np.random.Generator, names: tuple[str, ...], count: int, hold: int = 4
) -> list[body.Pose]:
    """Moves between random poses: a new goal every `hold` frames, with a soft start and stop."""
    clips = [name for name in names if name not in actions.ACTIONS]
    key_poses = [name for name in names if name in actions.ACTIONS]
    pitch = 0.15 if rng.random() < 0.3 else 0.0
    goals = [
        poses.sample(rng, clips, key_poses, disturbance=_DISTURBANCE, pitch_spread=pitch)
        for _ in range(count // hold + 1)
    ]
    result = []
    for start, end in itertools.pairwise(goals):
        apart = motions.to_vector(np.swapaxes(start.rotations, 1, 2) @ end.rotations)
        for step in range(hold):
            share = 0.5 - 0.5 * np.cos(np.pi * step / hold)
            turns = start.rotations @ motions.from_vector(apart * share)
            shift = start.translation_mm + share * (end.translation_mm - start.translation_mm)
            result.append(body.Pose(turns.astype(np.float32), shift.astype(np.float32)))
    return result


def _placed(assets, rest, motion_poses, spot, airborne) -> list[np.ndarray]:
    """Poses the body through a motion over `spot`, on the floor, or in the air if it is a leap."""
    centre = np.mean([p.translation_mm for p in motion_poses], axis=0)
    offset = (spot - centre) * np.array([1, 0, 1])
    vertices = [body.pose(assets, rest, p) + offset.astype(np.float32) for p in motion_poses]
    low = [float(v[: assets.skin_count, 1].min()) for v in vertices]
    return [
        body.grounded(assets, v, clearance_mm=height - min(low) if airborne else 0.0)
        for v, height in zip(vertices, low, strict=True)
    ]
