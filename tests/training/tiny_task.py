"""A task that trains in no time; also imported by runs in other processes."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from acae_jax.training import loop, state
from acae_jax.training.state import TrainState

OPTIMIZER = optax.adam(1e-2)
SEED = 7


def init(key):
    first, second = jax.random.split(key)
    params = {
        "backbone": {"kernel": jax.random.normal(first, (5, 16))},
        "head": {"kernel": jax.random.normal(second, (16, 3)), "bias": jnp.zeros(3)},
    }
    statistics = {"batch_stats": {"mean": jnp.zeros(5, jnp.bfloat16)}}
    return TrainState(jnp.zeros((), jnp.int32), params, statistics, OPTIMIZER.init(params))


def predict(params, x):
    hidden = jnp.tanh(x @ params["backbone"]["kernel"])
    return hidden @ params["head"]["kernel"] + params["head"]["bias"][None]


@partial(jax.jit, donate_argnums=0)
def update(now, batch):
    noise = jax.random.normal(state.step_key(SEED, now.step), batch["x"].shape)

    def cost(params):
        return jnp.mean((predict(params, batch["x"] + 0.01 * noise) - batch["y"]) ** 2)

    loss, gradient = jax.value_and_grad(cost)(now.params)
    updates, opt_state = OPTIMIZER.update(gradient, now.opt_state)
    mean = batch["x"].mean(axis=0).astype(jnp.bfloat16)
    params = optax.apply_updates(now.params, updates)
    statistics = {"batch_stats": {"mean": mean}}
    return TrainState(now.step + 1, params, statistics, opt_state), {"loss": loss}


def batches(step, seconds=0.0):
    while True:
        x = np.random.default_rng((SEED, step)).normal(size=(32, 5)).astype(np.float32)
        time.sleep(seconds)
        yield {"x": x, "y": np.sin(x[:, :3])}
        step += 1


def make(seconds=0.0, **changes):
    return loop.Task(
        init=init,
        update=lambda step, now, batch: update(now, batch),
        batches=partial(batches, seconds=seconds),
        evaluate=lambda now: loop.Evaluated(
            {"test/bias": float(now.params["head"]["bias"].sum())}, higher_is_better=["test/bias"]
        ),
        group_size=4,
    )._replace(**changes)


def task(config: ConfigDict, workdir) -> loop.Task:
    return make(config.seconds)
