"""One process of a training run, which also writes a hash of every example that it reads.

    python parallel_run.py DATA WORKDIR SECONDS WORKERS [PORT PROCESS PROCESSES]

SECONDS are waited for each batch. Ends in WORKDIR/metrics.jsonl and WORKDIR/examples_*.txt, one for
each process.
"""

import hashlib
import os
import sys
import time
from pathlib import Path

import jax

from acae_jax import config as configs
from acae_jax.data import mixture
from acae_jax.estimation import initial
from acae_jax.training import loop


def hashed(batches, slots, path, seconds):
    """The same batches, slower; a line "step slot hash" for each example goes to the file."""

    def reading(start):
        with path.open("w") as file:
            for step, batch in enumerate(batches(start), start):
                time.sleep(seconds)
                for place, slot in enumerate(slots):
                    parts = [batch[name][place].tobytes() for name in sorted(batch)]
                    print(step, slot, hashlib.sha256(b"".join(parts)).hexdigest(), file=file)
                file.flush()
                yield batch

    return reading


def main(data, workdir, seconds, workers, port=0, process=0, processes=1):
    if processes > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", processes, process)
    overrides = (
        *(
            "data.ghost_size=8",
            f"data.workers={workers}",
            "steps=20",
            "loop.log_every=1",
            "loop.evaluate_every=10",
        ),
        # At the config's own rates 20 steps carry a rounding on to 4 in 1,000.
        *("optimizer.base_rate=1e-3", "optimizer.muon_rate=4e-3"),
    )
    config = configs.load(f"configs/estimation/embedded.py:runlocal,data={data}", overrides)
    task = initial.task(config, workdir)
    plan = mixture.create(config.data.quotas, [1] * len(config.data.quotas), seed=0, ghost_size=8)
    slots = mixture.slots_of_host(plan, process, processes)
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / f"examples_{os.getpid()}.txt"
    task = task._replace(batches=hashed(task.batches, slots, path, seconds))
    try:
        loop.fit(task, workdir, steps=config.steps, seed=config.seed, **config.loop.to_dict())
    except loop.Interrupted as stop:
        sys.exit(128 + stop.signal)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), *map(int, sys.argv[4:]))
