"""The loop: resuming changes nothing, the host runs ahead, and runs end as they should."""

import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_task

from acae_jax import config as configs
from acae_jax import train
from acae_jax.training import checkpoints, logs, loop

HERE = Path(__file__).parent
EVERY = {"seed": 7, "save_every": 10, "evaluate_every": 15, "log_every": 1}


def assert_same_bits(left, right):
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), left, right
    )


def curve(workdir):
    return [
        {k: v for k, v in row.items() if k not in ("time", "seconds") and "spent" not in k}
        for row in logs.read(workdir / "metrics.jsonl")
    ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    return workdir, loop.fit(tiny_task.make(), workdir, steps=60, **EVERY)


def command(workdir, seconds):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "acae_jax.train", "--workdir", str(workdir)),
            *("--config", f"{HERE / 'tiny_config.py'}:seconds={seconds}"),
        ],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
            "ACAE_JAX_CACHE": str(workdir / "compiled"),
            "JAX_COMPILATION_CACHE_DIR": "",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_rows(workdir, count):
    log = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not log.exists() or len(logs.read(log)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_trains_logs_and_evaluates(uninterrupted):
    workdir, state = uninterrupted
    assert int(state.step) == 60
    rows = curve(workdir)
    losses = {row["step"]: row["loss"] for row in rows if "loss" in row}
    assert list(losses) == list(range(1, 61))
    assert losses[60] < losses[1]
    assert [row["step"] for row in rows if "test/bias" in row] == [15, 30, 45, 60]


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_and_continued_equals_uninterrupted(tmp_path, uninterrupted, stop):
    process = command(tmp_path, seconds=0.03)
    wait_for_rows(tmp_path, 24)
    process.send_signal(stop)
    _, said = process.communicate(timeout=60)
    stored = [
        int(path.name) for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()
    ]
    assert 0 < max(stored) < 60
    if stop == signal.SIGKILL:
        assert process.returncode == -stop
    else:
        assert process.returncode == 128 + stop
        assert f"after step {max(stored)}" in said
        assert "the same command continues" in said
        # The same command uses the program that the first one compiled.
        compiled = {path.name for path in (tmp_path / "compiled").rglob("jit_update*")}
        assert compiled
        again = command(tmp_path, seconds=0)
        again.communicate(timeout=60)
        assert again.returncode == 0
        assert compiled == {path.name for path in (tmp_path / "compiled").rglob("jit_update*")}

    state = loop.fit(tiny_task.make(), tmp_path, steps=60, **EVERY)
    workdir, expected = uninterrupted
    assert_same_bits(state, expected)
    assert curve(tmp_path) == curve(workdir)


def test_ctrl_c_saves_between_two_checkpoints(tmp_path, uninterrupted):
    def interrupted(start):
        for step, batch in enumerate(tiny_task.batches(start), start):
            if step == 33:
                signal.raise_signal(signal.SIGINT)
            yield batch

    with pytest.raises(loop.Interrupted, match="by SIGINT after step 34") as stop:
        loop.fit(tiny_task.make(batches=interrupted), tmp_path, steps=60, **EVERY)
    assert stop.value.signal == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert_same_bits(loop.fit(tiny_task.make(), tmp_path, steps=60, **EVERY), uninterrupted[1])


@pytest.mark.parametrize(("host", "device"), [(0.03, 0.06), (0.06, 0.03)])
def test_host_and_device_work_at_the_same_time(tmp_path, host, device):
    """A step costs the longer of both, by the run's own log."""
    queue = ThreadPoolExecutor(1)  # a device does one thing after another

    class Loss(float):
        def __float__(self):
            self.done.result()
            return 1.0

    def update(step, now, batch):
        loss = Loss(1.0)
        loss.done = queue.submit(time.sleep, device)
        return now._replace(step=now.step + 1), {"loss": loss}

    task = tiny_task.make(host, update=update, evaluate=None)
    loop.fit(task, tmp_path, steps=30, seed=7, save_every=100, log_every=1)
    queue.shutdown()
    seconds = {row["step"]: row["seconds"] for row in logs.read(tmp_path / loop.LOG)}
    spent = (seconds[28] - seconds[8]) / 20
    assert max(host, device) <= spent < 0.85 * (host + device)
    waited = logs.read(tmp_path / loop.LOG)[-1]["spent_data_s"]
    assert waited > 30 * host * 0.95  # made while the device is busy, yet it is the host's time


def test_lost_data_end_the_run_and_nothing_is_lost(tmp_path, uninterrupted):
    def lost(start):
        for step, batch in enumerate(tiny_task.batches(start), start):
            if step == 33:
                raise ValueError("dataset 'a', record 5: the file is gone")
            yield batch

    with pytest.raises(ValueError, match=r"dataset 'a', record 5"):
        loop.fit(tiny_task.make(batches=lost), tmp_path, steps=60, **EVERY)
    assert checkpoints.load_params(tmp_path, 30)
    workdir, expected = uninterrupted
    assert_same_bits(loop.fit(tiny_task.make(), tmp_path, steps=60, **EVERY), expected)
    assert curve(tmp_path) == curve(workdir)


def test_finished_run_is_returned_at_once(uninterrupted):
    workdir, expected = uninterrupted

    def never(*_):
        raise AssertionError("a finished run needs neither data nor updates")

    before = (workdir / "metrics.jsonl").read_text()
    idle = tiny_task.make(batches=never, update=never)
    assert_same_bits(loop.fit(idle, workdir, steps=60, **EVERY), expected)
    assert (workdir / "metrics.jsonl").read_text() == before


def test_another_seed_needs_another_folder(uninterrupted):
    workdir, _ = uninterrupted
    with pytest.raises(ValueError, match="begun with seed 7, not 8"):
        loop.fit(tiny_task.make(), workdir, steps=60, **EVERY | {"seed": 8})


def test_results_keep_the_config_that_made_them(tmp_path):
    def run(arguments, *overrides):
        train.run(configs.load(f"{HERE / 'tiny_config.py'}:{arguments}", overrides), str(tmp_path))

    run("", "steps=10")
    kept = (tmp_path / "config.json").read_text()
    run("seconds=0.5", "steps=10")  # is finished
    with pytest.raises(ValueError, match="begun with seed 7, not 8"):
        run("", "steps=20", "seed=8")
    assert (tmp_path / "config.json").read_text() == kept
    run("", "steps=20")
    assert configs.read(tmp_path).steps == 20


def test_settings_that_make_no_sense_are_one_line(tmp_path):
    for wrong in ({"save_every": 0}, {"log_every": 0}, {"evaluate_every": -1}):
        (name,) = wrong
        with pytest.raises(ValueError, match=rf"loop\.{name} is .*; it must be at least"):
            loop.fit(tiny_task.make(), tmp_path, steps=5, **EVERY | wrong)
    with pytest.raises(ValueError, match=r"^steps is 0; it must be at least 1"):
        loop.fit(tiny_task.make(), tmp_path, steps=0, **EVERY)
    every = EVERY | {"evaluate_every": 0, "best": "test/bias"}
    with pytest.raises(ValueError, match="but nothing is evaluated"):
        loop.fit(tiny_task.make(), tmp_path, steps=5, **every)


def test_sharded_run_equals_one_device(tmp_path, uninterrupted):
    # Sums over 8 parts of a batch are rounded in another order; 60 steps of Adam carry that on.
    _, sharded = uninterrupted
    assert len(sharded.params["head"]["bias"].sharding.device_set) == 8
    single = loop.fit(tiny_task.make(), tmp_path, steps=60, devices=1, **EVERY)
    assert len(single.params["head"]["bias"].sharding.device_set) == 1
    compare = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
    jax.tree.map(compare, jax.device_get(single.params), jax.device_get(sharded.params))


def test_metrics_are_read_one_step_late_and_never_later(tmp_path):
    events = []

    class Loss(float):
        step: int

        def __float__(self):
            events.append(("read", self.step))
            return 1.0

    def update(step, now, batch):
        events.append(("launch", step + 1))
        loss = Loss(1.0)
        loss.step = step + 1
        return now._replace(step=now.step + 1), {"loss": loss}

    loop.fit(tiny_task.make(update=update), tmp_path, steps=5, **EVERY | {"evaluate_every": 0})
    expected = [("launch", 1)]
    for step in range(2, 6):
        expected += [("launch", step), ("read", step - 1)]
    assert events == [*expected, ("read", 5)]


def test_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    def update(step, now, batch):
        after, metrics = tiny_task.update(now, batch)
        return after, metrics if step != 25 else {"loss": metrics["loss"] * math.nan}

    with pytest.raises(FloatingPointError, match=r"loss \(loss nan\) is not finite after step 26"):
        loop.fit(tiny_task.make(update=update), tmp_path, steps=60, **EVERY)
    state = loop.fit(tiny_task.make(), tmp_path, steps=20, **EVERY)
    assert int(state.step) == 20


def test_the_message_names_the_terms_that_are_not_finite(tmp_path):
    def update(step, now, batch):
        after, metrics = tiny_task.update(now, batch)
        wrong = math.inf if step == 3 else 0.0
        parts = {"relative": metrics["loss"], "dataset/a": metrics["loss"] + wrong}
        return after, {"loss": metrics["loss"] + wrong, **parts}

    with pytest.raises(FloatingPointError, match=r"^dataset/a, loss \(loss inf\) is not finite"):
        loop.fit(tiny_task.make(update=update), tmp_path, steps=60, **EVERY)


def test_the_best_state_is_kept_apart_also_over_an_interruption(tmp_path):
    scores = {10: 3.0, 20: 1.0, 30: 2.0, 40: 1.5}
    task = tiny_task.make(
        evaluate=lambda now: loop.Evaluated({"test/error": scores[int(now.step)]})
    )
    every = {"seed": 7, "save_every": 10, "evaluate_every": 10, "best": "test/error"}
    loop.fit(task, tmp_path, steps=30, **every)
    kept = checkpoints.load_params(tmp_path, folder=checkpoints.BEST)
    at_20 = loop.fit(tiny_task.make(), tmp_path / "20", steps=20, **EVERY)
    assert_same_bits(kept["params"], at_20.params)
    loop.fit(task, tmp_path, steps=40, **every)
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["20"]
    with pytest.raises(ValueError, match=r"loop.best is 'eror'; scores are test/error"):
        loop.fit(task, tmp_path / "wrong", steps=10, **every | {"best": "eror"})


def test_the_best_state_has_most_hits_and_is_found_anew_when_the_score_is_another(tmp_path):
    def task(scores):
        return tiny_task.make(evaluate=lambda now: loop.Evaluated(scores[int(now.step)]))

    def best_steps():
        return [path.name for path in (tmp_path / "best").iterdir()]

    every = {"seed": 7, "save_every": 40, "evaluate_every": 10}
    hits = {
        at: {"pck150": hit, "error": 1.0 - hit} for at, hit in [(10, 0.1), (20, 0.5), (30, 0.3)]
    }
    with pytest.raises(KeyError, match="40"):  # stopped before anything else was saved
        loop.fit(task(hits), tmp_path, steps=50, best="pck150", **every)
    assert best_steps() == ["20"]
    # From the beginning again, with other results: the same step is the best, then an earlier one.
    hits[20] = {"pck150": 0.6, "error": 0.9}
    with pytest.raises(KeyError, match="40"):
        loop.fit(task(hits), tmp_path, steps=50, best="pck150", **every)
    assert checkpoints.newest_metadata(tmp_path, "best")["score"] == 0.6
    hits[10] = {"pck150": 0.7, "error": 0.8}
    with pytest.raises(KeyError, match="40"):
        loop.fit(task(hits), tmp_path, steps=50, best="pck150", **every)
    assert best_steps() == ["10"]
    loop.fit(task(hits), tmp_path, steps=30, best="error", **every)
    assert best_steps() == ["30"]


@pytest.mark.parametrize(
    ("name", "higher", "kept"),
    [
        ("test/pck50", None, 20),  # by its name
        ("test/found", ["test/found"], 20),
        ("test/found", None, 30),
        ("test/pck50", [], 30),  # an evaluation that says so is believed
    ],
)
def test_the_best_state_is_best_in_the_scores_own_direction(tmp_path, name, higher, kept):
    scores = {10: 2.0, 20: 3.0, 30: 1.0}
    task = tiny_task.make(
        evaluate=lambda now: loop.Evaluated({name: scores[int(now.step)]}, None, higher)
    )
    loop.fit(task, tmp_path, steps=30, **EVERY | {"evaluate_every": 10}, best=name)
    assert [path.name for path in (tmp_path / "best").iterdir()] == [str(kept)]
    rows = logs.read(tmp_path / loop.LOG)
    assert logs.higher_is_better(rows, name) == (kept == 20)


def test_a_direction_of_a_score_that_is_not_there_is_refused(tmp_path):
    task = tiny_task.make(evaluate=lambda now: loop.Evaluated({"a": 1.0}, None, ["b"]))
    with pytest.raises(ValueError, match="higher_is_better names b; scores are a"):
        loop.fit(task, tmp_path, steps=10, **EVERY | {"evaluate_every": 10})


def test_the_log_says_where_the_time_went(tmp_path):
    def slow_evaluation(now):
        time.sleep(0.2)
        return loop.Evaluated({"test/bias": 0.0}, picture=b"drawn")

    fresh = jax.jit(lambda now, batch: tiny_task.update(now, batch))  # not compiled before
    task = tiny_task.make(
        seconds=0.05,
        update=lambda step, now, batch: fresh(now, batch),
        evaluate=slow_evaluation,
    )
    loop.fit(task, tmp_path, steps=20, **EVERY | {"evaluate_every": 10})
    assert [path.name for path in sorted((tmp_path / "pictures").iterdir())] == ["10.png", "20.png"]
    assert (tmp_path / "pictures" / "20.png").read_bytes() == b"drawn"
    last = [row for row in logs.read(tmp_path / "metrics.jsonl") if "loss" in row][-1]
    assert 20 * 0.05 <= last["spent_data_s"] <= last["spent_s"]
    assert 0.2 <= last["spent_evaluate_s"] < 0.4  # that of step 20 comes after this row
    assert last["spent_compile_s"] > 0
    parts = sum(last[f"spent_{kind}_s"] for kind in ("data", "compile", "save", "evaluate"))
    assert parts <= last["spent_s"]


def test_a_trace_of_some_steps_is_written(tmp_path):
    loop.fit(tiny_task.make(), tmp_path, steps=8, **EVERY | {"profile": (3, 6)})
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
    assert train.traced_steps("3:6") == (3, 6)
    with pytest.raises(ValueError, match="--profile=6:3 must name steps as FIRST:END"):
        train.traced_steps("6:3")


def test_a_trace_ends_with_the_run_and_a_continued_run_writes_the_rest(tmp_path, caplog):
    def traces():
        return list((tmp_path / "profile").rglob("*.xplane.pb"))

    loop.fit(tiny_task.make(), tmp_path, steps=6, **EVERY | {"profile": (3, 6)})
    assert len(traces()) == 1
    time.sleep(1)  # a trace is named after its second
    loop.fit(tiny_task.make(), tmp_path, steps=10, **EVERY | {"profile": (3, 8)})
    assert len(traces()) == 2
    loop.fit(tiny_task.make(), tmp_path, steps=12, **EVERY | {"profile": (3, 8)})
    assert len(traces()) == 2
    assert "nothing will be traced: this run goes from step 10 to 12" in caplog.text


def test_parameters_that_are_not_finite_are_never_saved(tmp_path):
    def update(step, now, batch):
        after, metrics = tiny_task.update(now, batch)
        scale = math.nan if step == 19 else 1.0
        return after._replace(params=jax.tree.map(lambda x: x * scale, after.params)), metrics

    def evaluate(now):
        raise AssertionError("such a state is not evaluated")

    every = EVERY | {"evaluate_every": 20}
    with pytest.raises(FloatingPointError, match="not finite after step 20"):
        loop.fit(tiny_task.make(update=update, evaluate=evaluate), tmp_path, steps=60, **every)
    assert (tmp_path / "checkpoints" / "10").is_dir()
    assert not (tmp_path / "checkpoints" / "20").exists()


def test_batches_must_be_endless_and_are_closed(tmp_path):
    closed = []

    def three(start):
        try:
            source = tiny_task.batches(start)
            yield from (next(source) for _ in range(3))
        finally:
            closed.append(True)

    with pytest.raises(ValueError, match="ended before step 3"):
        loop.fit(tiny_task.make(batches=three), tmp_path, steps=5, **EVERY)
    assert closed


def test_ghost_groups_are_never_cut(tmp_path):
    with pytest.raises(ValueError, match=r"batch of 32 .* groups of 8 on 8 devices: .* of 64"):
        loop.fit(tiny_task.make(group_size=8), tmp_path, steps=5, **EVERY)


def test_state_may_be_donated_while_it_is_being_saved(tmp_path):
    state = tiny_task.init(jax.random.key(0))
    expected = jax.tree.map(np.array, state)
    batch = next(tiny_task.batches(0))
    with checkpoints.Checkpoints(tmp_path, {"seed": 0}) as saving:
        saving.save(state)
        for _ in range(5):
            state, _ = tiny_task.update(state, batch)
    with checkpoints.Checkpoints(tmp_path, {"seed": 0}) as saved:
        here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        assert_same_bits(saved.restore(expected, here), expected)


def test_a_config_that_names_no_task_is_one_line():
    with pytest.raises(ValueError, match=r"config.task = 'tiny_task.tsk' names no function"):
        train.task_builder("tiny_task.tsk")
    with pytest.raises(ValueError, match="names no function"):
        train.task_builder("task")
    assert train.task_builder("tiny_task.task") is tiny_task.task


def test_the_first_state_is_scored_once_also_if_the_run_begins_anew(tmp_path):
    def evaluate(state):
        return loop.Evaluated({"test/error": 10.0 - int(state.step)})

    settings = {**EVERY, "evaluate_every": 10, "evaluate_first": True}
    broken = tiny_task.make(evaluate=evaluate, update=lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.fit(broken, tmp_path, steps=10, **settings)
    loop.fit(tiny_task.make(evaluate=evaluate), tmp_path, steps=10, **settings)
    scored = [row for row in logs.read(tmp_path / loop.LOG) if "test/error" in row]
    assert [(row["step"], row["test/error"]) for row in scored] == [(0, 10.0), (10, 0.0)]
