"""The training step: in parts it is the same step, and averages follow the weights."""

import jax
import numpy as np
import pytest

from acae_jax import config as configs
from acae_jax.estimation import building, initial
from acae_jax.images import colour
from acae_jax.training import parallel, state

GROUP = 4


def settings(*changes):
    return configs.load(
        "configs/estimation/embedded.py:runlocal", (f"data.ghost_size={GROUP}", *changes)
    )


def random_stages(rng):
    steps = colour.draw(rng, brightness=0.1, contrast=0.5, saturation=0.5, hue=1.0)
    return colour.stages(steps).astype(np.float32)


def random_batch(config, union):
    """A batch of the config's shape, half of it with 3D and half with 2D labels."""
    rng = np.random.default_rng(0)
    shapes = building.abstract_batch(config.data, union)
    b, side = shapes["image"].shape[:2]
    is_3d = np.arange(b) % 2 == 0
    joints_mm = rng.normal(size=shapes["joints_mm"].shape, scale=300)
    joints_mm += np.array([0, 0, 3500])
    return {
        "image": rng.integers(0, 256, shapes["image"].shape, np.uint8),
        "intrinsics": np.tile(
            np.array([[2 * side, 0, side / 2], [0, 2 * side, side / 2], [0, 0, 1]], np.float32),
            (b, 1, 1),
        ),
        "joints_mm": joints_mm.astype(np.float32),
        # Examples of unequal weight: a mean over parts of the parts' means would differ.
        "valid": is_3d[:, None]
        & (rng.uniform(size=shapes["valid"].shape) < is_3d.cumsum()[:, None] / b),
        "labels_px": rng.uniform(0, side, shapes["labels_px"].shape).astype(np.float32),
        "labels_valid": ~is_3d[:, None] & np.ones(shapes["labels_valid"].shape, bool),
        "colour": np.stack([random_stages(rng) for _ in range(b)]),
        "erased": np.tile(np.array([[4, 8, 40, 60]], np.int32), (b, 1)),
        "dataset": rng.integers(0, len(config.data.quotas), b).astype(np.int32),
    }


def one_step(parts, devices):
    """First and next state, metrics and the compiled program of one step, computed in parts."""
    config = settings(f"data.parts={parts}", "average_decay=0.5", "data.device_colour=True")
    computation = initial.computation(config)
    mesh = parallel.mesh(devices)
    first = parallel.replicate(computation.init(jax.random.key(0)), mesh)
    batch = parallel.place_batch(random_batch(config, computation.union), mesh, GROUP, parts)
    step = (
        jax.jit(lambda now, batch: computation.update(0, now, batch)).lower(first, batch).compile()
    )
    return *jax.device_get((first, *step(first, batch))), step.as_text()


@pytest.fixture(scope="module")
def whole():
    return one_step(1, 1)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max() + 1e-7)


@pytest.mark.parametrize(("parts", "devices"), [(4, 1), (2, 8)])
def test_a_step_in_parts_is_the_same_step(whole, parts, devices):
    _, expected, metrics, _ = whole
    _, cut, others, program = one_step(parts, devices)
    for name, value in metrics.items():
        np.testing.assert_allclose(others[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    jax.tree.map(close, cut.collections, expected.collections)
    jax.tree.map(close, cut.opt_state, expected.opt_state)  # holds the gradients
    # Examples are put into parts without moving any to another device.
    assert ("all-reduce" in program) == (devices > 1)
    assert "all-gather" not in program and "all-to-all" not in program


def test_the_average_follows_the_weights_and_is_what_counts(whole):
    first, then, _, _ = whole
    start = {"params": first.params, **first.collections}
    newest = {"params": then.params, **then.collections}
    jax.tree.map(np.testing.assert_array_equal, state.evaluated(first), start)
    expected = jax.tree.map(lambda old, new: old + 0.9 * (new - old), start, newest)
    jax.tree.map(close, state.evaluated(then), expected)
    assert not initial.computation(settings()).init(jax.random.key(0)).average


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("model.dtype=float31", r"model.dtype is 'float31'; .* float32, bfloat16"),
        ("model.depth_bins=0", r"model.depth_bins is 0; it must be at least 1"),
        ("average_decay=1.0", r"average_decay is 1.0; it must be from 0 \(none\) to below 1"),
    ],
)
def test_values_that_make_no_sense_are_one_line(wrong, message):
    with pytest.raises(ValueError, match=message):
        initial.computation(settings(wrong))
