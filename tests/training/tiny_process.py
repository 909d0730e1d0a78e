"""One of two processes of a tiny training run.

python tiny_process.py WORKDIR STEPS PORT PROCESS
"""

import sys

import jax
import tiny_task

from acae_jax.training import loop


def main(workdir, steps, port, process):
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, process)

    def half(start):
        for batch in tiny_task.batches(start):
            yield {name: value[16 * process : 16 * (process + 1)] for name, value in batch.items()}

    task = tiny_task.make(batches=half, evaluate=None)
    loop.fit(task, workdir, steps=steps, seed=tiny_task.SEED, save_every=10)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
