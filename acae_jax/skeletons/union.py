"""Unions of skeletons: the joints of many formats side by side, as one network predicts them.

A union's joint is a format's joint (``lhip_h36m``); each member's indices lead from the member's
own joint order into the union. Nothing of a union is stored: all follows from the catalogue.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from acae_jax.skeletons import body_parts, catalogue, skeleton
from acae_jax.skeletons.catalogue import Part
from acae_jax.skeletons.skeleton import Skeleton

# The format that the mixtures do not label but exports offer; its joints follow the largest one's.
EXPORTED_MIXTURE, EXPORTED_EXTRA = "huge8", "kinectv2"


class JointUnion(NamedTuple):
    """Joints of several skeletons, and where each member's joints stand among them.

    `member_joints` are what the members themselves call their joints (``lhip``), in their order.
    """

    joint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    members: dict[str, tuple[int, ...]]
    member_joints: dict[str, tuple[str, ...]]


def places(theirs: Sequence[str], ours: Sequence[str]) -> tuple[int, ...]:
    """For each of our joints the index of the one of that name among theirs.

    A ValueError that names our joints that they lack. Whatever brings joints together from two
    places – runs, datasets, autoencoders – matches them by this, never by position.
    """
    index = {name: place for place, name in enumerate(theirs)}
    missing = [name for name in ours if name not in index]
    if missing:
        raise ValueError(f"no joint {listed(missing)} among {listed(theirs)}")
    return tuple(index[name] for name in ours)


def listed(names: Sequence[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def of(skeletons: Sequence[Skeleton]) -> JointUnion:
    """All joints of all skeletons, each called after its skeleton (``lhip_h36m``).

    No joint is shared; a ValueError if two skeletons have the same name.
    """
    _check_distinct(skeletons)
    return _join(skeletons, lambda member, joint: f"{joint}_{member}")


def merged_by_name(skeletons: Sequence[Skeleton]) -> JointUnion:
    """Joints of equal base name are one, whatever their format: the baseline without suffixes.

    A skeleton that has a base name twice (``pelv`` and ``pelv_smplx``) gets repeated indices.
    A ValueError if two skeletons have the same name.
    """
    _check_distinct(skeletons)
    return _join(skeletons, lambda member, joint: skeleton.base_name(joint))


def mixture(name: str) -> JointUnion:
    """The union of a mixture of datasets: huge8 has 555 joints, medium3 277, small5 77.

    Datasets that label the same format share its joints. Joints stand in the order in which the
    datasets bring them in; members are keyed by dataset.
    """
    return _of_parts({d: catalogue.dataset_parts(d) for d in catalogue.mixture_datasets(name)})


def beside(first: JointUnion, second: JointUnion) -> JointUnion:
    """The joints of one union, then those of another; ValueError for a member or joint of both."""
    for kind, names, others in (
        ("skeleton", first.members, second.members),
        ("joint", first.joint_names, second.joint_names),
    ):
        twice = [name for name in others if name in names]
        if twice:
            raise ValueError(f"{kind} '{twice[0]}' is in the union twice; rename the second one")
    start = len(first.joint_names)
    shifted = {name: tuple(start + i for i in at) for name, at in second.members.items()}
    return JointUnion(
        (*first.joint_names, *second.joint_names),
        (*first.edges, *((start + a, start + b) for a, b in second.edges)),
        {**first.members, **shifted},
        {**first.member_joints, **second.member_joints},
    )


def exported() -> JointUnion:
    """The union that exported skeletons index: huge8, then the 25 joints of kinectv2."""
    chosen = catalogue.mixture_datasets(EXPORTED_MIXTURE)
    members = {dataset: catalogue.dataset_parts(dataset) for dataset in chosen}
    extra = Part(EXPORTED_EXTRA, catalogue.load(EXPORTED_EXTRA).joint_names)
    return _of_parts({**members, EXPORTED_EXTRA: (extra,)})


def export_indices(name: str) -> Int32[np.ndarray, " K"]:
    """Indices of an exported skeleton's joints in the union `exported`, in the export's order.

    All are below 555, thus also indices into huge8, except those of kinectv2_25.
    """
    parts = [_suffixed(part) for part in catalogue.export_parts(name)]
    whole = exported()
    everything = Skeleton("exported", whole.joint_names, whole.edges)
    return skeleton.select(everything, [joint for part in parts for joint in part])


def label_groups(
    union_joint_names: Sequence[str], label_names: Sequence[str]
) -> Float32[np.ndarray, "K J"]:
    """Weights that average, for each 2D label, all joints whose name begins with the label's.

    One 2D ``lhip`` thus supervises the mean of all formats' ``lhip`` (and ``lhipb``, ``lhipf``).
    A label that begins no name, such as ``left_hip``, matches the same part of the body.
    A row sums to 1, or is all zero if no joint matches.
    """
    matches = [[joint.startswith(label) for joint in union_joint_names] for label in label_names]
    parts, label_parts = body_parts.of(union_joint_names), body_parts.of(label_names)
    for row, label in zip(matches, label_parts, strict=True):
        if not any(row):
            row[:] = [part == label for part in parts]
    shape = (len(label_names), len(union_joint_names))
    weights = np.array(matches, np.float32).reshape(shape)
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1)


def _of_parts(members: dict[str, tuple[Part, ...]]) -> JointUnion:
    """Union of members that share the joints of the formats they share."""
    index: dict[str, int] = {}
    indices, member_joints, formats = {}, {}, {}
    for member, parts in members.items():
        joints = [joint for part in parts for joint in _suffixed(part)]
        indices[member] = tuple(index.setdefault(joint, len(index)) for joint in joints)
        plain = [joint for part in parts for joint in part.joint_names]
        member_joints[member] = tuple(plain if len(parts) == 1 else joints)
        formats.update({part.format: None for part in parts})
    edges = []
    for name in formats:
        whole = catalogue.load(name)
        joints = _suffixed(Part(name, whole.joint_names))
        named = [(joints[a], joints[b]) for a, b in whole.edges]
        edges += [(index[a], index[b]) for a, b in named if a in index and b in index]
    return JointUnion(tuple(index), skeleton.canonical_edges(edges), indices, member_joints)


def _join(skeletons: Iterable[Skeleton], rename: Callable[[str, str], str]) -> JointUnion:
    """Union under new joint names; joints whose new names are equal are one."""
    index: dict[str, int] = {}
    edges, members, member_joints = [], {}, {}
    for member, joint_names, member_edges in skeletons:
        joints = [rename(member, joint) for joint in joint_names]
        chosen = tuple(index.setdefault(joint, len(index)) for joint in joints)
        # An edge between joints that became one has no length any more.
        edges += [(chosen[a], chosen[b]) for a, b in member_edges if chosen[a] != chosen[b]]
        members[member], member_joints[member] = chosen, tuple(joint_names)
    return JointUnion(tuple(index), skeleton.canonical_edges(edges), members, member_joints)


def _suffixed(part: Part) -> list[str]:
    """The part's joints under their names in a mixture."""
    ending = catalogue.suffix(part.format)
    return [joint + ending for joint in part.joint_names]


def _check_distinct(skeletons: Sequence[Skeleton]) -> None:
    names = set()
    for one in skeletons:
        if one.name in names:
            raise ValueError(f"skeleton '{one.name}' is in the union twice; list or name it once")
        names.add(one.name)
