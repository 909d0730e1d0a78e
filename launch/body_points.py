"""The reduced mesh that joint formats are defined on: joint-cube points, skin weights, regions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from acae_jax.datasets.synthetic.body import REGIONS

# The bone that carries each joint cube; the posing rig's joints stay rigid with their parent bone.
_CARRIER = {
    "pelvis": "pelvis", "spine-4": "pelvis", "spine-3": "spine_01", "spine-2": "spine_02",
    "spine-1": "spine_03", "neck": "spine_03", "head": "neck_01", "head-2": "head", "jaw": "head",
    "mouth": "head", "eye": "head", "clavicle": "spine_03", "scapula": "clavicle",
    "shoulder": "clavicle", "elbow": "upperarm", "hand": "lowerarm", "hand-3": "hand",
    "finger-1-2": "hand", "finger-3-1": "hand", "upper-leg": "pelvis", "knee": "thigh",
    "ankle": "calf", "foot-1": "foot", "toe-2-1": "foot", "toe-3-1": "foot", "foot-2": "ball",
    "toe-2-4": "ball",
}  # fmt: skip


class Mesh(NamedTuple):
    """The reduced mesh of an average adult: skin vertices, then one point per joint cube."""

    template: np.ndarray  # (V, 3) mm
    faces: np.ndarray  # (F, 3)
    mirror: np.ndarray  # (V,) index of each point's mirror image
    cubes: dict[str, int]
    eyes: np.ndarray  # (number of skin vertices,) bool
    weights: np.ndarray  # (V, B)
    bones: tuple[str, ...]


def is_used(cube: str) -> bool:
    """Says whether a joint cube becomes a point of the mesh."""
    return cube.removeprefix("l-").removeprefix("r-") in _CARRIER


def mirrored_names(cubes: Sequence[str] | dict, start: int) -> np.ndarray:
    """Returns the index of each cube's mirror image, cubes being numbered from `start`."""
    names = list(cubes)
    swap = {"l": "r", "r": "l"}
    partner = [swap[n[0]] + n[1:] if n[1:2] == "-" else n for n in names]
    return np.array([start + names.index(n) for n in partner])


def point_weights(
    skin: np.ndarray, cubes: Sequence[str] | dict, bones: Sequence[str]
) -> np.ndarray:
    """Appends the weights of the cubes' points, each carried by one bone."""
    rows = np.zeros((len(cubes), len(bones)))
    for row, name in zip(rows, cubes, strict=True):
        carrier = _CARRIER[name.removeprefix("l-").removeprefix("r-")]
        row[bones.index(carrier if carrier in bones else f"{carrier}_{name[0]}")] = 1
    return np.concatenate([skin, rows])


def regions(mesh: Mesh) -> np.ndarray:
    """Returns the region of every vertex (index into REGIONS), for colouring."""
    by_bone = {
        "pelvis": "hip", "spine": "torso", "clavicle": "torso", "neck": "neck", "head": "face",
        "upperarm": "upper_arm", "lowerarm": "forearm", "hand": "hand", "thigh": "thigh",
        "calf": "calf", "foot": "foot", "ball": "foot",
    }  # fmt: skip
    names = [by_bone[mesh.bones[b].split("_")[0]] for b in mesh.weights.argmax(1)]
    at = np.array([REGIONS.index(name) for name in names], np.uint8)
    skin = len(mesh.eyes)
    head, top = mesh.template[mesh.cubes["head"]], mesh.template[mesh.cubes["head-2"]]
    up, front = ((mesh.template - head) / (top[1] - head[1]))[:, 1:].T
    is_face = at == REGIONS.index("face")
    at[is_face & (up > -0.15) & (up > 0.62 + 0.55 * (front - 0.25))] = REGIONS.index("hair")
    mouth, jaw = (mesh.template[mesh.cubes[name]] for name in ("mouth", "jaw"))
    lips = np.linalg.norm((mesh.template - (0.55 * mouth + 0.45 * jaw)) * [0.6, 1.5, 0], axis=1)
    at[is_face & (lips < 14) & (front > 0.4)] = REGIONS.index("mouth")
    at[:skin][mesh.eyes] = REGIONS.index("eye")
    return at
