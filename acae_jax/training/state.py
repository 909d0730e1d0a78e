"""The one pytree that training changes, and the randomness of its steps.

`step` counts finished updates. The random key of the next update is a pure function of the seed and
`step`, so no random state is stored.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


class TrainState(NamedTuple):
    """Finished updates, network variables and optimiser state."""

    step: Int[Any, ""]
    params: Any
    batch_stats: Any
    opt_state: Any


def step_key(seed: int, step: Int[Array, ""] | int) -> jax.Array:
    """The random key of the update that follows `step` finished ones."""
    return jax.random.fold_in(jax.random.key(seed), step)


def parameter_count(params: Any) -> int:
    """How many numbers the tree holds."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


@jax.jit
def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether no floating-point leaf of the tree holds an infinity or not-a-number."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.array([jnp.isfinite(x).all() for x in leaves], bool))
