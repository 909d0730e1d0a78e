"""Bad input and unconfirmed costs: one line that says the contract, and nothing is called."""

import re
import sys

import gke
import local
import pytest
import rental
import slurm
import sweep
import tpu_vm
from fake_programs import BIG, CONFIG

MAINS = {
    "local": local.LAUNCHER.main,
    "slurm": slurm.LAUNCHER.main,
    "tpu_vm": tpu_vm.main,
    "gke": gke.LAUNCHER.main,
    "sweep": sweep.main,
}
TPU = "all --zone z --type v6e-8 --hours 2 --bucket b"
GKE = "--image i --claim c --hours 2"
GOOD = f"-- --config {CONFIG}"
RUNS = f"{GOOD} --workdir runs/x"
BUCKET = f"-- --config {BIG} --workdir /mnt/b/x"
CLAIM = f"-- --config {BIG} --workdir /mnt/runs/x"

WRONG = [
    ("local", "", "--config FILE --workdir W"),
    ("local", "-- --workdir w", "--config FILE --workdir W"),
    ("local", "-- --config configs/estimation/embeded.py --workdir w", "mean 'embedded.py'"),
    ("local", f"{RUNS} --config.optimizer.base_rat=1", "did you mean 'base_rate'?"),
    ("local", f"{RUNS} --config.optimizer.base_rate=big", "must be float, got 'big'"),
    ("local", f"{RUNS} --wordkir w", "--wordkir"),
    ("local", f"{GOOD} --workdir gs://b/r", "mount the bucket"),
    ("slurm", f"--hours 2 {GOOD} --workdir s3://b/r", "give the folder below it: /mnt/b/r"),
    ("gke", f"{GKE} --gpu g --gpus-per-node 4 {GOOD} --workdir gs://b/r", "mount the bucket"),
    ("tpu_vm", f"{TPU} --type v6e-4 {GOOD} --workdir gs://b/r", "and give /mnt/b/r"),
    ("sweep", f"local --product seed=1,2 {GOOD} --workdir gs://b/r", "mount the bucket"),
    ("local", f"{RUNS} --config.data.folder=gs://b/d", "config.data.folder: gs://b/d is a bucket"),
    ("local", f"{RUNS} --dry-run", "belong before the --"),
    ("slurm", RUNS, "--hours"),
    ("slurm", f"--hours 0 {RUNS}", "must be hours from 0.1 to 1000, got '0'"),
    ("slurm", f"--hours many {RUNS}", "must be hours from 0.1 to 1000, got 'many'"),
    ("slurm", f"--hours 2 --nodes 0 {RUNS}", "must be a whole number from 1 on, got '0'"),
    ("slurm", f"--hours 2 --gpus-per-node -1 {RUNS}", "cannot be negative"),
    ("slurm", f"--hour 2 {RUNS}", "--hour"),
    ("slurm", f"--hours 2 --nodes 3 --gpus-per-node 8 {RUNS}", "cannot be cut over 24 devices"),
    ("slurm", f"--hours 2 --gpus-per-node 4 {RUNS} --config.data.parts=0", "must be at least 1"),
    ("slurm", f"--hours 2 --gpus-per-node 4 {RUNS} --config.loop.devices=2", "4 devices would be"),
    ("tpu_vm", f"all --zone z {BUCKET}", "all needs --type and --hours"),
    ("tpu_vm", f"{TPU} --type v99-8 {BUCKET}", "'v99-8'; it must be one of v4-N"),
    ("tpu_vm", f"{TPU} --type v5p-7 {BUCKET}", "'v5p-7'; it must be one of v4-N"),
    ("tpu_vm", f"{TPU} --hours 200 {BUCKET}", "at most 168 (7 days)"),
    ("tpu_vm", f"{TPU} --type v6e-4 --confirm 8 {RUNS}", "use --bucket and /mnt/b/"),
    ("tpu_vm", f"{TPU} --name Big_Name {BUCKET}", "beginning with a letter, got 'Big_Name'"),
    ("gke", f"{GKE} {CLAIM}", "either --tpu with --topology, or --gpu"),
    ("gke", f"{GKE} --tpu t {CLAIM}", "either --tpu with --topology, or --gpu"),
    ("gke", f"{GKE} --tpu t --topology four {CLAIM}", "it must be like 4x4 or 2x2x4"),
    ("gke", f"{GKE} --tpu t --topology 2x3 {CLAIM}", "6 chips do not make whole hosts of 4 chips"),
    ("gke", f"{GKE} --gpu g --restarts -1 {CLAIM}", "cannot be negative"),
    ("gke", f"{GKE} --gpu g --gpus-per-node 4 --confirm 32 {RUNS}", "use /mnt/runs/"),
    ("sweep", f"local {RUNS}", "needs --product NAME=A,B or --zip NAME=A,B"),
    ("sweep", f"moon --product seed=1,2 {RUNS}", "invalid choice: 'moon'"),
    ("sweep", f"local --product seed {RUNS}", "must be NAME=A,B"),
    ("sweep", f"local --product seed=1, {RUNS}", "must be NAME=A,B"),
    ("sweep", f"local --product seed=1,x {RUNS}", "must be int, got 'x'"),
    ("sweep", f"local --product seed=1,1 {RUNS}", "would share a workdir"),
    ("sweep", f"local --product seed=1 --product seed=2 {RUNS}", "seed is on two axes"),
    ("sweep", f"local --zip seed=1,2 --zip variant=a,b,c {RUNS}", "seed has 2, variant has 3"),
    ("sweep", f"gke {GKE} --gpu g --name x --product seed=1,2 {CLAIM}", "--name is for one job"),
    ("sweep", f"local --product seed=1,2 --typo 3 {RUNS}", "--typo"),
]  # fmt: skip


@pytest.mark.parametrize(("launcher", "line", "message"), WRONG)
def test_bad_input_is_one_line_and_nothing_runs(fakes, capsys, launcher, line, message):
    assert rental.guarded(MAINS[launcher], line.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert message in said
    assert fakes.calls() == []


RENTING = [
    ("slurm", f"--hours 3 --requeues 0 --nodes 2 {RUNS}", "6"),
    ("slurm", f"--hours 2.5 --requeues 1 --gpus-per-node 4 {RUNS}", "20"),
    ("tpu_vm", f"{TPU} {BUCKET}", "16"),
    ("gke", f"{GKE} --gpu g --restarts 0 {CLAIM}", "16"),
    ("sweep", f"slurm --hours 2 --requeues 0 --product seed=1,2,3 {RUNS}", "6"),
]


@pytest.mark.parametrize(("launcher", "line", "total"), RENTING)
@pytest.mark.parametrize("given", [[], ["--confirm", "1"]])
def test_what_is_not_confirmed_is_stated_and_not_started(
    fakes, capsys, launcher, line, total, given
):
    own, behind = rental.split(line.split())
    assert rental.guarded(MAINS[launcher], [*own, *given, "--", *behind]) == 2
    said = capsys.readouterr()
    assert re.search(rf"# cost: \d+ x .* at most {total} \w+-hours\n", said.out)
    assert f"nothing was started; to agree, add --confirm {total}\n" in said.err
    assert fakes.calls() == []


@pytest.mark.parametrize(("answer", "calls"), [("yes", 1), ("no", 0), ("", 0)])
def test_on_a_terminal_it_asks(fakes, monkeypatch, tmp_path, answer, calls):
    fakes.add("sbatch", "")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    line = f"--hours 2 {GOOD} --workdir {tmp_path}"
    assert rental.guarded(slurm.LAUNCHER.main, line.split()) == (0 if calls else 2)
    assert len(fakes.calls()) == calls


def test_a_missing_program_is_named(fakes, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = f"{TPU} --confirm 16 {BUCKET}"
    assert rental.guarded(tpu_vm.main, line.split()) == 2
    assert "'gcloud' is not on PATH" in capsys.readouterr().err


def test_names_are_valid_and_tell_workdirs_apart():
    long = "/mnt/bucket/a/very/long/path/to/the/runs/of/a/sweep/"
    workdirs = ["runs/x", "/mnt/b/X_y", f"{long}seed=0", f"{long}seed=1"]
    names = [rental.Training("", workdir, ()).name() for workdir in workdirs]
    assert [rental.label(name) for name in names] == names
    assert len(set(names)) == len(names)
