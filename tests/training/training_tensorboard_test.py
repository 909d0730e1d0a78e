"""Event files say what metrics.jsonl says, also after a kill, to any reader."""

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from tensorboardX.proto import event_pb2

from acae_jax.training import logs, tensorboard

HERE = Path(__file__).parent


def events(workdir):
    """All events under a folder, by the published framing: length, its CRC, content, its CRC."""
    for path in sorted((workdir / "tensorboard").iterdir()):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            yield event_pb2.Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def rows(workdir):
    """The rows that the event files hold, in the order in which they hold them."""
    first, start, *others = events(workdir)
    assert first.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (0, event_pb2.SessionLog.START)
    return [
        {"step": event.step, "time": event.wall_time}
        | {value.tag: value.simple_value for value in event.summary.value}
        for event in others
    ]


def logged(workdir):
    """The rows of metrics.jsonl, in the precision of event files."""
    return [
        {
            name: value if name in ("step", "time") else np.float32(value)
            for name, value in r.items()
            if name != logs.HIGHER
        }
        for r in logs.read(workdir / "metrics.jsonl")
    ]


def command(workdir, seconds, *options, **environment):
    return subprocess.Popen(
        [
            *(sys.executable, "-W", "error", "-m", "acae_jax.train", "--workdir", str(workdir)),
            *("--config", f"{HERE / 'tiny_config.py'}:seconds={seconds}", *options),
        ],
        env=os.environ | {"PYTHONPATH": str(HERE)} | environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_event_files_hold_the_rows_of_the_log_also_after_a_kill(tmp_path):
    process = command(tmp_path, 0.03, "--tensorboard")
    deadline = time.monotonic() + 60
    log = tmp_path / "metrics.jsonl"
    while not log.exists() or len(logs.read(log)) < 34:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    names = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    newest = max(int(name) for name in names if name.isdecimal())  # others are unfinished
    assert any(row["step"] > newest for row in logged(tmp_path))  # to be trained and told again

    process = command(tmp_path, 0.0, "--tensorboard")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert rows(tmp_path) == logged(tmp_path)
    assert [row["step"] for row in rows(tmp_path) if "loss" in row] == list(range(1, 61))
    assert [row["step"] for row in rows(tmp_path) if "test/bias" in row] == [15, 30, 45, 60]


def test_nothing_is_touched_before_the_first_row(tmp_path):
    with tensorboard.Events(tmp_path / "tensorboard") as listen:
        assert not (tmp_path / "tensorboard").exists()
        listen({"step": 1, "time": 2.5, "seconds": 0.5, "loss": None})
    (row,) = rows(tmp_path)
    assert (row["step"], row["time"], row["seconds"]) == (1, 2.5, 0.5)
    assert np.isnan(row["loss"])


def test_a_missing_extra_is_one_line_before_training(tmp_path):
    missing = tmp_path / "tensorboardX.py"
    missing.write_text("raise ModuleNotFoundError('gone', name='tensorboardX')")
    path = f"{tmp_path}:{HERE}"
    process = command(tmp_path / "run", 0.0, "--tensorboard", PYTHONPATH=path)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith("error: event files need the extra [tensorboard], as tensorboardX is")
    assert "pip install 'acae_jax[tensorboard]'" in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()
