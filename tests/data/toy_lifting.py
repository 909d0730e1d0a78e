"""A toy system of lifting: short windows of 2D joints to the 3D joints of their middle frame.

It stands for systems of tracks that the package has not, and shows what the shared machinery asks
of them: records of tracks, windows, quotas, feed, loop, comparison, export.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.data import feed, mixture, sources, track_record, windows
from acae_jax.data.track_record import TrackRecord
from acae_jax.datasets import writer
from acae_jax.packaging import card, forms
from acae_jax.packaging.signature import Signature, Tensor
from acae_jax.training import checkpoints, loop
from acae_jax.training.state import TrainState

BEFORE, AFTER, FOCAL_PX, FRAMES = 3, 2, 500.0, 40
WIDTH = BEFORE + 1 + AFTER
NAMES = ("pelvis", "head", "hand")
REST_MM = np.array([[0, 0, 0], [0, -600, 0], [300, -300, 0]], np.float32)
SIGNATURE = Signature(
    inputs=(Tensor("joints_px", ("n", WIDTH, len(NAMES), 2), "float32"),),
    outputs=(Tensor("joints_mm", ("n", len(NAMES), 3), "float32", tolerance=1e-2),),
)


def track(name, number):
    """A person who turns, seen by one camera, with detector-like noise and misses."""
    rng = np.random.default_rng((len(name), number))
    angle = rng.uniform(0, 6) + rng.uniform(0.05, 0.2) * np.arange(FRAMES)
    turned = REST_MM[None] * np.stack([np.cos(angle), np.ones(FRAMES), 0 * angle], -1)[:, None]
    turned[..., 2] = REST_MM[None, :, 0] * np.sin(angle)[:, None]
    joints_mm = (turned + np.array([rng.uniform(-300, 300), 0, 4000])).astype(np.float32)
    joints_px = FOCAL_PX * joints_mm[..., :2] / joints_mm[..., 2:] + rng.normal(
        0, 0.5, (FRAMES, len(NAMES), 2)
    )
    joints_px[rng.random((FRAMES, len(NAMES))) < 0.02] = np.nan
    return TrackRecord(
        joints_px=joints_px.astype(np.float32),
        confidence=np.zeros((0, 0), np.float32),
        joints_mm=joints_mm,
        times_us=40_000 * np.arange(FRAMES),
        intrinsics=np.diag([FOCAL_PX, FOCAL_PX, 1]).astype(np.float32),
        distortion=np.zeros(0, np.float32),
        rotation=np.eye(3, dtype=np.float32),
        position_mm=np.zeros(3, np.float32),
        image_px=np.array([640, 480], np.float32),
        frames_per_second=25.0,
        layout="toy",
        key=f"{name}/{number}",
        format="toy",
    )


def write(folder, name, split, count):
    writer.write(
        folder,
        name,
        "1.0.0",
        {split: lambda: [track(name, number) for number in range(count)]},
        description="Turning people.",
        joint_names={"toy": NAMES},
        schema=track_record.SCHEMA,
    )


def get_config(arg=""):
    given = configs.parse_arg(arg, data="", rate=0.01)
    return ConfigDict(
        {
            "task": f"{__name__}.task",
            "export": f"{__name__}.export",
            "steps": 120,
            "seed": 3,
            "loop": {"save_every": 40, "evaluate_every": 40, "log_every": 40},
            "data": {"folder": given.data, "quotas": (("walks", 12), ("runs", 4)), "workers": 0},
            "rate": given.rate,
        }
    )


def example(window, dataset, seed_step_slot):
    """Joints in the image and about the pelvis, in units of about one; misses are zeros."""
    rng = np.random.default_rng(seed_step_slot)
    flip = np.array([1 - 2 * (rng.random() < 0.5), 1, 1], np.float32)
    middle = window.joints_mm[BEFORE]
    return {
        "joints_px": window.joints_px * flip[:2],
        "joints_mm": (middle - middle[:1]) * flip,
        "dataset": np.int32(dataset),
    }


def lift(params, joints_px):
    """Windows (n, WIDTH, J, 2) in px, NaN where missed, to joints (n, J, 3) in mm."""
    is_there = jnp.isfinite(joints_px)
    values = jnp.where(is_there, joints_px, 0.0) / 100.0
    inputs = jnp.concatenate([values, is_there.astype(jnp.float32)], axis=-1)
    hidden = jnp.tanh(inputs.reshape(-1, len(params["first"])) @ params["first"])
    return 100.0 * (hidden @ params["second"]).reshape(-1, len(NAMES), 3)


def windows_of_test(folder):
    tracks = list(sources.open("test", folder, "test", track_record.SCHEMA))
    return windows.Windows(tracks, BEFORE, AFTER, stride=5)


def task(config: ConfigDict, workdir) -> loop.Task:
    data, optimizer = config.data, optax.adam(config.rate)

    def init(key):
        first, second = jax.random.split(key)
        size = WIDTH * len(NAMES) * 4
        params = {
            "first": jax.random.normal(first, (size, 64)) / size**0.5,
            "second": jax.random.normal(second, (64, 3 * len(NAMES))) / 8,
        }
        return TrainState(jnp.zeros((), jnp.int32), params, {}, optimizer.init(params))

    @partial(jax.jit, donate_argnums=0)
    def update(now, batch):
        def loss(params):
            error = lift(params, batch["joints_px"]) - batch["joints_mm"]
            return jnp.mean(jnp.linalg.norm(error + 1e-3, axis=-1))

        value, gradient = jax.value_and_grad(loss)(now.params)
        changes, opt_state = optimizer.update(gradient, now.opt_state)
        params = optax.apply_updates(now.params, changes)
        return TrainState(now.step + 1, params, {}, opt_state), {"loss": value}

    def batches(first_step):
        opened = [
            windows.Windows(
                list(sources.open(name, data.folder, "train", track_record.SCHEMA)), BEFORE, AFTER
            )
            for name, _ in data.quotas
        ]
        plan = mixture.create(data.quotas, [*map(len, opened)], seed=config.seed, ghost_size=1)
        return feed.batches(plan, opened, example, first_step, workers=data.workers)

    def evaluate(now):
        made = [example(w, 0, (0, 0, i)) for i, w in enumerate(windows_of_test(data.folder))]
        px, true_mm = (np.stack([m[name] for m in made]) for name in ("joints_px", "joints_mm"))
        error = np.linalg.norm(np.asarray(lift(now.params, px)) - true_mm, axis=-1)
        return loop.Evaluated({"test/mpjpe_mm": float(error.mean())}, higher_is_better=[])

    return loop.Task(
        init=init,
        update=lambda step, now, batch: update(now, batch),
        batches=batches,
        evaluate=evaluate,
        metadata={"joint_names": list(NAMES)},
    )


def export(run, form, folder, options):
    """Write the network of a run."""
    weights = checkpoints.load_params(run)["params"]

    def lifted(weights, joints_px):
        return (lift(weights, joints_px),)

    text = card.text(run.name, "Joints in 3D.", card.usage(form, SIGNATURE), SIGNATURE, {})
    px = np.random.default_rng(0).normal(size=(4, WIDTH, len(NAMES), 2)).astype(np.float32)
    model = forms.Model(SIGNATURE, lifted, weights, {"name": run.name}, {}, text)
    forms.write(form, folder, forms.with_reference(model, px))
