"""Checkpoints survive damage and full disks, and give their weights to later runs."""

import errno
import gc
import logging
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tiny_task

from acae_jax.training import checkpoints, loop
from acae_jax.training.state import TrainState

HERE = Path(__file__).parent
EVERY = {"seed": 7, "save_every": 10, "log_every": 10}


@pytest.fixture
def run(tmp_path):
    return tmp_path, loop.fit(tiny_task.make(), tmp_path, steps=20, **EVERY)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose(path):
    path.unlink()


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# Where one array cannot be read, orbax leaves the coroutines that read the others unfinished; they
# complain when they are collected, which the test does itself so that no other test hears it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", [truncate, lose, flip_a_bit])
def test_damaged_newest_checkpoint_is_set_aside(run, damage, caplog):
    workdir, expected = run
    for path in (workdir / "checkpoints" / "20" / "state").rglob("d/*"):
        damage(path)
    with caplog.at_level(logging.WARNING):
        state = loop.fit(tiny_task.make(), workdir, steps=20, **EVERY)
    gc.collect()
    assert "checkpoint 20 is damaged" in caplog.text
    assert "continues from step 10" in caplog.text
    assert (workdir / "checkpoints_damaged" / "20").is_dir()
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), jax.device_get(expected))
    assert (workdir / "checkpoints" / "20").is_dir()


def two_processes(workdir, steps, failures=0):
    """Continue a run by two processes; what each of them said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = [sys.executable, HERE / "tiny_process.py", workdir, str(steps), str(port)]
    one_device = os.environ | {"XLA_FLAGS": ""}
    both = [
        subprocess.Popen(
            [*process, str(index), str(failures)], env=one_device, stderr=subprocess.PIPE, text=True
        )
        for index in range(2)
    ]
    said = [each.communicate(timeout=120)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    return said


def test_two_processes_set_a_damaged_checkpoint_aside_together(run):
    workdir, _ = run
    for path in (workdir / "checkpoints" / "20" / "state").rglob("d/*"):
        truncate(path)
    said = two_processes(workdir, 30)
    assert all("checkpoint 20 is damaged" in text for text in said)
    assert (workdir / "checkpoints" / "30").is_dir()


def test_processes_agree_on_the_checkpoint_that_they_continue_from(run):
    """One cannot read the newest one: not for the moment, then not at all."""
    workdir, _ = run
    said = two_processes(workdir, 20, failures=1)
    assert not any("damaged" in text for text in said)
    assert not (workdir / "checkpoints_damaged").exists()
    said = two_processes(workdir, 30, failures=2)
    assert "another process of this run cannot read it" in said[0]
    assert "the network is gone" in said[1]
    assert all("continues from step 10" in text for text in said)
    assert (workdir / "checkpoints" / "30").is_dir()


def test_an_error_that_passes_sets_nothing_aside(run, monkeypatch, caplog):
    workdir, expected = run
    errors = [OSError("the network is gone")]
    read = checkpoints.Checkpoints._read

    def sometimes(self, *arguments):
        if errors:
            raise errors.pop()
        return read(self, *arguments)

    monkeypatch.setattr(checkpoints.Checkpoints, "_read", sometimes)
    state = loop.fit(tiny_task.make(), workdir, steps=20, **EVERY)
    assert checkpoints.checksum(state) == checkpoints.checksum(expected)
    assert "damaged" not in caplog.text


def test_flipped_bit_inside_a_large_array_is_found(tmp_path, caplog):
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    kernel = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
    first = TrainState(np.int32(1), {"kernel": kernel}, {}, ())
    with checkpoints.Checkpoints(tmp_path, {"seed": 0}) as saving:
        saving.save(jax.device_put(first, here))
        saving.save(jax.device_put(first._replace(step=np.int32(2)), here))
    files = [path for path in (tmp_path / "checkpoints" / "2").rglob("*") if path.is_file()]
    flip_a_bit(max(files, key=lambda path: path.stat().st_size))
    with checkpoints.Checkpoints(tmp_path, {"seed": 0}) as damaged:
        restored = damaged.restore(first, here)
    assert "checkpoint 2 is damaged (its numbers do not match their checksum)" in caplog.text
    jax.tree.map(np.testing.assert_array_equal, restored, first)


def test_a_run_begins_with_the_weights_of_another_one_and_resumes(run, tmp_path):
    def init(key):
        fresh = tiny_task.init(key)
        return fresh._replace(params=checkpoints.load_params(run[0])["params"])

    later = tmp_path / "later"
    for steps in (10, 20):
        state = loop.fit(tiny_task.make(init=init), later, steps=steps, **EVERY)
    whole = loop.fit(tiny_task.make(init=init), tmp_path / "whole", steps=20, **EVERY)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), jax.device_get(whole))


def test_state_of_another_shape_is_an_error_and_moves_nothing(run):
    workdir, _ = run

    def wider(key):
        state = tiny_task.init(key)
        return state._replace(params=jax.tree.map(lambda x: x[None], state.params))

    with pytest.raises(ValueError, match=r"use another --workdir\. .* is \(\(5, 16\)"):
        loop.fit(tiny_task.make(init=wider), workdir, steps=30, **EVERY)
    assert {path.name for path in (workdir / "checkpoints").iterdir()} >= {"10", "20"}


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("UNKNOWN: writing 'd/3f': [OS error 28: ENOSPC No space left on device]"),
    ],
)
def test_full_disk_is_one_line_and_loses_nothing(run, monkeypatch, error):
    workdir, _ = run

    def full(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("orbax.checkpoint.CheckpointManager.save", full)
        with pytest.raises(OSError, match=r"is full.* step 20 is safe: free some space") as caught:
            loop.fit(tiny_task.make(), workdir, steps=40, **EVERY)
        assert "\n" not in str(caught.value)
    assert int(loop.fit(tiny_task.make(), workdir, steps=40, **EVERY).step) == 40


def test_load_params_gives_the_saved_bits(run):
    workdir, state = run
    loaded = checkpoints.load_params(workdir)
    expected = {"params": state.params, **state.collections}
    assert jax.tree.structure(loaded) == jax.tree.structure(expected)
    for left, right in zip(jax.tree.leaves(loaded), jax.tree.leaves(expected), strict=True):
        assert isinstance(left, np.ndarray)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, np.asarray(right))
    earlier = checkpoints.load_params(workdir, step=10)
    assert (earlier["params"]["head"]["bias"] != loaded["params"]["head"]["bias"]).all()


@pytest.fixture
def run_of_version_0_1(tmp_path):
    """A run of 20 steps whose checkpoints lie as version 0.1 wrote them, and its last state."""
    state = loop.fit(tiny_task.make(), tmp_path, steps=20, **EVERY)
    first = tmp_path / "checkpoints"
    shutil.rmtree(first)
    names = ("step", "params", "batch_stats", "opt_state", "average")
    written = NamedTuple("TrainState", [(name, Any) for name in names])(
        state.step, state.params, state.collections["batch_stats"], state.opt_state, ()
    )
    facts = {"seed": 7, "steps": 20, "crc32": checkpoints.checksum(written)}
    with ocp.CheckpointManager(first) as manager:
        manager.save(
            20,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeSave(written), facts=ocp.args.JsonSave(facts)
            ),
        )
    return tmp_path, state


def test_a_run_of_version_0_1_is_loaded_and_continued_to_the_bit(run_of_version_0_1, tmp_path):
    workdir, state = run_of_version_0_1
    loaded = checkpoints.load_params(workdir)
    assert jax.tree.structure(loaded) == jax.tree.structure(
        {"params": state.params, **state.collections}
    )
    np.testing.assert_array_equal(loaded["params"]["head"]["bias"], state.params["head"]["bias"])
    continued = loop.fit(tiny_task.make(), workdir, steps=30, **EVERY)
    whole = loop.fit(tiny_task.make(), tmp_path / "whole", steps=30, **EVERY)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(continued), jax.device_get(whole))
    assert jax.tree.structure(continued) == jax.tree.structure(whole)


def test_load_params_names_what_is_missing(tmp_path, run):
    with pytest.raises(FileNotFoundError, match="no complete checkpoint: train"):
        checkpoints.load_params(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="checkpoint of step 15"):
        checkpoints.load_params(run[0], step=15)


def variables(head_points):
    rng = np.random.default_rng(head_points)
    shapes = {"backbone": {"kernel": (5, 4)}, "head": {"kernel": (4, head_points)}}
    draw = lambda shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    params = jax.tree.map(draw, shapes, is_leaf=lambda x: isinstance(x, tuple))
    return {"params": params, "batch_stats": {"backbone": {"mean": draw((4,))}}}


def test_init_from_without_the_head_keeps_the_fresh_one():
    fresh, loaded = variables(3), variables(2)
    started, kept = checkpoints.init_from(fresh, loaded, ["head"])
    assert kept == ["params/head/kernel"]
    assert started["params"]["head"] is not loaded["params"]["head"]
    np.testing.assert_array_equal(
        started["params"]["head"]["kernel"], fresh["params"]["head"]["kernel"]
    )
    for part in ("params", "batch_stats"):
        jax.tree.map(
            np.testing.assert_array_equal, started[part]["backbone"], loaded[part]["backbone"]
        )


def test_init_from_whole_must_fit():
    fresh = variables(3)
    same, kept = checkpoints.init_from(fresh, variables(3))
    assert kept == []
    assert jax.tree.structure(same) == jax.tree.structure(fresh)
    with pytest.raises(ValueError, match="first 'params/head/kernel'"):
        checkpoints.init_from(fresh, variables(2))


def test_checksum_sees_a_flipped_bit_and_an_exchange():
    tree = {"a": np.arange(5.0), "b": np.zeros((), np.int32)}
    assert checkpoints.checksum(tree) == checkpoints.checksum(jax.tree.map(np.copy, tree))
    tree["a"].view(np.uint8)[3] ^= 1
    flipped = checkpoints.checksum(tree)
    tree["a"].view(np.uint8)[3] ^= 1
    tree["a"] = tree["a"][::-1]
    assert len({checkpoints.checksum(tree), flipped}) == 2
