"""How long a bundle takes from python's start to the first poses, with and without a cache.

Run by hand on an otherwise idle machine: `python tests/speed/opening.py`. Opens the packaged model
and an EfficientNetV2-S at 256 px with 555 joints and random weights, each in new processes: `cold`
with an empty cache folder of compiled programs, then `warm` with what the cold one left there.
Prints seconds (medians) of imports, of opening and of the first prediction of one crop, and the
ratio of the sums, cold : warm.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from acae_jax.bundles import bundle, compiling
from acae_jax.estimation.packing import architecture, bundle_contents, program
from acae_jax.skeletons import union as unions

REPEATS = 3
PACKAGED = bundle.EMBEDDED
FIRST = """
import json, sys, time
start = time.perf_counter()
import numpy as np
from acae_jax.bundles import bundle
imported = time.perf_counter()
opened = bundle.load(sys.argv[1])
ready = time.perf_counter()
side = opened.facts.side_px
camera = np.array([[side, 0, side / 2], [0, side, side / 2], [0, 0, 1]], np.float32)
poses, _ = opened.crop_model(np.zeros((1, side, side, 3), np.uint8), camera[None])
np.asarray(poses)
print(json.dumps([imported - start, ready - imported, time.perf_counter() - ready]))
"""


def write_efficientnet(folder):
    """A bundle of the large network, its weights random."""
    union = unions.mixture("huge8")
    settings = architecture.Architecture(
        "efficientnetv2_s", {}, 32, True, len(union.joint_names), 8, 256, 2200.0, "float32"
    )
    network = architecture.network(settings)
    init = partial(network.init, train=False)
    images = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    rng = np.random.default_rng(0)

    def sample(like):
        """Random weights with which activations neither grow nor vanish."""
        if like.ndim == 1:
            return rng.uniform(0.5, 1.0, like.shape).astype(np.float32)
        deviation = np.sqrt(1 / np.prod(like.shape[:-1]))
        return rng.normal(0, deviation, like.shape).astype(np.float32)

    variables = jax.tree.map(sample, jax.eval_shape(init, jax.random.key(0), images))
    skeletons = bundle_contents.selections(union)
    facts = bundle.Facts(
        "efficientnet", 256, union.joint_names, union.edges, skeletons, "smpl_24", (), None, {}
    )
    weights = program.fold(network, variables)
    bundle.write(folder, bundle_contents.contents(facts, settings, weights))


def seconds(folder, cache):
    done = subprocess.run(
        [sys.executable, "-c", FIRST, str(folder)],
        env={**os.environ, compiling.SWITCH: str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main():
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        write_efficientnet(place / "efficientnet")
        for name, folder in (("packaged", PACKAGED), ("S/256, 555", place / "efficientnet")):
            times = {"cold": [], "warm": []}
            for turn in range(REPEATS):
                cache = place / f"{folder.name}{turn}"
                for kind in times:
                    times[kind].append(seconds(folder, cache))
            sums = {}
            for kind, runs in times.items():
                parts = [statistics.median(part) for part in zip(*runs, strict=True)]
                sums[kind] = statistics.median(sum(run) for run in runs)
                columns = "  ".join(
                    f"{what} {spent:6.2f}"
                    for what, spent in zip(("imports", "opening", "first"), parts, strict=True)
                )
                print(f"{name:10} {kind}  {columns}  all {sums[kind]:6.2f} s", flush=True)
            print(f"{name:10} cold : warm {sums['cold'] / sums['warm']:.2f}", flush=True)


if __name__ == "__main__":
    main()
