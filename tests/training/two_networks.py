"""A system of two networks: a generator of points, and a discriminator that tells them from true
ones. Each has an optimiser of its own, and a pool keeps earlier generated points.

It stands for systems that the package has not, and shows what the shared machinery asks of them.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.packaging import card, forms
from acae_jax.packaging.signature import Signature, Tensor
from acae_jax.training import checkpoints, loop, state
from acae_jax.training.state import TrainState

BATCH, POOL = 32, 64
TRUE_MEAN = np.array([2.0, -1.0], np.float32)
SIGNATURE = Signature(
    inputs=(Tensor("noise", ("n", 3), "float32"),),
    outputs=(Tensor("points", ("n", 2), "float32", tolerance=1e-4),),
)


def get_config(arg=""):
    given = configs.parse_arg(arg, rate=0.02)
    return ConfigDict(
        {
            "task": f"{__name__}.task",
            "export": f"{__name__}.export",
            "steps": 60,
            "seed": 3,
            "loop": {"save_every": 20, "evaluate_every": 20, "log_every": 20},
            "optimizer": {"generator_rate": given.rate, "discriminator_rate": 0.01},
        }
    )


def dense(key, inputs, outputs):
    return {"kernel": 0.1 * jax.random.normal(key, (inputs, outputs)), "bias": jnp.zeros(outputs)}


def apply(layer, x):
    return x @ layer["kernel"] + layer["bias"][None]


def discriminate(layers, points):
    return apply(layers["second"], jnp.tanh(apply(layers["first"], points)))[:, 0]


def task(config: ConfigDict, workdir) -> loop.Task:
    optimizers = {
        "generator": optax.adam(config.optimizer.generator_rate),
        "discriminator": optax.sgd(config.optimizer.discriminator_rate, momentum=0.9),
    }

    def init(key):
        keys = jax.random.split(key, 3)
        params = {
            "generator": dense(keys[0], 3, 2),
            "discriminator": {"first": dense(keys[1], 2, 8), "second": dense(keys[2], 8, 1)},
        }
        opt_state = {name: optimizers[name].init(params[name]) for name in params}
        pool = {"points": jnp.zeros((POOL, 2)), "count": jnp.zeros((), jnp.int32)}
        return TrainState(jnp.zeros((), jnp.int32), params, {}, opt_state, extra=pool)

    update = make_update(optimizers, config.seed)
    return loop.Task(
        init=init,
        update=lambda step, now, batch: update(now, batch),
        batches=partial(batches, config.seed),
        evaluate=evaluate,
    )


def make_update(optimizers, seed):
    def losses(params, batch, pool):
        """Both networks' losses at the same weights, each for its own network only."""
        fixed = jax.lax.stop_gradient(params)
        fakes = apply(params["generator"], batch["noise"])
        fooled = discriminate(fixed["discriminator"], fakes)
        shown = jnp.concatenate([batch["points"], jax.lax.stop_gradient(fakes), pool["points"]])
        is_true = jnp.arange(len(shown)) < BATCH
        # Of the pool only what has been filled counts.
        counts = jnp.arange(len(shown)) < 2 * BATCH + pool["count"]
        judged = optax.sigmoid_binary_cross_entropy(
            discriminate(params["discriminator"], shown), is_true.astype(jnp.float32)
        )
        generator = optax.sigmoid_binary_cross_entropy(fooled, jnp.ones(BATCH)).mean()
        discriminator = jnp.sum(judged * counts) / jnp.sum(counts)
        metrics = {"loss": generator, "discriminator": discriminator}
        return generator + discriminator, (metrics, fakes)

    @partial(jax.jit, donate_argnums=0)
    def update(now, batch):
        gradients, (metrics, fakes) = jax.grad(losses, has_aux=True)(now.params, batch, now.extra)
        params, opt_state = {}, {}
        for name, optimizer in optimizers.items():
            changes, opt_state[name] = optimizer.update(gradients[name], now.opt_state[name])
            params[name] = optax.apply_updates(now.params[name], changes)
        # Half of the new points go to random places of the pool, until it is full to the next ones.
        count, half = now.extra["count"], BATCH // 2
        anywhere = jax.random.choice(state.step_key(seed, now.step), POOL, (half,), replace=False)
        places = jnp.where(count < POOL, (count + jnp.arange(half)) % POOL, anywhere)
        pool = {
            "points": now.extra["points"].at[places].set(fakes[:half]),
            "count": jnp.minimum(count + half, POOL),
        }
        return TrainState(now.step + 1, params, {}, opt_state, extra=pool), metrics

    return update


def batches(seed, step):
    while True:
        rng = np.random.default_rng((seed, step))
        points = (TRUE_MEAN + 0.5 * rng.normal(size=(BATCH, 2))).astype(np.float32)
        yield {"points": points, "noise": rng.normal(size=(BATCH, 3)).astype(np.float32)}
        step += 1


def evaluate(now):
    noise = np.random.default_rng(0).normal(size=(256, 3)).astype(np.float32)
    points = np.asarray(apply(jax.device_get(now.params["generator"]), noise))
    apart = np.linalg.norm(points - TRUE_MEAN, axis=-1)
    scores = {"test/distance": float(np.linalg.norm(points.mean(axis=0) - TRUE_MEAN))}
    scores["test/near"] = float((apart < 1).mean())
    return loop.Evaluated(scores, higher_is_better=["test/near"])


def export(run, form, folder, options):
    """Write the generator of a run."""
    weights = checkpoints.load_params(run)["params"]["generator"]

    def generate(weights, noise):
        return (apply(weights, noise),)

    facts = {"name": run.name}
    text = card.text(run.name, "Points.", card.usage(form, SIGNATURE), SIGNATURE, {})
    noise = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    made = forms.Model(SIGNATURE, generate, weights, facts, {}, text)
    forms.write(form, folder, forms.with_reference(made, noise))
