"""From joints and undirected edges to a rooted tree, as animation files have it."""

from collections.abc import Sequence
from typing import NamedTuple

from acae_jax import messages
from acae_jax.skeletons import body_parts, skeleton
from acae_jax.skeletons.skeleton import base_name


class Tree(NamedTuple):
    """Joints in depth-first order; each has its parent's place in this order, the root has -1."""

    joints: tuple[int, ...]
    parents: tuple[int, ...]

    def children(self, place: int) -> list[int]:
        """The places of a joint's children."""
        return [child for child, parent in enumerate(self.parents) if parent == place]


def rooted(
    joint_names: Sequence[str], edges: Sequence[tuple[int, int]], root: str | None = None
) -> Tree:
    """Return the tree of the joints that edges connect with the root, each by its shortest way.

    Without `root`, it is the pelvis, or else the middle joint of the largest connected part. Of a
    cycle one edge is left out. A ValueError says so if there are no edges, or none at the root.
    """
    neighbours: list[set[int]] = [set() for _ in joint_names]
    for a, b in edges:
        if min(a, b) < 0 or max(a, b) >= len(joint_names) or a == b:
            raise ValueError(
                f"edge ({a}, {b}) must join two different joints of 0…{len(joint_names) - 1}"
            )
        neighbours[a].add(b)
        neighbours[b].add(a)
    if not edges:
        raise ValueError("the skeleton has no edges, so no bones; choose one with edges")
    if root is not None and root not in joint_names:
        raise ValueError(f"root: no joint '{root}'; {messages.near_misses(root, joint_names)}")
    start = _default_root(joint_names, neighbours) if root is None else joint_names.index(root)
    if not neighbours[start]:
        raise ValueError(f"no edge reaches the root '{joint_names[start]}'; name another root")
    parent_of = {joint: parent for joint, (parent, _) in _walk(neighbours, start).items()}
    joints: list[int] = []

    def visit(joint: int) -> None:
        joints.append(joint)
        for child in sorted(neighbours[joint]):
            if parent_of[child] == joint:
                visit(child)

    visit(start)
    places = {joint: place for place, joint in enumerate(joints)} | {-1: -1}
    return Tree(tuple(joints), tuple(places[parent_of[joint]] for joint in joints))


def _walk(neighbours: list[set[int]], start: int) -> dict[int, tuple[int, int]]:
    """Parent and distance in edges of every joint that can be reached, breadth first."""
    reached = {start: (-1, 0)}
    queue = [start]
    for joint in queue:
        for other in sorted(neighbours[joint]):
            if other not in reached:
                reached[other] = joint, reached[joint][1] + 1
                queue.append(other)
    return reached


def _default_root(joint_names: Sequence[str], neighbours: list[set[int]]) -> int:
    connected = [joint for joint in range(len(joint_names)) if neighbours[joint]]
    pelvis = body_parts.pelvis([joint_names[joint] for joint in connected])
    if pelvis is not None:
        return connected[pelvis]
    for joint in connected:
        if base_name(joint_names[joint]).lower() == "root":
            return joint
    sides = skeleton.sides(joint_names)
    walks = {joint: _walk(neighbours, joint) for joint in connected}

    def remoteness(joint: int) -> tuple[int, int, bool, int]:
        distances = [distance for _, distance in walks[joint].values()]
        return -len(distances), sum(distances), sides[joint] != "", joint

    return min(connected, key=remoteness)
