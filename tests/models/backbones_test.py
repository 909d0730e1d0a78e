"""Every backbone against published counts and shapes; forward passes of the small ones."""

import hashlib
import itertools
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from acae_jax.models import backbones, inverted
from acae_jax.models.depthwise import DepthwiseConv
from acae_jax.models.layers import Conv

# torchvision's published totals with the classifier of 1000 classes.
PUBLISHED_PARAMETERS = {
    "resnet18": 11689512,
    "resnet34": 21797672,
    "resnet50": 25557032,
    "resnet101": 44549160,
    "resnet152": 60192808,
    "efficientnetv2_s": 21458488,
    "efficientnetv2_m": 54139356,
    "efficientnetv2_l": 118515272,
    "mobilenetv3_small": 2542856,
    "mobilenetv3_large": 5483032,
}
# Widths of the classifiers' layers; the first is the number of features.
CLASSIFIERS = {
    "resnet18": (512, 1000),
    "resnet34": (512, 1000),
    "resnet50": (2048, 1000),
    "resnet101": (2048, 1000),
    "resnet152": (2048, 1000),
    "efficientnetv2_s": (1280, 1000),
    "efficientnetv2_m": (1280, 1000),
    "efficientnetv2_l": (1280, 1000),
    "mobilenetv3_small": (576, 1024, 1000),
    "mobilenetv3_large": (960, 1280, 1000),
}
# SHA-256 of the sorted list of shapes (weights, biases, running statistics; kernels as
# output, input, height, width) of the published crop models' backbones.
PUBLISHED_SHAPES = {
    "efficientnetv2_s": (
        670,
        "1ce8639e0efcd270c660fe505b1162fa7168fd7a1ec4e6bbe4134532b253ecf1",
    ),
    "efficientnetv2_l": (
        1329,
        "2514bdaecfc2f3758b37967f6889a16eb96a4a08fa9822b77bd377f4a08ce559",
    ),
}


def create(name, **options):
    return backbones.create(name, **{"ghost_size": 2, **options})


def shapes(module, side=64):
    """Variables and inference features by shape, without computing anything."""
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    init = partial(module.init_with_output, train=False)
    features, variables = jax.eval_shape(init, jax.random.key(0), images)
    return variables, features


def test_the_narrow_network_and_the_published_ones_are_there():
    assert set(backbones.names()) == {"narrow", *PUBLISHED_PARAMETERS}


@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_parameters_and_shapes_are_the_published_ones(name):
    variables, features = shapes(create(name))
    widths = CLASSIFIERS[name]
    assert features.shape == (1, 2, 2, widths[0])
    classifier = sum((a + 1) * b for a, b in itertools.pairwise(widths))
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count + classifier == PUBLISHED_PARAMETERS[name]

    if name in PUBLISHED_SHAPES:
        as_published = sorted(
            tuple(leaf.shape[i] for i in (3, 2, 0, 1)) if len(leaf.shape) == 4 else leaf.shape
            for leaf in jax.tree.leaves(variables)
        )
        digest = hashlib.sha256(repr(as_published).encode()).hexdigest()
        assert (len(as_published), digest) == PUBLISHED_SHAPES[name]


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnetv2_s", "mobilenetv3_large"])
@pytest.mark.parametrize("centred", [True, False])
def test_only_the_last_strided_block_is_shifted(name, centred):
    strided = []

    def record(call, args, kwargs, context):
        module = context.module
        if isinstance(module, Conv | DepthwiseConv):
            assert module.stride == 2 or module.shift == 0
            if module.stride == 2:
                strided.append((module.shift, args[0].shape[1]))
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        shapes(create(name, centred=centred), side=64)
    assert {shift for shift, size in strided if size == 4} == {int(centred)}
    assert {shift for shift, size in strided if size > 4} == {0}


def test_the_narrow_grid_is_centred_in_the_image():
    """With equal weights the network is symmetric: a mirrored image mirrors the features."""
    images = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 64, 64, 3)), jnp.float32)
    module = create("narrow", stride=16, widths=(4, 4, 4), context=(4, 4))
    variables, _ = shapes(module)
    averaging = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.05), variables)
    apply = jax.jit(partial(module.apply, train=False))
    features = apply(averaging, images)
    assert float(jnp.std(features)) > 0
    for flip in (np.s_[:, ::-1], np.s_[:, :, ::-1]):
        mirrored = apply(averaging, images[flip])
        np.testing.assert_allclose(mirrored, features[flip], rtol=1e-4)


@pytest.mark.parametrize("name, stride", [("narrow", 16), ("resnet18", 32)])
def test_features_have_the_stride(name, stride):
    _, features = shapes(create(name, stride=stride), side=96)
    assert features.shape[1:3] == (96 // stride, 96 // stride)


@pytest.mark.parametrize("name", ["resnet18", "efficientnetv2_s", "mobilenetv3_small"])
def test_every_family_has_gradients(name):
    """Traced only: bfloat16 features, float32 gradients of the parameters' shapes."""
    module = create(name, dtype=jnp.bfloat16)
    variables, _ = shapes(module)

    def gradient(variables, images, key):
        def loss(params):
            features, _ = module.apply(
                {**variables, "params": params},
                images,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )
            assert features.dtype == jnp.bfloat16
            return jnp.mean(jnp.square(features.astype(jnp.float32)))

        return jax.grad(loss)(variables["params"])

    images = jax.ShapeDtypeStruct((4, 64, 64, 3), jnp.float32)
    gradients = jax.eval_shape(gradient, variables, images, jax.random.key(0))
    assert gradients == variables["params"]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_narrow_takes_a_training_step(dtype):
    images = jnp.asarray(np.random.default_rng(0).uniform(size=(4, 32, 32, 3)), jnp.float32)
    module = create("narrow", stride=16, widths=(8, 8, 8), blocks=(1, 0), dtype=dtype)
    variables = jax.jit(partial(module.init, train=True))(jax.random.key(0), images)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}

    @jax.jit
    def gradient(params, images):
        def loss(params):
            features, updated = module.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
            )
            return jnp.mean(jnp.square(features)), (features, updated["batch_stats"])

        return jax.grad(loss, has_aux=True)(params)

    gradients, (features, stats) = gradient(variables["params"], images)
    assert features.shape == (4, 2, 2, 8) and features.dtype == dtype
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradients))
    stem = gradients["stem"]["conv"]["kernel"]
    assert float(jnp.max(jnp.abs(stem))) > 0
    before, after = variables["batch_stats"]["stem"], stats["stem"]
    assert not np.allclose(before["norm"]["mean"], after["norm"]["mean"])

    # The second ghost group does not touch the first one's features.
    _, (changed, _) = gradient(variables["params"], images.at[2:].set(0.3))
    np.testing.assert_array_equal(features[:2], changed[:2])
    assert not np.array_equal(features[2:], changed[2:])


def test_stochastic_depth_keeps_the_mean_and_only_acts_in_training():
    x = jnp.ones((4000, 1, 1, 2), jnp.float32)
    dropped = inverted.drop_examples(x, 0.25, jax.random.key(0))
    np.testing.assert_allclose(jnp.unique(dropped), [0, 1 / 0.75], rtol=1e-6)
    np.testing.assert_allclose(jnp.mean(dropped), 1, atol=0.05)
    np.testing.assert_array_equal(dropped[..., 0], dropped[..., 1])

    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4, 4, 3)), jnp.float32)
    block = inverted.InvertedBottleneck(3, 6, ghost_size=8, squeezed=2, drop_rate=0.5)
    variables = jax.jit(partial(block.init, train=True))(jax.random.key(0), x)

    @jax.jit
    def skipped(variables, key):
        """Which examples pass the block unchanged in training, and at inference."""
        trained, _ = block.apply(
            variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": key}
        )
        inferred = block.apply(variables, x, train=False)
        return [jnp.all(result == x, axis=(1, 2, 3)) for result in (trained, inferred)]

    in_training, at_inference = skipped(variables, jax.random.key(1))
    assert 0 < in_training.sum() < 8
    assert at_inference.sum() == 0


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("efficientnet_v2_s", {}, "did you mean 'efficientnetv2_s'"),
        ("vit", {}, "it is one of: narrow, resnet18"),
        ("resnet18", {"stride": 16}, "no stride 16: choose 32"),
        ("narrow", {"stride": 8}, "no stride 8: choose 16"),
        ("narrow", {"stride": 16, "centred": False}, "always centred"),
    ],
)
def test_what_does_not_exist_is_an_error_with_its_fix(name, options, message):
    with pytest.raises(ValueError, match=message):
        create(name, **options)


def test_narrow_names_the_sides_it_takes():
    with pytest.raises(ValueError, match="do not fold"):
        shapes(create("narrow", stride=16), side=88)


def test_a_block_on_eight_devices_moves_no_activations():
    if jax.device_count() < 8:
        pytest.skip("needs the 8 virtual devices of conftest.py")
    x = jax.ShapeDtypeStruct((16, 8, 8, 4), jnp.float32)
    block = inverted.InvertedBottleneck(4, 8, ghost_size=2, squeezed=2)
    variables = jax.eval_shape(partial(block.init, train=True), jax.random.key(0), x)

    def gradient(variables, x):
        def loss(params):
            result, stats = block.apply(
                {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
            )
            return jnp.mean(jnp.square(result)), stats

        return jax.grad(loss, has_aux=True)(variables["params"])

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    everywhere = NamedSharding(mesh, PartitionSpec())
    over_batch = NamedSharding(mesh, PartitionSpec("data"))
    sharded = jax.jit(gradient, in_shardings=(everywhere, over_batch), out_shardings=everywhere)
    text = sharded.lower(variables, x).compile().as_text()
    assert "all-reduce" in text
    for moving in ("all-gather", "all-to-all", "collective-permute"):
        assert moving not in text
