"""A bundle with one more skeleton: more rows in its matrix, and one more skeleton in its facts."""

import numpy as np
from jaxtyping import Float

from acae_jax.bundles.bundle import Contents
from acae_jax.bundles.facts import Facts, Selection
from acae_jax.skeletons.skeleton import Skeleton


def with_skeleton(
    contents: Contents,
    new: Skeleton,
    weights: Float[np.ndarray, "k j"],
    bones_mm: Float[np.ndarray, " e"],
    note: str,
) -> Contents:
    """The contents of a bundle, with a skeleton whose joints are `weights` times the bundle's.

    `bones_mm` are the mean lengths of its edges. `note` is text for the facts and the model card.
    Raises ValueError if the bundle has a skeleton of that name.
    """
    facts = contents.facts
    check_name(facts, new.name)
    start, count = len(facts.joint_names), len(new.joint_names)
    matrix = np.eye(start) if contents.matrix is None else contents.matrix.astype(np.float64)
    edges = tuple((start + a, start + b) for a, b in new.edges)
    knows_bones = len(facts.bones_mm) == len(facts.edges)
    bones = (*facts.bones_mm, *bones_mm.tolist()) if knows_bones else ()
    selection = Selection(tuple(range(start, start + count)), new.joint_names, new.edges)
    changed = facts._replace(
        joint_names=(*facts.joint_names, *(f"{joint}_{new.name}" for joint in new.joint_names)),
        edges=(*facts.edges, *edges),
        bones_mm=bones,
        skeletons={**facts.skeletons, new.name: selection},
        about={**facts.about, f"skeleton {new.name}": note},
    )
    return contents._replace(
        facts=changed,
        matrix=np.concatenate([matrix, weights @ matrix]).astype(np.float32),
        card=f"{contents.card.rstrip()}\n\n## Skeleton {new.name}\n\n{note}\n",
    )


def check_name(facts: Facts, name: str) -> None:
    """Raise ValueError if the bundle has a skeleton of this name."""
    if name in facts.skeletons:
        raise ValueError(
            f"the bundle has a skeleton '{name}' already; choose another name with --name"
        )
