"""One of two processes of a tiny training run.

python tiny_process.py WORKDIR STEPS PORT PROCESS [FAILURES]

So many times the second process fails to read checkpoint 20.
"""

import sys

import jax
import tiny_task

from acae_jax.training import checkpoints, loop


def main(workdir, steps, port, process, failures=0):
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, process)
    if process == 1:
        fail_to_read(failures)

    def half(start):
        for batch in tiny_task.batches(start):
            yield {name: value[16 * process : 16 * (process + 1)] for name, value in batch.items()}

    task = tiny_task.make(batches=half, evaluate=None)
    loop.fit(task, workdir, steps=steps, seed=tiny_task.SEED, save_every=10)


def fail_to_read(times):
    """Let so many readings of checkpoint 20 fail in this process."""
    read = checkpoints.Checkpoints._read
    left = [times]

    def failing(self, step, *arguments):
        if step == 20 and left[0] > 0:
            left[0] -= 1
            raise OSError("the network is gone")
        return read(self, step, *arguments)

    checkpoints.Checkpoints._read = failing


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
