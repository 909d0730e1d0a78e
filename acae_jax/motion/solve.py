"""From joint positions over time to a rest pose, constant bone lengths and rotations.

Positions alone do not say how a limb is rolled about its own bone. A joint with one child turns its
parent's orientation by the smallest angle that points the bone where it goes, so roll is carried
down the limb. A joint with several children (pelvis, chest) takes the orientation that fits them
all best (Kabsch), and each of these bones gets a joint of its own there, its hinge, which turns it
the rest of the way: hips and shoulders are not rigid. So all bones point exactly where they do in
the input, and only their lengths are changed, to the median over the frames.

The rest pose faces +z with y up. Arms stretch sideways and legs down where the joints' names
say which they are, as in a T-pose; every other bone has its mean direction as its parent sees it.
Axes of rest and of world are the same, so a body in the rest pose has zero rotations.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from acae_jax.geometry import rotations
from acae_jax.motion.tree import Tree
from acae_jax.skeletons import skeleton
from acae_jax.skeletons.body_parts import BodyPart

# Left and right joints whose bone from the parent is part of a stretched arm or leg in rest.
ARM = {"mid upper arm", "elbow", "mid forearm", "wrist"}
LEG = {"mid thigh", "knee", "mid shin", "ankle"}
# How much a joint with several children holds on to its parent's orientation: it decides where the
# children lie on one line, as two shoulders do, and hardly matters elsewhere.
HOLD = 0.05


class Rig(NamedTuple):
    """What a BVH file says. Nodes are joints and hinges, a parent before its children."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # nodes; -1 for the root, which is node 0
    joints: tuple[int, ...]  # places in the tree; -1 for hinges, which lie where their parents are
    offsets_mm: Float64[np.ndarray, "N 3"]  # from the parent, in the rest pose
    rotations: Float64[np.ndarray, "F N 3 3"]  # relative to the parent's
    root_mm: Float64[np.ndarray, "F 3"]


def solve(
    tree: Tree,
    names: Sequence[str],
    parts: Sequence[BodyPart],
    positions_mm: Float64[np.ndarray, "F J 3"],
    is_there: Bool[np.ndarray, "F J"],
) -> Rig:
    """Fit a rig to positions without gaps.

    Names, parts of the body, positions and `is_there`, which positions were measured and not
    filled in, are those of the tree's joints in its order. Only measured bones count for lengths.
    """
    node_names, parents, joints = _nodes(tree, names)
    bones = positions_mm - positions_mm[:, np.maximum(tree.parents, 0)]
    measured = is_there & is_there[:, np.maximum(tree.parents, 0)]
    lengths = _median_lengths(bones, measured)
    rest = np.zeros((len(names), 3))
    world = np.empty((len(positions_mm), len(joints), 3, 3))
    for node, place in enumerate(joints):
        carried = world[:, parents[node]] if node else _body_axes(names, parts, positions_mm)
        if place < 0:  # a hinge: one bone, to the node that follows
            ends = [joints[node + 1]]
        else:
            ends = tree.children(place)
            for end in ends:
                rest[end] = _rest_direction(parts[end], carried, bones[:, end])
        world[:, node] = _oriented(carried, rest[ends] * lengths[ends, None], bones[:, ends])
    local = world.copy()
    local[:, 1:] = world[:, parents[1:]].mT @ world[:, 1:]
    offsets = np.stack([rest[p] * lengths[p] if p > 0 else np.zeros(3) for p in joints])
    return Rig(tuple(node_names), tuple(parents), tuple(joints), offsets, local, positions_mm[:, 0])


def posed(rig: Rig) -> Float64[np.ndarray, "F N 3"]:
    """Return where the rig puts its nodes (forward kinematics)."""
    positions, world = [rig.root_mm], [rig.rotations[:, 0]]
    for node, parent in list(enumerate(rig.parents))[1:]:
        positions.append(positions[parent] + world[parent] @ rig.offsets_mm[node])
        world.append(world[parent] @ rig.rotations[:, node])
    return np.stack(positions, 1)


def _nodes(tree: Tree, names: Sequence[str]) -> tuple[list[str], list[int], list[int]]:
    """Names, parents and joints of the rig's nodes."""
    node_names, parents, joints = [], [], []
    node_of = {-1: -1}
    for place, above in enumerate(tree.parents):
        parent = node_of[above]
        if above >= 0 and len(tree.children(above)) > 1:
            hinge = f"{names[above]}_{names[place]}"
            while hinge in names:
                hinge += "_"
            node_names.append(hinge)
            parents.append(parent)
            joints.append(-1)
            parent = len(joints) - 1
        node_of[place] = len(joints)
        node_names.append(names[place])
        parents.append(parent)
        joints.append(place)
    return node_names, parents, joints


def _median_lengths(
    bones: Float64[np.ndarray, "F J 3"], measured: Bool[np.ndarray, "F J"]
) -> Float64[np.ndarray, " J"]:
    """Median length of each bone over the frames that measured it, or over all if none did."""
    lengths = np.linalg.norm(bones, axis=-1)
    return np.array(
        [
            np.median(length[there] if there.any() else length)
            for length, there in zip(lengths.T, measured.T, strict=True)
        ]
    )


def _rest_direction(
    end: BodyPart,
    carried: Float64[np.ndarray, "F 3 3"],
    bone: Float64[np.ndarray, "F 3"],
) -> Float64[np.ndarray, "3"]:
    """The unit direction of the bone that ends in this part of the body, in the rest pose."""
    if end.side and end.name in LEG:
        return np.array([0.0, -1.0, 0.0])
    if end.side and end.name in ARM:
        return np.array([1.0 if end.side == "l" else -1.0, 0.0, 0.0])
    mean = (carried.mT @ _unit(bone)[..., None])[..., 0].mean(0)
    # A bone without length, or as often here as there, may rest in any direction.
    return _unit(mean) if np.linalg.norm(mean) > 1e-6 else np.array([0.0, 1.0, 0.0])


def _oriented(
    carried: Float64[np.ndarray, "F 3 3"],
    rest_mm: Float64[np.ndarray, "K 3"],
    bones_mm: Float64[np.ndarray, "F K 3"],
) -> Float64[np.ndarray, "F 3 3"]:
    """Turn a parent's orientation until the bones of the rest pose point where they are seen."""
    if len(rest_mm) == 0:
        return carried
    start = (carried[:, None] @ rest_mm[..., None])[..., 0]
    if len(rest_mm) == 1:
        return _shortest_arc(_unit(start[:, 0]), _unit(bones_mm[:, 0])) @ carried
    hold = HOLD * max((rest_mm**2).sum(), 1.0) * np.eye(3)
    return rotations.nearest_rotation(bones_mm.mT @ start + hold) @ carried


def _shortest_arc(
    start: Float64[np.ndarray, "F 3"], end: Float64[np.ndarray, "F 3"]
) -> Float64[np.ndarray, "F 3 3"]:
    """Rotations by the smallest angle between unit vectors; none where one of them is zero.

    Half a turn about the start and half a turn about the mid two, exact to 1e-7 at all
    angles. Opposite vectors have no middle, and any axis across them serves.
    """
    start = np.where(start.any(-1, keepdims=True), start, end)
    axis = np.eye(3)[np.abs(start).argmin(-1)]
    across = _unit(axis - (axis * start).sum(-1, keepdims=True) * start)
    middle = start + end
    opposite = np.linalg.norm(middle, axis=-1, keepdims=True) < 1e-8
    return _half_turn(_unit(np.where(opposite, across, middle))) @ _half_turn(start)


def _half_turn(axis: Float64[np.ndarray, "F 3"]) -> Float64[np.ndarray, "F 3 3"]:
    return 2 * axis[:, :, None] * axis[:, None, :] - np.eye(3)


def _body_axes(
    names: Sequence[str], parts: Sequence[BodyPart], positions_mm: Float64[np.ndarray, "F J 3"]
) -> Float64[np.ndarray, "F 3 3"]:
    """The body's orientation: columns left, up and front, from hips and shoulders.

    A skeleton whose names show neither takes its first frame as unturned.
    """

    def places(*part_names: str) -> list[int]:
        return [place for place, part in enumerate(parts) if part.name in part_names]

    low = places("hip") or places("pelvis")
    high = places("shoulder") or places("neck", "thorax", "head")
    index = {name: place for place, name in enumerate(names)}
    pairs = [(index[left], index[right]) for left, right in skeleton.pairs(names).items()]
    sided = [pair for pair in pairs if pair[0] in low + high] or pairs
    if not (sided and low and high):
        shape = positions_mm - positions_mm.mean(1, keepdims=True)
        return rotations.nearest_rotation(shape.mT @ shape[0])
    left, right = np.array(sided).T
    across = _unit((positions_mm[:, left] - positions_mm[:, right]).mean(1))
    upward = _unit(positions_mm[:, high].mean(1) - positions_mm[:, low].mean(1))
    columns = [across, upward, _unit(rotations.cross(across, upward))]
    return rotations.nearest_rotation(np.stack(columns, -1))


def _unit(vectors: Float64[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
    """Vectors of length 1; those without length stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 1e-9, length, np.inf)
