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


@pytest.mark.parametrize("end", [b"\0\0\0\n", b'{"step": 3, \n', b"3\n", b"\xff\xfe\n"])
def test_a_damaged_last_line_is_left_out_and_another_one_is_named(tmp_path, end):
    path = tmp_path / "metrics.jsonl"
    write(path, [1, 2])
    sound = path.read_bytes()
    path.write_bytes(sound + end)
    assert [row["step"] for row in logs.read(path)] == [1, 2]
    write(path, [3], resumed=2)
    assert [row["step"] for row in logs.read(path)] == [1, 2, 3]
    path.write_bytes(end + sound)
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 1, is damaged"):
        logs.read(path)


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


def test_a_log_that_is_not_there_has_no_rows(tmp_path):
    assert logs.truncate(tmp_path / "metrics.jsonl", 10) == []


def test_listeners_hear_every_row_that_is_in_the_log(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(1, 8))
    heard = []
    with logs.Log(path, 4, [heard.append]) as log:
        assert [row["step"] for row in heard] == [1, 2, 3, 4]
        log.write(5, {"loss": np.float32(0.25)})
    assert heard == logs.read(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_names_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "truncate", lambda path, step: [])
    path = tmp_path / "metrics.jsonl"
    path.symlink_to("/dev/full")
    with logs.Log(path) as log, pytest.raises(OSError, match=r"No space left.*metrics\.jsonl"):
        log.write(1, {"loss": 1.0})
