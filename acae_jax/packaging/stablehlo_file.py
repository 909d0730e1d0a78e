"""A function as a StableHLO program by jax.export, for cpu, cuda and tpu, with its weights."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import jax
import jax.export
import numpy as np

from acae_jax.bundles import bundle
from acae_jax.packaging import forms, signature, weights_file
from acae_jax.packaging.signature import Signature, Tensor

FILES = (bundle.NETWORK, bundle.WEIGHTS)


def write(place: Path, model: forms.Model) -> None:
    """Write network.stablehlo and weights.safetensors."""
    program = signature.stablehlo(model.function, model.weights, model.signature.inputs)
    (place / bundle.NETWORK).write_bytes(program)
    weights_file.write(place, model)


def load(folder: Path, of: Signature) -> forms.Run:
    """The function, run by JAX; a ValueError if the program does not take what the header says."""
    path, weights = folder / bundle.NETWORK, weights_file.read(folder)
    exported = bundle.network(
        path, path.read_bytes(), partial(_check_fit, path, weights, of.inputs)
    )
    compiled = partial(jax.jit(exported.call), weights)
    return lambda *arrays: tuple(map(np.asarray, compiled(*arrays)))


def _check_fit(
    path: Path,
    weights: Mapping[str, np.ndarray],
    inputs: Sequence[Tensor],
    exported: jax.export.Exported,
) -> None:
    try:
        stored, *others = jax.tree.unflatten(exported.in_tree, exported.in_avals)[0]
        shapes = {name: (aval.shape, aval.dtype) for name, aval in stored.items()}
        dtypes = [str(aval.dtype) for aval in others]
    except (ValueError, TypeError, AttributeError):
        shapes, dtypes = {}, None
    expected = {name: (values.shape, values.dtype) for name, values in weights.items()}
    if shapes != expected or dtypes != [one.dtype for one in inputs]:
        raise ValueError(f"{path} does not take the weights and inputs that the header names")
