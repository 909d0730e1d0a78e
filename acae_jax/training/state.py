"""The pytree that training changes, and the random keys of its steps.

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

    `collections` are the variables that are no parameters, by their kind, such as {"batch_stats":
    …}; with {"params": …} they are what flax calls the variables of a network. `average` is empty,
    or the moving average of the variables; evaluations and later stages then use the average.
    `extra` is anything else that a system carries from step to step, such as a pool of earlier
    images.
    """

    step: Int[Any, ""]
    params: Any
    collections: Any
    opt_state: Any
    average: Any = ()
    extra: Any = ()


def step_key(seed: int, step: Int[Array, ""] | int) -> jax.Array:
    """The random key of the update after `step` finished ones."""
    return jax.random.fold_in(jax.random.key(seed), step)


def moving_average(average: Any, newest: Any, decay: float, step: Int[Array, ""]) -> Any:
    """The next moving average.

    After t steps the weight of the old average is min(decay, (1 + t) / (10 + t)): in the first
    steps the average follows faster.
    """
    weight = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda old, new: old + (1 - weight) * (new - old), average, newest)


def variables(state: TrainState) -> dict[str, Any]:
    """The newest variables: {"params": …} and the other collections."""
    return {"params": state.params, **state.collections}


def evaluated(state: TrainState) -> dict[str, Any]:
    """The variables to evaluate: the moving average if the state has one, else the newest."""
    return state.average or variables(state)


def parameter_count(params: Any) -> int:
    """The number of scalars in the tree."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


@jax.jit
def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether all floating-point numbers of the tree are finite."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.array([jnp.isfinite(x).all() for x in leaves], bool))
