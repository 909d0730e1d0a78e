"""A model as its weights alone, for whoever builds the function again."""

from functools import partial
from pathlib import Path

import jax
import numpy as np
import safetensors
import safetensors.numpy

from acae_jax.bundles import bundle
from acae_jax.packaging import forms
from acae_jax.packaging.signature import Function

FILES = (bundle.WEIGHTS,)


def write(place: Path, model: forms.Model) -> None:
    """Write weights.safetensors: the weights by name, as they are stored."""
    (place / bundle.WEIGHTS).write_bytes(bundle.encoded(dict(model.weights)))


def read(folder: Path) -> dict[str, np.ndarray]:
    """The weights as float32; a ValueError if they are none."""
    path = folder / bundle.WEIGHTS
    try:
        weights = safetensors.numpy.load(path.read_bytes())
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no safetensors file of numbers: {error}") from None
    return {name: values.astype(np.float32) for name, values in weights.items()}


def load(folder: Path, function: Function) -> forms.Run:
    """The function with these weights, run by JAX."""
    compiled = partial(jax.jit(function), read(folder))
    return lambda *arrays: tuple(map(np.asarray, compiled(*arrays)))
