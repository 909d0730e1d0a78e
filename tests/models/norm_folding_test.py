"""A network with its norms folded into the convolutions gives what it gave before."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.models import backbones, efficientnet, folding, mobilenet, resnet
from acae_jax.models.ghost_norm import GhostNorm
from acae_jax.models.layers import Conv

STAGE, BLOCK = efficientnet.Stage, mobilenet.Block
# The networks' kinds of block, once each: whole networks take long to compile.
SMALL = {
    "resnet18": (resnet.BLOCKS_PER_STAGE, 18, (1, 1, 1, 1)),
    "resnet50": (resnet.BLOCKS_PER_STAGE, 50, (1, 1, 1, 1)),
    "efficientnetv2_s": (
        efficientnet.STAGES,
        "s",
        (
            STAGE(True, 1, 1, 24, 1),
            STAGE(True, 4, 2, 32, 1),
            STAGE(False, 4, 2, 40, 2),
            STAGE(False, 6, 2, 48, 1),
        ),
    ),
    "mobilenetv3_small": (
        mobilenet.BLOCKS,
        "small",
        (BLOCK(3, 16, 16, True, False, 2), BLOCK(5, 96, 24, True, True, 2)),
    ),
    "narrow": (None, None, None),
}


def random_variables(network, images):
    """Kernels that keep sizes as they are, and norms that are far from doing nothing."""
    rng = np.random.default_rng(0)

    def sample(like):
        if like.ndim == 1:
            return rng.uniform(0.3, 2.0, like.shape).astype(np.float32)
        deviation = np.sqrt(2 / np.prod(like.shape[:-1]))
        return rng.normal(0, deviation, like.shape).astype(np.float32)

    init = partial(network.init, train=False)
    return jax.tree.map(sample, jax.eval_shape(init, jax.random.key(0), images))


def assert_equal_when_folded(network, images):
    variables = random_variables(network, images)
    weights = folding.fold(network, variables, jax.ShapeDtypeStruct(images.shape, images.dtype))
    both = jax.jit(
        lambda variables, weights, images: (
            network.apply(variables, images, train=False),
            folding.apply(network, weights, images),
        )
    )
    plain, folded = both(variables, weights, images)
    scale = float(np.std(plain))
    assert scale > 1e-3
    np.testing.assert_allclose(folded, plain, rtol=1e-4, atol=2e-5 * scale)
    return weights


@pytest.mark.parametrize("name", SMALL)
def test_folded_backbones_give_the_same(name, monkeypatch):
    table, key, small = SMALL[name]
    if table is not None:
        monkeypatch.setitem(table, key, small)
    options = {"widths": (8, 16, 16), "context": (4, 16)} if name == "narrow" else {}
    stride = 16 if name == "narrow" else 32
    network = backbones.create(name, ghost_size=1, stride=stride, **options)
    images = jnp.asarray(np.random.default_rng(1).uniform(size=(2, 32, 32, 3)), jnp.float32)
    weights = assert_equal_when_folded(network, images)
    assert not [weight for weight in weights if weight.endswith("/scale")]


class Separate(nn.Module):
    """A norm of the pixels, one behind an activation, and one behind a convolution with a bias."""

    @nn.compact
    def __call__(self, x, train):
        x = GhostNorm(1, name="first")(x, train)
        x = nn.relu(Conv(4, name="conv", use_bias=True)(x))
        x = GhostNorm(1, name="after_relu")(x, train)
        return GhostNorm(1, name="after_conv")(Conv(3, use_bias=True, name="last")(x), train)


def test_a_norm_without_a_convolution_stays_scale_and_shift():
    images = jnp.asarray(np.random.default_rng(1).uniform(size=(2, 8, 8, 3)), jnp.float32)
    weights = assert_equal_when_folded(Separate(), images)
    assert set(weights) == {
        "first/scale", "first/bias", "conv/kernel", "conv/bias", "after_relu/scale",
        "after_relu/bias", "last/kernel", "last/bias", "after_conv/bias",
    }  # fmt: skip
