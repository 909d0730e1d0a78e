"""The log is append-only, loses no row to a kill, and has none twice after resuming."""

import json
from pathlib import Path

import numpy as np
import pytest

from acae_jax.training import logs


def write(path, steps, resumed=0):
    with logs.Log(path, resumed) as log:
        for step in steps:
            log.write(step, {"loss": np.float32(1 / step)})


def test_rows_come_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, [1, 2])
    first, second = logs.read(path)
    assert list(first) == ["step", "time", "seconds", "loss"]
    assert (first["step"], second["loss"]) == (1, 0.5)
    assert 0 <= first["seconds"] <= second["seconds"] < 10


def test_resuming_cuts_the_rows_after_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(1, 8))
    write(path, range(5, 10), resumed=4)
    assert [row["step"] for row in logs.read(path)] == list(range(1, 10))


def test_seconds_go_on_where_they_stopped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"step": 4, "time": 1.0, "seconds": 1000.0}) + "\n")
    write(path, [5], resumed=4)
    assert 1000 <= logs.read(path)[-1]["seconds"] < 1010


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, [1, 2])
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    assert [row["step"] for row in logs.read(path)] == [1, 2]
    write(path, [3], resumed=2)
    assert [row["step"] for row in logs.read(path)] == [1, 2, 3]


def test_not_a_number_is_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with logs.Log(path) as log:
        log.write(1, {"error": float("nan"), "count": 3})
    (row,) = logs.read(path)
    assert row["error"] is None
    assert row["count"] == 3


def test_without_a_terminal_progress_is_a_line_now_and_then(capsys):
    progress = logs.Progress(3, 0, "epoch")
    for loss in (3.0, 2.0, 1.25):
        progress.advance(loss, "")
    progress.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert "3/3" in line
    assert "loss 1.25" in line


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = logs.Progress(1, 0, "step")
    progress.advance(0.5, "data 3 %")
    progress.close()
    assert "\r" in capsys.readouterr().err


def test_a_log_that_is_not_there_covers_no_time(tmp_path):
    assert logs.truncate(tmp_path / "metrics.jsonl", 10) == 0.0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_names_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "truncate", lambda path, step: 0.0)
    path = tmp_path / "metrics.jsonl"
    path.symlink_to("/dev/full")
    with logs.Log(path) as log, pytest.raises(OSError, match=r"No space left.*metrics\.jsonl"):
        log.write(1, {"loss": 1.0})
