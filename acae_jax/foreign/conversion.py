"""A torch state dict as the variables of one of our networks; any array that does not fit is an
error.

torch stores kernels as (out, in, height, width), flax as (height, width, in, out); for depthwise
kernels "in" is 1 in both. A norm's weight, bias, running_mean and running_var in torch are scale,
bias, mean and var here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from acae_jax.foreign.layouts import Layers

State = Mapping[str, np.ndarray]

# Names of modules that hold a model: compiled, data-parallel, of a framework (Lightning, …).
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
        layers: torch's name of each of our modules, by our path.
        like: params and batch_stats of our network, as arrays or shapes.
        ignored: beginnings of names that may be left over, such as "classifier.".

    Raises:
        ValueError: naming the first array that is missing, left over, of another shape or not
            finite.
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
        is_counter = key.endswith(".num_batches_tracked")
        if key not in used and not is_counter and not key.startswith(tuple(ignored)):
            raise ValueError(
                f"it also holds {key[:80]!r}, which this model does not have: is it of another "
                "model or size?"
            )
    return converted


def counterpart(path: tuple, shape: tuple[int, ...], layers: Layers) -> tuple[str, tuple[int, ...]]:
    """Torch's name and shape of the variable at this path in params or batch_stats."""
    _, *modules, name = jax.tree_util.keystr(path, simple=True, separator="/").split("/")
    order = (3, 2, 0, 1) if len(shape) == 4 else (0,)
    return f"{layers['/'.join(modules)]}.{_LEAVES[name]}", tuple(shape[axis] for axis in order)


def with_epsilon(variables: Any, theirs: float, ours: float) -> Any:
    """Change the scales of norms, so that `ours` added to the variance has the effect of `theirs`.

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
    """The arrays of the model that has an array called `key`, without the prefix of their names.

    Training scripts put prefixes such as "module." or "model.backbone." before the names. Arrays
    without the model's prefix are left out.
    """
    beginnings = [name.removesuffix(key) for name in state if name.endswith(key)]
    prefixes = [beginning for beginning in beginnings if _PREFIX.fullmatch(beginning)]
    if "" in prefixes or not prefixes:
        return dict(state)
    if len(prefixes) > 1:
        names = " and ".join(f"{prefix}{key}" for prefix in prefixes[:2])
        raise ValueError(f"it holds {names}: save only one of these models")
    (prefix,) = prefixes
    return {name.removeprefix(prefix): a for name, a in state.items() if name.startswith(prefix)}


def _array(state: State, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """One array, which must have this shape, in our order of axes."""
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
        raise ValueError(f"{key} holds numbers that are not finite: the file cannot be used")
    return np.ascontiguousarray(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array)
