"""Motion clips of the DeepMimic project (MIT, see assets/LICENSE.MIT.txt), as turns and as poses.

Clips, key poses and joint limits are written as turns: one rotation for each of 15 joints, relative
to the parent joint and to the neutral pose (upright, arms hanging straight down, palms to the
thighs), in the axes of the body: x left, y up, z front. The root's turn places the pelvis in the
world. Rotations are (3, 3) matrices. A turn about +x swings a hanging limb backwards, a turn about
+z swings it to the left; a turn about +y turns to the left.

A clip's frame has 44 numbers: seconds, root position (m), root quaternion (w, x, y, z), quaternions
of chest, neck and right hip, the angle of the right knee, quaternions of right ankle and right
shoulder, the angle of the right elbow, then the same six of the left. Its axes are x front, y up,
z right.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from acae_jax.datasets.synthetic import body

JOINTS: tuple[str, ...] = (
    "root", "chest", "neck", "rhip", "rkne", "rank", "rsho", "relb",
    "lhip", "lkne", "lank", "lsho", "lelb", "rwri", "lwri",
)  # fmt: skip
_PELVIS_HEIGHT_MM = 847.5  # of the clips' figure, standing
_FROM_CLIP = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], np.float32)  # clip axes → ours


class Turns(NamedTuple):
    """A pose before it is put on a body."""

    rotations: Float32[np.ndarray, "15 3 3"]
    position_mm: Float32[np.ndarray, "3"]  # of the pelvis in the world, on the clips' figure


class Clip(NamedTuple):
    """A motion, 30 frames a second."""

    name: str
    rotations: Float32[np.ndarray, "T 15 3 3"]
    position_mm: Float32[np.ndarray, "T 3"]


def from_quaternion(quaternion: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n 3 3"]:
    """Turns quaternions (w, x, y, z), of any length, into rotation matrices."""
    unit = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    w, x, y, z = (unit[..., k] for k in range(4))
    # One stack, not one for each row: poses are small, and the calls are what costs.
    entries = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return np.stack(entries, -1).reshape(*unit.shape[:-1], 3, 3)


def from_vector(vector: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3 3"]:
    """Turns rotation vectors (axis times radians) into matrices."""
    half = np.linalg.norm(vector, axis=-1, keepdims=True) / 2
    return from_quaternion(np.concatenate([np.cos(half), vector * np.sinc(half / np.pi) / 2], -1))


def to_vector(rotation: Float[np.ndarray, "*n 3 3"]) -> Float[np.ndarray, "*n 3"]:
    """Turns matrices into rotation vectors no longer than pi; accurate at half turns too."""
    trace = np.trace(rotation, axis1=-2, axis2=-1)
    diagonal = np.diagonal(rotation, axis1=-2, axis2=-1)
    # Four times the squared components of the quaternion. Dividing by the largest is accurate near
    # half turns, too.
    squares = np.concatenate([(1 + trace)[..., None], 1 + 2 * diagonal - trace[..., None]], -1)
    r = rotation
    skew = [r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]]
    both = [r[..., 0, 1] + r[..., 1, 0], r[..., 0, 2] + r[..., 2, 0], r[..., 1, 2] + r[..., 2, 1]]
    products = [
        *(squares[..., 0], *skew),
        *(skew[0], squares[..., 1], both[0], both[1]),
        *(skew[1], both[0], squares[..., 2], both[2]),
        *(skew[2], both[1], both[2], squares[..., 3]),
    ]
    products = np.stack(products, -1).reshape(*squares.shape, 4)
    best = squares.argmax(-1)[..., None, None]
    quaternion = np.take_along_axis(products, best, -2)[..., 0, :]
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    quaternion = np.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(quaternion[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[..., :1])
    return quaternion[..., 1:] * np.where(sine > 1e-7, angle / np.maximum(sine, 1e-7), 2)


@functools.cache
def load() -> dict[str, Clip]:
    """Loads all clips from the package, resampled to 30 frames a second, in this module's axes."""
    with np.load(body.ASSETS / "motions.npz", allow_pickle=False) as arrays:
        return {name: _clip(name, arrays[name]) for name in sorted(arrays)}


def _clip(name: str, frames: Float32[np.ndarray, "T 44"]) -> Clip:
    seconds = np.concatenate([[0], np.cumsum(frames[:-1, 0])])
    # The nearest frame is exact enough: the clips are recorded at 30 or 60 frames a second.
    frames = frames[np.abs(np.arange(0, seconds[-1], 1 / 30)[:, None] - seconds).argmin(1)]
    columns = {
        "root": 4, "chest": 8, "neck": 12, "rhip": 16, "rkne": 20, "rank": 21, "rsho": 25,
        "relb": 29, "lhip": 30, "lkne": 34, "lank": 35, "lsho": 39, "lelb": 43,
    }  # fmt: skip
    turns = np.tile(np.eye(3), (len(frames), len(JOINTS), 1, 1))
    for joint, column in columns.items():
        if joint[1:] in ("kne", "elb"):
            vectors = frames[:, column, None] * np.array([0.0, 0.0, 1.0])
            turn = from_vector(vectors)
        else:
            turn = from_quaternion(frames[:, column : column + 4].astype(np.float64))
        turns[:, JOINTS.index(joint)] = _FROM_CLIP @ turn @ _FROM_CLIP.T
    position = frames[:, 1:4] @ _FROM_CLIP.T * 1000
    return Clip(name, turns.astype(np.float32), position)


def to_swing_twist(rotation: Float[np.ndarray, "*n 3 3"]) -> Float[np.ndarray, "*n 3"]:
    """Splits R = swing(x, 0, z) · twist(y): the angles (x, y, z) in radians.

    The y axis runs along every bone of the neutral pose, so the swing says where it points and
    the twist how it is rolled. The swing of a bone that points exactly backwards is arbitrary.
    """
    direction = rotation[..., :, 1]  # where the y axis goes
    sine = np.hypot(direction[..., 0], direction[..., 2])
    angle = np.arctan2(sine, direction[..., 1])
    factor = np.where(sine > 1e-7, angle / np.maximum(sine, 1e-7), 1)
    swing = np.stack([direction[..., 2], np.zeros_like(sine), -direction[..., 0]], -1)
    swing = swing * factor[..., None]
    opposite = (sine <= 1e-7) & (direction[..., 1] < 0)
    swing[..., 0] = np.where(opposite, np.pi, swing[..., 0])
    twist = np.swapaxes(from_vector(swing), -1, -2) @ rotation
    swing[..., 1] = np.arctan2(twist[..., 0, 2], twist[..., 0, 0])
    return swing


def from_swing_twist(angles: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3 3"]:
    """Inverse of to_swing_twist."""
    return from_vector(angles * np.array([1, 0, 1])) @ from_vector(angles * np.array([0, 1, 0]))


def mirror(turns: Turns) -> Turns:
    """Swaps left and right."""
    swap = {"l": "r", "r": "l"}
    swapped = [JOINTS.index(j if j == "root" else swap.get(j[0], j[0]) + j[1:]) for j in JOINTS]
    flip = np.array([-1, 1, 1], np.float32)
    rotations = turns.rotations[swapped] * flip[:, None] * flip
    return Turns(rotations, turns.position_mm * flip)


@functools.cache
def _neutral() -> Float[np.ndarray, "B 3 3"]:
    """Turns each bone from the rest pose to the neutral one, in which limbs hang vertically."""
    assets = body.load()
    heads = body.rest(assets, body.Shape()).heads_mm
    result = np.tile(np.eye(3), (len(assets.bone_names), 1, 1))
    for side in "lr":
        for chain in ("upperarm lowerarm hand", "thigh calf foot ball"):
            bones = [assets.bone_names.index(f"{name}_{side}") for name in chain.split()]
            for bone, child in itertools.pairwise(bones):
                along = heads[child] - heads[bone]
                goal = np.array([0.0, -1.0, 0.0])
                if (
                    chain.split()[-1] == "ball" and child == bones[-1]
                ):  # feet keep their pitch, point ahead
                    goal = np.array([0.0, along[1], np.hypot(along[0], along[2])])
                result[bone] = _shortest(along, goal)
            result[bones[-1]] = result[bones[-2]]
    return result


def _shortest(
    start: Float[np.ndarray, "3"], end: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "3 3"]:
    axis = np.cross(start, end)
    angle = np.arctan2(np.linalg.norm(axis), start @ end)
    return from_vector(axis / max(np.linalg.norm(axis), 1e-9) * angle)


def to_pose(turns: Turns) -> body.Pose:
    """Puts turns on the body's bones.

    The chest's turn is spread over three spine bones and the neck's over neck and head; collar
    bones take a fifth of what an arm is raised beyond 30 degrees. The pelvis moves as on the clips'
    figure, scaled to an average body: follow with body.grounded() for contact with the floor.
    """
    assets = body.load()
    turn = dict(zip(JOINTS, turns.rotations.astype(np.float64), strict=True))
    chest, neck = to_vector(turn["chest"]), to_vector(turn["neck"])
    world = {"pelvis": turn["root"]}
    for index in (1, 2, 3):
        world[f"spine_0{index}"] = turn["root"] @ from_vector(chest * index / 3)
    world["neck_01"] = world["spine_03"] @ from_vector(neck / 2)
    world["head"] = world["spine_03"] @ turn["neck"]
    for side in "lr":
        upper = turn[f"{side}sho"]
        raised = _shortest(np.array([0.0, 1.0, 0.0]), upper[:, 1])
        lift = to_vector(raised)
        angle = np.linalg.norm(lift)
        lift = lift / max(angle, 1e-9) * max(0.0, angle - np.pi / 6) / 5
        world[f"clavicle_{side}"] = world["spine_03"] @ from_vector(lift)
        world[f"upperarm_{side}"] = world["spine_03"] @ upper
        world[f"lowerarm_{side}"] = world[f"upperarm_{side}"] @ turn[f"{side}elb"]
        world[f"hand_{side}"] = world[f"lowerarm_{side}"] @ turn[f"{side}wri"]
        world[f"thigh_{side}"] = turn["root"] @ turn[f"{side}hip"]
        world[f"calf_{side}"] = world[f"thigh_{side}"] @ turn[f"{side}kne"]
        world[f"foot_{side}"] = world[f"ball_{side}"] = world[f"calf_{side}"] @ turn[f"{side}ank"]
    turned = np.stack([world[name] for name in assets.bone_names]) @ _neutral()
    parents = np.array(assets.parents)
    local = np.where(
        (parents < 0)[:, None, None], turned, np.swapaxes(turned[parents], -1, -2) @ turned
    )
    move = (turns.position_mm - np.array([0, _PELVIS_HEIGHT_MM, 0])) * 1.1
    return body.Pose(local.astype(np.float32), move.astype(np.float32))
