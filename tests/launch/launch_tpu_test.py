"""TPU slices: success, preemption, failure and everything that could go on costing."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
import rental
import tpu_vm
from fake_programs import BIG, ROOT

# A slice is the file `state`. An outcome: training's exit code, and what becomes of the slice.
GCLOUD = """
case "$*" in
*queued-resources\\ create*) [[ ! -e $here/quota ]] || exit 1; echo ACTIVE > "$here/state" ;;
*queued-resources\\ list*) [[ ! -e $here/down ]] || exit 1; cat "$here/state" 2> /dev/null || : ;;
*queued-resources\\ delete*) [[ ! -e $here/stuck ]] || exit 1; rm -f "$here/state" ;;
*acae_jax.train*)
    read -r code state <<< "$(outcome)"
    [[ -z ${state:-} ]] || echo "$state" > "$here/state"
    if [[ $code == sleep ]]; then
        sleep 20 &> /dev/null & trap 'kill %1; exit 143' TERM
        touch "$here/training"; wait
    fi
    exit "$code" ;;
esac
"""
SLICE = ["--zone", "us-west4-a", "--type", "v5litepod-8", "--hours", "24", "--poll-seconds", "0"]
TRAIN = ["--config", BIG, "--workdir", "/mnt/b/runs/x"]
CONFIRM = ["--confirm", "192"]


@pytest.fixture
def cloud(fakes):
    fakes.add("gcloud", GCLOUD)
    fakes.add("git", "")
    return fakes


def command(stage, *options):
    return rental.guarded(
        tpu_vm.main, [stage, *SLICE, "--bucket", "b", *options, "--", *TRAIN]
    )  # fmt: skip


def steps(fakes):
    """The calls in words, without questions about the state."""
    words = {
        "create": "create", "delete": "delete", "git": "pack", "scp": "copy", "pip": "install",
        "gcsfuse": "mount", "acae_jax.train": "train",
    }  # fmt: skip
    said = [" ".join(call) for call in fakes.calls("list")]
    return [next(words[word] for word in words if word in call) for call in said]


READY = ["pack", "copy", "install", "mount", "train"]


def test_success_creates_trains_on_all_hosts_and_deletes(cloud, capsys):
    cloud.outcomes(0)
    assert command("all", *CONFIRM) == 0
    assert steps(cloud) == ["create", *READY, "delete"]
    create = cloud.calls("list")[0]
    assert "--max-run-duration=86400s" in create and "--accelerator-type=v5litepod-8" in create
    train = cloud.calls("list")[5]
    assert "--worker=all" in train
    assert "-m acae_jax.train --distributed --config=" in train[-1]
    said = capsys.readouterr().out
    assert "1 x flex-start slice v5litepod-8 = 8 chip(s), at most 24 h" in said
    assert "is deleted, nothing costs" in said and not cloud.file("state").exists()


def test_preemption_makes_a_new_slice_with_the_hours_that_are_left(cloud, monkeypatch):
    clock = iter(range(0, 10**9, 600))  # every look at the clock is ten minutes later
    monkeypatch.setattr(tpu_vm.time, "monotonic", lambda: float(next(clock)))
    cloud.outcomes("255 SUSPENDED", "143 SUSPENDED", 0)
    assert command("all", *CONFIRM) == 0
    assert steps(cloud) == ["create", *READY, *["delete", "create", *READY] * 2, "delete"]
    created = [call for call in cloud.calls() if "create" in call]
    asked = [int(part[19:-1]) for call in created for part in call if "--max-run" in part]
    assert 86400 == asked[0] > asked[1] > asked[2] > 0
    trained = [
        call[-1].split(" .venv")[1] for call in cloud.calls() if "acae_jax.train" in call[-1]
    ]
    assert len(set(trained)) == 1  # the same command, which continues


def test_a_lost_connection_runs_again_on_the_same_slice(cloud):
    cloud.outcomes(255, 0)
    assert command("all", *CONFIRM) == 0
    assert steps(cloud) == ["create", *READY, *READY, "delete"]


def test_attempts_are_bounded(cloud, capsys):
    cloud.outcomes(*["255 SUSPENDED"] * 9)
    assert command("all", "--attempts", "2", *CONFIRM) == 255
    assert steps(cloud).count("train") == 2 and steps(cloud)[-1] == "delete"
    assert "gave up after 2 attempts" in capsys.readouterr().err


def test_used_hours_end_it(cloud, monkeypatch, capsys):
    clock = iter(range(0, 10**9, 50_000))
    monkeypatch.setattr(tpu_vm.time, "monotonic", lambda: float(next(clock)))
    cloud.outcomes(*["143 SUSPENDED"] * 9)
    assert command("all", *CONFIRM) == 143
    assert steps(cloud).count("create") == 1 and steps(cloud)[-1] == "delete"
    assert "24 h are used" in capsys.readouterr().err


def test_failure_stops_with_its_code_and_deletes(cloud, capsys):
    cloud.outcomes(1, 0)
    assert command("all", *CONFIRM) == 1
    assert steps(cloud) == ["create", *READY, "delete"]
    assert "failed with exit code 1" in capsys.readouterr().err


def test_failure_with_keep_says_what_is_left(cloud, capsys):
    cloud.outcomes(1)
    assert command("all", "--keep", *CONFIRM) == 1
    said = capsys.readouterr().out
    assert "is ACTIVE and costs until it is deleted: gcloud" in said and "delete" in said


def test_a_stage_that_fails_says_what_is_left(cloud, capsys):
    cloud.outcomes(3)
    assert command("create", *CONFIRM) == 0
    assert command("run") == 3
    assert "costs until it is deleted: gcloud" in capsys.readouterr().err


def test_failed_deletion_is_not_hidden(cloud, capsys):
    cloud.outcomes(0)
    cloud.file("stuck").touch()
    assert command("all", *CONFIRM) == 1
    said = capsys.readouterr()
    assert "deleting failed (1)" in said.err and "costs until it is deleted" in said.err
    assert "nothing costs" not in said.out


def test_an_unknown_state_is_not_taken_for_nothing(cloud, capsys):
    cloud.file("state").write_text("ACTIVE")
    cloud.file("down").touch()
    assert command("delete") == 2
    said = capsys.readouterr()
    assert "costs until it is deleted" in said.err and "nothing costs" not in said.out


def test_no_quota_gives_up_and_nothing_is_left(cloud, capsys):
    cloud.file("quota").touch()
    assert command("all", "--attempts", "2", *CONFIRM) == 1
    assert steps(cloud) == ["create", "create", "delete"]


def test_a_slice_in_the_queue_or_there_is_not_made_again(cloud):
    cloud.file("state").write_text("ACTIVE")
    cloud.outcomes(0)
    assert command("all", *CONFIRM) == 0
    assert steps(cloud) == [*READY, "delete"]


def test_sigterm_reaches_gcloud_and_says_what_is_left(cloud):
    cloud.outcomes("sleep")
    arguments = ["all", *SLICE, "--bucket", "b", *CONFIRM, "--", *TRAIN]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "launch/tpu_vm.py", *arguments], text=True,
                               env=environment, stdout=-1, stderr=-1)  # fmt: skip
    cloud.wait_for("training")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 143
    assert "perhaps still there and costs until it is deleted: gcloud" in said


@pytest.mark.parametrize("option", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_commands_says_what_is_left(cloud, option):
    cloud.file("state").write_text("WAITING_FOR_RESOURCES")
    arguments = ["all", *SLICE, "--bucket", "b", *CONFIRM, "--", *TRAIN]
    arguments[arguments.index("--poll-seconds") + 1] = "30"
    process = subprocess.Popen([sys.executable, "launch/tpu_vm.py", *arguments], text=True,
                               env=os.environ | {"PYTHONPATH": str(ROOT)},
                               stdout=-1, stderr=-1)  # fmt: skip
    cloud.wait_for("log")
    time.sleep(0.5)  # it sleeps now until the next look at the queue
    process.send_signal(option)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "perhaps still there and costs until it is deleted: gcloud" in said


def test_dry_run_prints_exactly_what_runs(cloud, capsys):
    cloud.outcomes(0)
    assert command("all", "--dry-run") == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line[0] != "#"]
    assert cloud.calls() == []
    command("all", *CONFIRM)
    ran = cloud.calls("list")
    # The one number that depends on the clock, by a second or two.
    ran[5][-1] = re.sub(r" 8639\ds ", " 86400s ", ran[5][-1])
    assert [shlex.split(line) for line in printed] == ran


@pytest.mark.parametrize(
    ("kind", "chips"), [("v5litepod-16", 16), ("v6e-8", 8), ("v5p-8", 4), ("v4-32", 16)]
)
def test_chips_of_a_type(kind, chips):
    options = tpu_vm.parser().parse_args(["all", "--zone=z", f"--type={kind}", "--hours=2"])
    found = tpu_vm.cost(options)
    assert found and (found.units, found.total) == (chips, 2 * chips)
