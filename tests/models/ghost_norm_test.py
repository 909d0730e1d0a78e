import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from acae_jax.models import ghost_norm
from acae_jax.models.ghost_norm import GhostNorm


def images(batch=12, channels=5, seed=0):
    rng = np.random.default_rng(seed)
    offsets = rng.normal(size=(batch, 1, 1, channels)) * 3
    return jnp.asarray(rng.normal(size=(batch, 4, 3, channels)) + offsets, jnp.float32)


def variables_for(module, x):
    variables = module.init(jax.random.key(0), x, train=True)
    rng = np.random.default_rng(1)
    draw = lambda leaf: jnp.asarray(rng.uniform(0.5, 2, leaf.shape), jnp.float32)  # noqa: E731
    return jax.tree.map(draw, variables)


def test_each_group_is_normalised_as_a_batch_of_its_own():
    x = images()
    module = GhostNorm(4)
    variables = variables_for(module, x)
    result, _ = module.apply(variables, x, train=True, mutable=["batch_stats"])
    alone = [
        module.apply(variables, part, train=True, mutable=["batch_stats"])[0]
        for part in jnp.split(x, 3)
    ]
    np.testing.assert_allclose(result, jnp.concatenate(alone), atol=1e-5)

    part = np.asarray(x[4:8])
    scale, bias = (np.asarray(variables["params"][name]) for name in ("scale", "bias"))
    expected = (part - part.mean((0, 1, 2))) / np.sqrt(part.var((0, 1, 2)) + 1e-3) * scale + bias
    np.testing.assert_allclose(result[4:8], expected, atol=1e-4)


def test_running_statistics_follow_the_groups_one_after_another():
    x = images()
    module = GhostNorm(4, momentum=0.9)
    variables = variables_for(module, x)
    _, updated = module.apply(variables, x, train=True, mutable=["batch_stats"])
    for part in jnp.split(x, 3):
        _, step = module.apply(variables, part, train=True, mutable=["batch_stats"])
        variables = {**variables, **step}
    for name in ("mean", "var"):
        one_by_one = variables["batch_stats"][name]
        assert one_by_one.shape == (5,)
        np.testing.assert_allclose(updated["batch_stats"][name], one_by_one, rtol=1e-5)


def test_moving_average_decays_by_the_momentum_to_the_number_of_groups():
    result = ghost_norm.moving_average(jnp.ones(1), jnp.zeros((8, 1)), 0.9)
    np.testing.assert_allclose(result, 0.9**8, rtol=1e-6)
    unchanged = ghost_norm.moving_average(jnp.full(1, 3.0), jnp.full((8, 1), 3.0), 0.9)
    np.testing.assert_allclose(unchanged, 3.0, rtol=1e-6)


def test_inference_uses_the_running_statistics_and_any_batch_size():
    x = images(batch=3)
    module = GhostNorm(4)
    variables = variables_for(module, x)
    stats, params = jax.tree.map(np.asarray, (variables["batch_stats"], variables["params"]))
    expected = (np.asarray(x) - stats["mean"]) / np.sqrt(stats["var"] + 1e-3)
    expected = expected * params["scale"] + params["bias"]
    np.testing.assert_allclose(module.apply(variables, x, train=False), expected, atol=1e-5)


@pytest.mark.parametrize("batch", [3, 6])
def test_a_batch_that_groups_do_not_fill_is_an_error(batch):
    module = GhostNorm(4)
    variables = variables_for(module, images(batch=1))  # initialising takes any batch
    with pytest.raises(ValueError, match=f"batch of {batch} cannot .* groups of 4"):
        module.apply(variables, images(batch=batch), train=True, mutable=["batch_stats"])


def test_bfloat16_is_normalised_with_float32_statistics():
    # 256 + noise: in bfloat16 arithmetic the variance of these would be lost entirely.
    x = (256 + 2 * images()).astype(jnp.bfloat16)
    module = GhostNorm(4)
    variables = module.init(jax.random.key(0), x, train=True)
    result, stats = module.apply(variables, x, train=True, mutable=["batch_stats"])
    assert result.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((variables, stats)))
    exact, _ = module.apply(variables, x.astype(jnp.float32), train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(result.astype(jnp.float32), exact, atol=0.02)


def test_eight_devices_equal_one_without_moving_activations():
    if jax.device_count() < 8:
        pytest.skip("needs the 8 virtual devices of conftest.py")
    x = images(batch=32)
    module = GhostNorm(4)
    variables = variables_for(module, x)

    def step(variables, x):
        def loss(params):
            result, stats = module.apply(
                {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
            )
            return jnp.mean(jnp.sin(result)), (result, stats)

        return jax.grad(loss, has_aux=True)(variables["params"])

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    over_batch = NamedSharding(mesh, PartitionSpec("data"))
    everywhere = NamedSharding(mesh, PartitionSpec())
    sharded = jax.jit(
        step,
        in_shardings=(everywhere, over_batch),
        out_shardings=(everywhere, (over_batch, everywhere)),
    )
    compiled = sharded.lower(variables, x).compile()
    text = compiled.as_text()
    assert "all-reduce" in text  # the running statistics and the gradients
    for moving in ("all-gather", "all-to-all", "collective-permute"):
        assert moving not in text
    many = compiled(jax.device_put(variables, everywhere), jax.device_put(x, over_batch))
    one = jax.jit(step)(variables, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), many, one)
