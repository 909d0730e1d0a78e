"""Bodies that move with constant bone lengths, and their mirror images, for the motion tests."""

import numpy as np

from acae_jax.datasets.synthetic import body, motions
from acae_jax.geometry import rotations
from acae_jax.skeletons import catalogue, skeleton

FROM_Y_UP = np.array([1.0, -1.0, -1.0])  # to the package's world: x right, y down, z forward


def smooth_turns(rng, frames, angle=1.5):
    """Rotations (frames, 3, 3) that change little from frame to frame."""
    axis, phase = rng.normal(size=3), rng.uniform(0, 6)
    axis = axis / np.linalg.norm(axis)
    angles = angle * np.sin(phase + np.arange(frames) / 7)
    return motions.from_vector(angles[:, None] * axis)


def swinging(name, frames=20, seed=0):
    """A catalogue skeleton whose bones all swing about on their own, with constant lengths.

    Joints that are not connected with the pelvis are NaN; edges that close a cycle keep no length.
    """
    rng = np.random.default_rng(seed)
    shape = catalogue.load(name)
    positions = np.full((frames, len(shape.joint_names), 3), np.nan)
    start = next((i for i, n in enumerate(shape.joint_names) if "pelv" in n), shape.edges[0][0])
    positions[:, start] = np.cumsum(rng.normal(size=(frames, 3)) * 20, 0) + np.array([0, 0, 3000])
    queue = [start]
    for joint in queue:
        for edge in shape.edges:
            other = sum(edge) - joint
            if joint in edge and np.isnan(positions[0, other, 0]):
                bone = rng.normal(size=3)
                bone *= rng.uniform(80, 400) / np.linalg.norm(bone)
                positions[:, other] = positions[:, joint] + smooth_turns(rng, frames) @ bone
                queue.append(other)
    return shape, positions


def clip(format_name, name, frames=15):
    """A motion clip on the embedded body: its skeleton and positions in the package's world."""
    shape = catalogue.load(format_name)
    assets = body.load()
    rest = body.rest(assets, body.Shape())
    recorded = motions.load()[name]
    positions = []
    for turns in zip(recorded.rotations[:frames], recorded.position_mm[:frames], strict=True):
        vertices = body.pose(assets, rest, motions.to_pose(motions.Turns(*turns)))
        positions.append(body.joints(assets, format_name, vertices))
    return shape, np.array(positions) * FROM_Y_UP


def mirrored(shape, positions):
    """The mirror image about x = 0, left joints in the right ones' places."""
    return positions[:, skeleton.mirror_map(shape.joint_names)] * [-1, 1, 1]


def random_rotation(seed):
    return rotations.nearest_rotation(np.random.default_rng(seed).normal(size=(3, 3)))
