"""What networks do for TPUs – folded maps, recomputed blocks – changes neither parameters nor
results.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.models import backbones, layers, platform
from acae_jax.models.inverted import InvertedBottleneck, recomputed
from acae_jax.models.layers import ConvNorm


def random(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def assert_close(left, right):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-4), left, right)


def with_gradients(modules, variables, x, train):
    """Result, updated statistics and gradients of a row of modules; the result unfolded."""

    def loss(params, x):
        stats = {}
        for name, module in modules.items():
            given = {"params": params[name], "batch_stats": variables[name]["batch_stats"]}
            x, stats[name] = module.apply(
                given, x, train, mutable=["batch_stats"], rngs={"dropout": jax.random.key(3)}
            )
        x = layers.unfold_rows(x, getattr(modules["block"], "fold", 1))
        return jnp.sum(jnp.sin(x) * random(*x.shape)), (x, stats)

    params = {name: one["params"] for name, one in variables.items()}
    return jax.jit(jax.value_and_grad(loss, has_aux=True))(params, x)


def stem_and_block(fold):
    return {
        "stem": ConvNorm(6, 4, stride=2, fold=fold, activation=jax.nn.silu),
        "block": InvertedBottleneck(6, 6, 4, fused=True, fold=fold),
    }


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("fold", [2, 4])
def test_folded_layers_equal_plain_ones_with_their_gradients(fold, train):
    x = random(8, 16, 32, 3)
    plain, variables, seen = stem_and_block(1), {}, x
    for name, module in plain.items():
        variables[name] = module.init(jax.random.key(0), seen, True)
        seen = module.apply(variables[name], seen, False)
    expected = with_gradients(plain, variables, x, train)
    folded = layers.fold_rows(x, 2 * fold)
    assert_close(with_gradients(stem_and_block(fold), variables, folded, train), expected)


def test_folding_and_unfolding_are_inverse_and_keep_rows():
    x = random(2, 3, 8, 5)
    folded = layers.fold_rows(x, 4)
    np.testing.assert_array_equal(folded[0, 1, 1], x[0, 1, 4:8].reshape(-1))
    np.testing.assert_array_equal(layers.unfold_rows(folded, 4), x)


def test_a_recomputed_block_has_the_same_gradients():
    x = random(8, 6, 6, 8)
    make = partial(
        InvertedBottleneck, features=8, expanded=16, ghost_size=4, squeezed=2, drop_rate=0.5
    )
    variables = {"block": make().init(jax.random.key(0), x, True)}
    expected = with_gradients({"block": make()}, variables, x, True)
    again = recomputed(InvertedBottleneck)(**make.keywords)
    assert_close(with_gradients({"block": again}, variables, x, True), expected)


@pytest.mark.parametrize("side", [64, 96, 36])
def test_for_a_tpu_parameters_and_features_have_the_same_shapes(side):
    module = backbones.create("efficientnetv2_s", ghost_size=2)
    images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)

    def shapes(images):
        variables = module.init(jax.random.key(0), images, train=False)
        return variables, module.apply(variables, images, train=False)

    expected = jax.eval_shape(shapes, images)
    with platform.compiling_for("tpu"):
        assert jax.eval_shape(lambda images: shapes(images), images) == expected
