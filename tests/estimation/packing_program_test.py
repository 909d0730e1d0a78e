"""A network's program of its own gives what the network gives, for any batch size."""

from functools import partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.estimation.model import network as networks
from acae_jax.estimation.model import objective
from acae_jax.estimation.model.autoencoder import Matrices
from acae_jax.estimation.packing import architecture, bundle_contents, program
from acae_jax.estimation.packing.architecture import Architecture
from acae_jax.geometry import heatmaps
from acae_jax.packaging import signature

SIDE = 32
LATENTS, JOINTS = 5, 9
NARROW = Architecture(
    backbone="narrow",
    options={"widths": [8, 8, 8], "context": [4, 8], "blocks": [1, 1]},
    stride=16,
    centred=True,
    points=0,
    depth_bins=4,
    side_px=SIDE,
    box_mm=2200.0,
    dtype="float32",
)


def variant(name):
    weights = np.random.default_rng(3).normal(1, 1, (JOINTS, LATENTS)).astype(np.float32)
    decode = jnp.asarray(weights / weights.sum(axis=1, keepdims=True))
    maps = Matrices(encode=jnp.zeros((LATENTS, JOINTS)), decode=decode)
    return objective.separate(JOINTS) if name == "separate" else getattr(objective, name)(maps)


def random_variables(network):
    """Weights that keep sizes as they are and make heat maps with peaks, norms that do a lot."""
    rng = np.random.default_rng(0)

    def sample(like):
        if like.ndim == 1:
            return rng.uniform(0.3, 2.0, like.shape).astype(np.float32)
        deviation = np.sqrt(2 / np.prod(like.shape[:-1]))
        return rng.normal(0, deviation, like.shape).astype(np.float32)

    images = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    init = partial(network.init, train=False)
    return jax.tree.map(sample, jax.eval_shape(init, jax.random.key(0), images))


def crops(count):
    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    images[:, :, : SIDE // 2] //= np.arange(1, 6, dtype=np.uint8).reshape(5, 1, 1, 1)
    middle = (SIDE - 1) / 2
    camera = np.array([[90, 0, middle], [0, 90, middle], [0, 0, 1]], np.float32)
    return images[:count], np.tile(camera, (count, 1, 1))


@pytest.mark.parametrize("name", ["separate", "latent", "hybrid"])
def test_exported_is_applied_for_any_batch(name):
    chosen = variant(name)
    readout = chosen.joints
    network = architecture.network(NARROW._replace(points=chosen.points))
    variables = random_variables(network)
    weights = program.fold(network, variables, readout)
    assert (program.READOUT in weights) == (name != "separate")
    opened = jax.export.deserialize(
        bytearray(program.export(program.crop_model(network), weights, SIDE))
    )
    assert opened.platforms == signature.PLATFORMS
    apply = jax.jit(partial(networks.predict, network, readout))
    applied = np.asarray(apply(variables, *crops(5)))
    assert np.ptp(applied, axis=0).max() > 1  # what is compared depends on the image
    for count in (1, 2, 5) if name == "separate" else (5,):
        poses_mm, spread_mm = opened.call(weights, *crops(count))
        np.testing.assert_allclose(poses_mm, applied[:count], rtol=1e-4, atol=0.05)
        assert spread_mm.shape == (count, JOINTS) and np.all(np.asarray(spread_mm) > 0)


def test_the_spread_is_the_deviation_in_mm():
    """Two equal peaks at the ends of an axis lie half its extent from their mean."""
    geometry = networks.Geometry(256, 32, True, 2200.0)
    flat = jnp.zeros((1, 1, 8)).at[..., 3].set(1.0)
    ends = jnp.zeros((1, 1, 8)).at[..., 0].set(0.5).at[..., 7].set(0.5)
    found = program.spread_variance([flat, flat, ends], geometry)
    np.testing.assert_allclose(np.sqrt(found), [[1100.0]], rtol=1e-5)
    across = program.spread_variance([ends, flat, flat], geometry)
    points = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    extent_mm = np.ptp(heatmaps.volume_to_mm(points, 256, 32), axis=0)[0]
    np.testing.assert_allclose(np.sqrt(across), [[extent_mm / 2]], rtol=1e-5)


def test_storage_that_cannot_hold_the_weights_is_an_error():
    weights = {"a": np.array([1e5], np.float32), program.READOUT: np.ones((1, 1), np.float32)}
    with pytest.raises(ValueError, match="a does not fit float16: store the weights as float32"):
        bundle_contents.stored(weights, "float16")
    with pytest.raises(ValueError, match="float32 or float16, not 'int8'"):
        bundle_contents.stored(weights, "int8")
    kept = bundle_contents.stored({**weights, "a": np.ones(1, np.float32)}, "float16")
    assert kept["a"].dtype == np.float16 and kept[program.READOUT].dtype == np.float32
