"""One process of a training run, which also writes a hash of every example that it reads.

    python parallel_run.py DATA WORKDIR [PORT PROCESS PROCESSES]

Ends in WORKDIR/metrics.jsonl and WORKDIR/examples_PROCESS.txt.
"""

import hashlib
import sys
from pathlib import Path

import jax

from acae_jax import config as configs
from acae_jax.data import mixture
from acae_jax.estimation import initial
from acae_jax.training import loop


def hashed(batches, slots, path):
    """The same batches; a line "step slot hash" for each example goes to the file."""

    def reading(start):
        with path.open("w") as file:
            for step, batch in enumerate(batches(start), start):
                for place, slot in enumerate(slots):
                    parts = [batch[name][place].tobytes() for name in sorted(batch)]
                    print(step, slot, hashlib.sha256(b"".join(parts)).hexdigest(), file=file)
                file.flush()
                yield batch

    return reading


def main(data, workdir, port=0, process=0, processes=1):
    if processes > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", processes, process)
    overrides = (
        *("data.ghost_size=8", "steps=20", "loop.log_every=1", "loop.evaluate_every=10"),
        # At the config's own rates 20 steps carry a rounding on to 4 in 1,000.
        *("optimizer.base_rate=1e-3", "optimizer.muon_rate=4e-3"),
    )
    config = configs.load(f"configs/estimation/embedded.py:runlocal,data={data}", overrides)
    task = initial.task(config)
    plan = mixture.create(config.data.quotas, [1] * len(config.data.quotas), seed=0, ghost_size=8)
    slots = mixture.slots_of_host(plan, process, processes)
    workdir.mkdir(parents=True, exist_ok=True)
    task = task._replace(batches=hashed(task.batches, slots, workdir / f"examples_{process}.txt"))
    loop.fit(task, workdir, steps=config.steps, seed=config.seed, **config.loop.to_dict())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
