"""Killed many times at any moment, a run ends in the bits of one that was left alone."""

import hashlib
import multiprocessing
import random
import time

import jax
import numpy as np
import pytest
import tiny_task

from acae_jax.training import logs, loop

KILLS = 20
STEPS = 240
EVERY = {"seed": 7, "save_every": 5, "evaluate_every": 40, "log_every": 1}


def hashed_batches(path, seconds):
    """The task's batches; their hashes go to the file as they are read."""

    def batches(start):
        with path.open("a") as file:
            for step, batch in enumerate(tiny_task.batches(start, seconds), start):
                content = b"".join(batch[name].tobytes() for name in sorted(batch))
                print(step, hashlib.sha256(content).hexdigest(), file=file, flush=True)
                yield batch

    return batches


def train(workdir, seconds):
    """The body of a process that will be killed; the same command each time."""
    batches = hashed_batches(workdir / "batches.txt", seconds)
    loop.fit(tiny_task.make(batches=batches), workdir, steps=STEPS, **EVERY)


def progress(workdir):
    log = workdir / loop.LOG
    return max((row["step"] for row in logs.read(log)), default=0) if log.exists() else 0


def is_saving(workdir):
    return any("tmp" in path.name for path in (workdir / "checkpoints").glob("*"))


def kill_at(process, workdir, goes_on, while_saving):
    """Kill after some more steps, or the first time after them that a checkpoint is unfinished.

    Returns whether one was.
    """
    wanted = progress(workdir) + goes_on
    deadline = time.monotonic() + 300  # on a machine with much else to do
    while progress(workdir) < wanted:
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.005)
    soon = time.monotonic() + 2
    while while_saving and not is_saving(workdir) and time.monotonic() < soon:
        time.sleep(0.0005)
    process.kill()
    process.join()
    return is_saving(workdir)


def hashes(workdir):
    """For each step the hashes of all batches that were ever read for it."""
    found = {}
    for line in (workdir / "batches.txt").read_text().splitlines():
        step, _, content = line.partition(" ")
        if len(content) == 64:  # else the kill cut the line
            found.setdefault(int(step), set()).add(content)
    return found


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_a_run_killed_twenty_times_equals_one_left_alone(tmp_path):
    # A server that has imported everything and touched no device gives processes in no time.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training_kill_test"])
    rng = random.Random(0)
    killed, alone = tmp_path / "killed", tmp_path / "alone"
    killed.mkdir()
    alone.mkdir()
    unfinished = 0
    for kill in range(KILLS):
        process = context.Process(target=train, args=(killed, 0.01))
        process.start()
        unfinished += kill_at(process, killed, rng.randint(1, 12), while_saving=kill % 2 == 1)
    reached = progress(killed)
    assert 0 < reached < STEPS
    train(killed, 0.0)
    train(alone, 0.0)

    states = [
        loop.fit(tiny_task.make(), folder, steps=STEPS, **EVERY) for folder in (killed, alone)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(*map(np.asarray, (a, b))), *states)
    assert hashes(killed) == hashes(alone)
    assert set(range(STEPS)) <= set(hashes(alone))
    assert all(len(found) == 1 for found in hashes(killed).values())
    assert unfinished > 0
    print(f"{KILLS} kills on the way to step {reached}, {unfinished} while saving")
