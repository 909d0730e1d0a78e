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
    """Finished updates, network variables and optimiser state.

    `collections` are the variables besides the parameters by their kind, such as {"batch_stats":
    …}; together with {"params": …} they are what flax calls the variables of a network. `average`
    is empty, or the moving average of the variables, which is then what is evaluated and what later
    stages load. `extra` is whatever else a system carries from step to step, such as a pool of
    earlier images.
    """

    step: Int[Any, ""]
    params: Any
    collections: Any
    opt_state: Any
    average: Any = ()
    extra: Any = ()


def step_key(seed: int, step: Int[Array, ""] | int) -> jax.Array:
    """The random key of the update that follows `step` finished ones."""
    return jax.random.fold_in(jax.random.key(seed), step)


def moving_average(average: Any, newest: Any, decay: float, step: Int[Array, ""]) -> Any:
    """The average moved towards the newest values; over few steps it forgets faster than `decay`.

    After t steps the old average counts min(decay, (1 + t) / (10 + t)).
    """
    kept = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda old, new: old + (1 - kept) * (new - old), average, newest)


def variables(state: TrainState) -> dict[str, Any]:
    """The newest variables: {"params": …} and the other collections."""
    return {"params": state.params, **state.collections}


def evaluated(state: TrainState) -> dict[str, Any]:
    """What is evaluated: the variables, averaged if the state holds an average."""
    return state.average or variables(state)


def parameter_count(params: Any) -> int:
    """How many numbers the tree holds."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


@jax.jit
def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether no floating-point leaf of the tree holds an infinity or not-a-number."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.array([jnp.isfinite(x).all() for x in leaves], bool))
