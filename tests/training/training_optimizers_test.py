"""The recipe's numbers: schedules at their corners, what decays, the kernel-norm limit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from acae_jax.training import checkpoints, optimizers
from acae_jax.training.state import TrainState, all_finite, parameter_count, step_key

BASE = 2.121e-4


def test_schedule_of_stage_1_at_its_corners():
    rate = optimizers.two_phases(400_000)
    expected = {
        0: BASE,
        184_000: BASE * 3**-0.5,
        367_999: BASE / 3,
        368_000: BASE / 30,
        384_000: BASE / 30 * 0.3**0.5,
        400_000: BASE / 30 * 0.3,
    }
    found = {step: float(rate(step)) for step in expected}
    assert found == pytest.approx(expected, rel=1e-5)


def test_schedules_of_fine_tuning():
    head = optimizers.two_phases(40_000, first=0.5)
    backbone = optimizers.two_phases(40_000, first=0.0)
    steps = np.array([0, 10_000, 20_000, 30_000, 40_000])
    np.testing.assert_allclose(
        jax.vmap(head)(steps),
        BASE * np.array([1, 3**-0.5, 1 / 30, 0.3**0.5 / 30, 0.01]),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        jax.vmap(backbone)(steps), BASE / 30 * 0.3 ** (steps / 40_000), rtol=1e-5
    )


def test_warmup_is_linear_and_then_gone():
    plain, warm = optimizers.two_phases(1000), optimizers.two_phases(1000, warmup_steps=10)
    for step, share in ((0, 0.1), (4, 0.5), (9, 1.0), (500, 1.0)):
        assert float(warm(step)) == pytest.approx(share * float(plain(step)))


def test_weight_decay_of_the_published_run():
    assert optimizers.weight_decay(400_000) == pytest.approx(0.0224, abs=5e-5)


def network():
    return {
        "backbone": {
            "conv": {"kernel": jnp.full((3, 3, 2, 4), 0.5), "bias": jnp.ones(4)},
            "norm": {"scale": jnp.ones(4), "bias": jnp.ones(4)},
        },
        "head": {"kernel": jnp.ones((4, 2)), "bias": jnp.ones(2)},
    }


def flat(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def test_only_kernels_decay_and_by_rate_times_decay():
    optimizer = optimizers.initial(steps=100, base_rate=0.01, decay=0.5)
    params = network()
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    for name, change in flat(updates).items():
        expected = -0.01 * 0.5 * flat(params)[name] if name.endswith("kernel") else 0.0
        np.testing.assert_allclose(change, np.broadcast_to(expected, change.shape), rtol=1e-6)


def test_first_step_is_the_rate_in_the_direction_of_the_sign():
    # With zero state Adam's first step is rate · g / (|g| + eps).
    optimizer = optimizers.initial(steps=100, decay=0.0)
    params = network()
    gradient = jax.tree.map(lambda x: jnp.full_like(x, -3.0), params)
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    for change in jax.tree.leaves(updates):
        np.testing.assert_allclose(change, BASE, rtol=1e-5)


def test_fine_tuning_moves_head_and_backbone_at_their_own_rates():
    optimizer = optimizers.fine_tuning(steps=100, decay=0.0)
    params = network()
    gradient = jax.tree.map(jnp.ones_like, params)
    state = optimizer.init(params)
    for step in range(60):
        updates, state = optimizer.update(gradient, state, params)
        if step in (0, 59):
            ratio = float(updates["backbone"]["norm"]["scale"][0] / updates["head"]["bias"][0])
            head = optimizers.two_phases(100, first=0.5)(step)
            backbone = optimizers.two_phases(100, first=0.0)(step)
            assert ratio == pytest.approx(float(backbone / head), rel=1e-4)
    with pytest.raises(ValueError, match="no \\['neck'\\], only"):
        optimizers.fine_tuning(steps=100, head=("neck",)).init(params)


def test_muon_moves_the_backbones_kernels_alike_in_all_directions():
    # Of a square kernel most singular values of the first step come near 1; the iteration of
    # Newton and Schulz leaves those between 0.7 and 1.2 where they are.
    rng = np.random.default_rng(1)
    shapes = {"conv": (3, 3, 8, 16), "depthwise": (3, 3, 1, 16), "large": (1, 1, 300, 257)}
    params = {
        "backbone": {name: {"kernel": jnp.zeros(shape)} for name, shape in shapes.items()},
        "head": {"kernel": jnp.zeros((16, 8)), "bias": jnp.zeros(8)},
    }
    gradient = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), params)
    for stage in (optimizers.initial, optimizers.fine_tuning):
        optimizer = stage(steps=100, base_rate=0.01, muon_rate=0.3, decay=0.0)
        updates, _ = optimizer.update(gradient, optimizer.init(params), params)
        moved = flat(updates)
        rate = 0.3 if stage is optimizers.initial else 0.3 / 30
        matrix = moved.pop("backbone/conv/kernel").reshape(72, 16)
        strengths = np.linalg.svd(matrix, compute_uv=False) / rate
        assert strengths.min() > 0.6
        assert strengths.max() < 1.3
        assert (matrix * flat(gradient)["backbone/conv/kernel"].reshape(72, 16)).sum() < 0
        for name, change in moved.items():  # Adam's first step: the rate, whatever the gradient
            adam = 0.01 if stage is optimizers.initial or "head" in name else 0.01 / 30
            np.testing.assert_allclose(np.abs(change), adam, rtol=1e-3)


def test_kernel_norm_limit_is_keras_max_norm():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 2, 5)) * np.array([0.1, 1, 4, 10, 100])
    change = rng.normal(size=kernel.shape)
    params = {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.full(5, 100.0)}
    updates = {"kernel": jnp.asarray(change, jnp.float32), "bias": jnp.ones(5)}
    limited, _ = optimizers.limit_kernel_norm(20.0).update(updates, optax.EmptyState(), params)
    result = optax.apply_updates(params, limited)

    moved = kernel + change
    norm = np.sqrt((moved**2).sum(axis=(0, 1, 2)))
    assert (norm > 20).any()
    assert (norm < 20).any()
    np.testing.assert_allclose(
        result["kernel"], moved * np.clip(norm, 0, 20) / norm, rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(result["bias"], 101.0)
    untouched = norm < 20
    np.testing.assert_array_equal(
        limited["kernel"][..., untouched], updates["kernel"][..., untouched]
    )
    with pytest.raises(ValueError, match="needs params"):
        optimizers.limit_kernel_norm(20.0).update(updates, optax.EmptyState())


def test_a_kernel_of_zeros_has_no_norm_to_divide_by():
    params = {"kernel": jnp.zeros((2, 3))}
    limited, _ = optimizers.limit_kernel_norm(1.0).update(params, optax.EmptyState(), params)
    assert bool(all_finite(limited))


def test_optimizer_states_are_saved_and_restored(tmp_path):
    params = network()
    optimizer = optimizers.fine_tuning(steps=100)
    gradient = jax.tree.map(jnp.ones_like, params)
    _, opt_state = optimizer.update(gradient, optimizer.init(params), params)
    state = TrainState(jnp.int32(1), params, {}, opt_state)
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    with checkpoints.Checkpoints(tmp_path, {"seed": 0}) as saving:
        saving.save(state, wait=True)
        restored = saving.restore(jax.eval_shape(lambda: state), here)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, restored, state)


def test_state_helpers():
    assert parameter_count(network()) == 72 + 4 + 8 + 8 + 2
    assert bool(all_finite(network()))
    assert bool(all_finite({}))
    assert not bool(all_finite({"count": jnp.int32(1), "x": jnp.array([1.0, jnp.inf])}))
    keys = [jax.random.key_data(step_key(seed, step)) for seed, step in ((0, 1), (0, 2), (1, 1))]
    assert len({tuple(np.asarray(key)) for key in keys}) == 3
