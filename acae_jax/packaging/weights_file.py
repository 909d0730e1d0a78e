"""A model as its weights alone, for whoever builds the network again."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from acae_jax.bundles import bundle, folders
from acae_jax.bundles.bundle import Contents
from acae_jax.estimation.packing import architecture, program
from acae_jax.packaging import forms

MATRIX = "matrix"


def write(folder: Path, contents: Contents) -> None:
    """Write weights, and the matrix of further joints if there is one, by name."""
    architecture.of(contents.facts)
    tensors = dict(contents.weights)
    if contents.matrix is not None:
        tensors[MATRIX] = contents.matrix
    with forms.new(folder, "safetensors", contents) as place:
        (place / bundle.WEIGHTS).write_bytes(bundle.encoded(tensors))


def load(folder: Path) -> forms.Model:
    """The function of images and intrinsics, with the network built as the facts say."""
    _, facts, sums = folders.opened(folder, forms.HEADER, ("acae_jax safetensors",))
    data = folders.read(folder, bundle.WEIGHTS, sums)
    weights = {n: jnp.asarray(w, jnp.float32) for n, w in safetensors.numpy.load(data).items()}
    matrix = weights.pop(MATRIX, None)
    model = program.crop_model(architecture.network(architecture.of(facts)))

    def whole(weights, images, intrinsics):
        poses_mm, spread_mm = model(weights, images, intrinsics)
        return forms.final_joints(matrix, poses_mm), spread_mm

    compiled = partial(jax.jit(whole), weights)

    def run(images: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        poses_mm, spread_mm = compiled(images, intrinsics)
        return np.asarray(poses_mm), np.asarray(spread_mm)

    return run
