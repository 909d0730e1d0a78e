"""A network's program of its own gives what the network gives, for any batch size."""

from functools import partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.estimation import network as networks
from acae_jax.estimation import objective
from acae_jax.estimation.autoencoder import Matrices
from acae_jax.models import backbones
from acae_jax.packaging import program

SIDE = 48
LATENTS, JOINTS = 5, 9


@pytest.fixture(scope="module")
def decoder():
    weights = np.random.default_rng(3).normal(size=(JOINTS, LATENTS)).astype(np.float32)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module", params=["separate", "latent", "hybrid"])
def trained(request, decoder):
    """A small network with random statistics, its variables and its readout."""
    maps = Matrices(encode=jnp.zeros((LATENTS, JOINTS)), decode=jnp.asarray(decoder))
    if request.param == "separate":
        variant = objective.separate(JOINTS)
    else:
        variant = getattr(objective, request.param)(maps)
    backbone = backbones.create(
        "narrow", ghost_size=4, stride=16, widths=(8, 16, 16), context=(4, 16)
    )
    network = networks.PoseNetwork(backbone, variant.points, networks.Geometry(SIDE, 16), 4)
    init = jax.jit(partial(network.init, train=False))
    variables = init(jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda v: (
            np.asarray(v) + rng.uniform(0.1, 0.6, v.shape).astype(np.float32)
            if v.ndim == 1
            else np.asarray(v)
        ),
        variables,
    )
    head = variables["params"]["head"]
    head["kernel"] = 30 * head["kernel"]  # heat maps with peaks
    return network, variables, variant.joints


def crops(count):
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    middle = (SIDE - 1) / 2
    camera = np.array([[90, 0, middle], [0, 90, middle], [0, 0, 1]], np.float32)
    return images, np.tile(camera, (count, 1, 1))


def test_exported_is_applied_for_any_batch(trained):
    network, variables, readout = trained
    weights = program.fold(network, variables)
    exported = program.export(program.crop_model(network, readout), weights, SIDE)
    opened = jax.export.deserialize(bytearray(exported))
    assert opened.platforms == program.PLATFORMS
    apply = jax.jit(partial(networks.predict, network, readout))
    applied = np.asarray(apply(variables, *crops(5)))
    assert np.ptp(applied, axis=0).max() > 1  # what is compared depends on the image
    for count in (1, 2, 5):
        poses_mm, spread_mm = opened.call(weights, *(part[:count] for part in crops(5)))
        np.testing.assert_allclose(poses_mm, applied[:count], rtol=1e-4, atol=0.05)
        assert spread_mm.shape == (count, JOINTS) and np.all(np.asarray(spread_mm) > 0)
