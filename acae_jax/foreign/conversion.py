"""A torch state dict as the variables of one of our networks, each number in its place or an error.

torch keeps kernels as (out, in, height, width), flax as (height, width, in, out); for depthwise
kernels "in" is 1 in both. What torch calls weight, bias, running_mean and running_var of a norm are
scale, bias, mean and var here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from acae_jax.foreign.layouts import Layers

State = Mapping[str, np.ndarray]

# What holds a model: compiled, data-parallel or of a task (Lightning, MMSegmentation, …).
_PREFIX = re.compile(r"(?:(?:_orig_mod|module|model|backbone|encoder|net)\.)*")
_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def variables(state: State, layers: Layers, like: Any, ignored: Sequence[str] = ()) -> Any:
    """Arrays of a state dict in the structure of `like`, as float32.

    Args:
        state: the arrays by torch's names.
        layers: torch's name of every module of ours, by its path.
        like: params and batch_stats of our network, as arrays or shapes.
        ignored: beginnings of names that may be left over, such as "classifier.".

    Raises:
        ValueError: which names the first array that is missing, of another shape, not of finite
            numbers, or left over.
    """
    first_path, first = jax.tree_util.tree_leaves_with_path(like)[0]
    state = without_prefix(state, counterpart(first_path, first.shape, layers)[0])
    used = set()

    def array_for(path: tuple, leaf: Any) -> np.ndarray:
        key, shape = counterpart(path, leaf.shape, layers)
        used.add(key)
        return _array(state, key, shape)

    converted = jax.tree_util.tree_map_with_path(array_for, like)
    for key in state:
        counted = key.endswith(".num_batches_tracked")
        if key not in used and not counted and not key.startswith(tuple(ignored)):
            raise ValueError(
                f"it also holds {key[:80]!r}, which this model does not have: is it of another "
                "model or size?"
            )
    return converted


def counterpart(path: tuple, shape: tuple[int, ...], layers: Layers) -> tuple[str, tuple[int, ...]]:
    """The name and shape that torch has for the variable at this path of params and batch_stats."""
    _, *modules, name = jax.tree_util.keystr(path, simple=True, separator="/").split("/")
    order = (3, 2, 0, 1) if len(shape) == 4 else (0,)
    return f"{layers['/'.join(modules)]}.{_LEAVES[name]}", tuple(shape[axis] for axis in order)


def with_epsilon(variables: Any, theirs: float, ours: float) -> Any:
    """The same function for norms that add `ours` to the variance where torch's added `theirs`.

    scale · (x − mean) / √(var + theirs) = scale' · (x − mean) / √(var + ours).
    """

    def scaled(path: tuple, leaf: np.ndarray) -> np.ndarray:
        if path[-1].key != "scale":
            return leaf
        norm = variables["batch_stats"]
        for part in path[1:-1]:
            norm = norm[part.key]
        return leaf * np.sqrt((norm["var"] + ours) / (norm["var"] + theirs))

    return jax.tree_util.tree_map_with_path(scaled, variables)


def without_prefix(state: State, key: str) -> dict[str, np.ndarray]:
    """The arrays under the names that they have in a model which has one called `key`.

    Training scripts put the names of what holds the model before it, such as "module." or
    "model.backbone."; what these do not hold is left out.
    """
    leads = [name.removesuffix(key) for name in state if name.endswith(key)]
    prefixes = [lead for lead in leads if _PREFIX.fullmatch(lead)]
    if "" in prefixes or not prefixes:
        return dict(state)
    if len(prefixes) > 1:
        names = " and ".join(f"{prefix}{key}" for prefix in prefixes[:2])
        raise ValueError(f"it holds {names}: save only one of these models")
    (prefix,) = prefixes
    return {name.removeprefix(prefix): a for name, a in state.items() if name.startswith(prefix)}


def _array(state: State, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """One array of this shape, in our order of axes."""
    if key not in state:
        raise ValueError(
            f"it lacks {key} of shape {shape}, which this model has: is it of another model or "
            "size?"
        )
    array = state[key]
    if array.shape != shape:
        raise ValueError(
            f"{key} has shape {array.shape}, but this model's is {shape}: is it of another size?"
        )
    if not np.issubdtype(array.dtype, np.floating) and array.dtype.name != "bfloat16":
        raise ValueError(f"{key} is of type {array.dtype}; weights must be floating-point numbers")
    array = np.asarray(array, np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{key} holds numbers that are not finite: the file is of no use")
    return np.ascontiguousarray(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array)
