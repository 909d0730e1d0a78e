"""SLURM: what is submitted, and how the batch script ends in success, preemption and failure."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import rental
import slurm
from fake_programs import BIG, ROOT

# Runs the job at once, again and again while the script asks to be requeued.
SBATCH = """
export SLURM_SUBMIT_DIR=$PWD SLURM_JOB_ID=4242 SLURM_RESTART_COUNT=0
while [[ $1 == -* ]]; do
    [[ $1 != --export=* ]] || export $(tr , ' ' <<< "${1#--export=ALL,}")
    shift
done
run() { rm -f "$here/requeued"; "$@" >> "$here/out" 2>&1; echo $? > "$here/code"; }
while run "$@"; [[ -e $here/requeued ]]; do
    SLURM_RESTART_COUNT=$((SLURM_RESTART_COUNT + 1))
done
"""
SCONTROL = """
[[ $1 == show ]] || exec touch "$here/requeued"
echo "JobId=4242 JobState=$(cat "$here/state") Reason=None"
"""


@pytest.fixture
def cluster(fakes):
    fakes.add("sbatch", SBATCH)
    fakes.add("scontrol", SCONTROL)
    fakes.add("srun", 'echo "${JAX_LOCAL_DEVICE_IDS:-}" >> "$here/devices"; exit "$(outcome)"\n')
    fakes.file("state").write_text("RUNNING")
    return fakes


def submit(workdir, *options):
    own = ["--hours", "2", "--requeues", "2", *options]
    behind = ["--config", BIG, "--workdir", str(workdir)]
    return rental.guarded(slurm.LAUNCHER.main, [*own, "--", *behind])


def names(fakes):
    return [" ".join(call[: 2 if call[0] == "scontrol" else 1]) for call in fakes.calls()]


def code(fakes):
    return int(fakes.file("code").read_text())


def test_success_runs_once_with_one_process_per_gpu(cluster, tmp_path):
    cluster.outcomes(0)
    options = ("--nodes", "2", "--gpus-per-node", "4", "--partition", "gpu", "--confirm", "48")
    assert submit(tmp_path / "w", *options) == 0
    assert (names(cluster), code(cluster)) == (["sbatch", "srun"], 0)
    sbatch, srun = cluster.calls()
    for option in (
        "--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4", "--time=120", "--requeue",
        "--signal=TERM@120", "--partition=gpu", "--open-mode=append", "--dependency=singleton",
    ):  # fmt: skip
        assert option in sbatch
    train = srun[srun.index("-m") :]
    assert train[:3] == ["-m", "acae_jax.train", "--distributed"]
    assert train[3:] == [f"--config={BIG}", f"--workdir={tmp_path / 'w'}"]
    assert (tmp_path / "w").is_dir()  # for SLURM's log


def test_preemption_is_requeued_and_continues(cluster, tmp_path):
    cluster.outcomes(143, 143, 0)
    assert submit(tmp_path / "w", "--confirm", "6") == 0
    cycle = ["srun", "scontrol show", "scontrol requeue"]
    assert (names(cluster), code(cluster)) == (["sbatch", *cycle, *cycle, "srun"], 0)
    runs = [call for call in cluster.calls() if call[0] == "srun"]
    assert runs[0] == runs[1] == runs[2]


def test_a_run_too_many_is_not_requeued(cluster, tmp_path):
    cluster.outcomes(143, 143, 143, 0)
    assert submit(tmp_path / "w", "--confirm", "6") == 0
    assert names(cluster).count("srun") == 3  # what was paid for: 1 + 2 requeues
    assert code(cluster) == 143
    assert "submit again to continue" in cluster.file("out").read_text()


def test_failure_is_not_requeued(cluster, tmp_path):
    cluster.outcomes(1, 0)
    assert submit(tmp_path / "w", "--confirm", "6") == 0
    assert (names(cluster), code(cluster)) == (["sbatch", "srun"], 1)


def test_a_cancelled_job_does_not_come_back(cluster, tmp_path):
    cluster.outcomes(143, 0)
    cluster.file("state").write_text("CANCELLED")
    submit(tmp_path / "w", "--confirm", "6")
    assert names(cluster) == ["sbatch", "srun", "scontrol show"]


def test_slurms_own_requeues_count_too(cluster):
    job = {"SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_ID": "1", "SLURM_RESTART_COUNT": "3"}
    environment = os.environ | job | {"ACAE_REQUEUES": "2", "ACAE_PYTHON": "python"}
    done = subprocess.run(["launch/slurm_job.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "3 were paid for" in done.stderr
    assert names(cluster) == []


def test_one_process_per_node_drives_all_gpus_of_the_node(cluster, tmp_path):
    cluster.outcomes(0)
    submit(tmp_path / "w", "--gpus-per-node", "4", "--processes", "node", "--confirm", "24")
    assert "--ntasks-per-node=1" in cluster.calls()[0]
    assert cluster.file("devices").read_text() == "0,1,2,3\n"


def test_a_failing_sbatch_says_that_nothing_costs(fakes, tmp_path, capsys):
    fakes.add("sbatch", "exit 7\n")
    assert submit(tmp_path / "w", "--confirm", "6") == 7
    assert "nothing was submitted, nothing costs" in capsys.readouterr().err


def test_dry_run_prints_exactly_what_runs(cluster, tmp_path, capsys):
    cluster.outcomes(0)
    workdir = tmp_path / "with space"
    assert submit(workdir, "--dry-run") == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line[0] != "#"]
    assert cluster.calls() == [] and not workdir.exists()
    submit(workdir, "--confirm", "6")
    assert [shlex.split(line) for line in printed] == cluster.calls()[:1]


def test_two_processes_train_together_under_slurm(fakes, tmp_path, monkeypatch):
    """The batch script, acae_jax.train and JAX's own detection of SLURM, with nothing else fake."""
    fakes.add("srun", """
while [[ $1 != */python* ]]; do shift; done
export SLURM_STEP_NODELIST=localhost SLURM_NTASKS=2 SLURM_STEP_NUM_NODES=1
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" > "$here/second" 2>&1 &
SLURM_PROCID=0 SLURM_LOCALID=0 "$@" > "$here/first" 2>&1 && wait $!
""")  # fmt: skip
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests/training'}")
    monkeypatch.setenv("XLA_FLAGS", "")
    job = {"SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_ID": str(os.getpid())}
    environment = os.environ | job | {"ACAE_REQUEUES": "0", "ACAE_PYTHON": sys.executable}
    command = ["launch/slurm_job.sh", "--config=tests/training/tiny_config.py"]
    workdir = Path(tmp_path / "w")
    done = subprocess.run([*command, f"--workdir={workdir}"], env=environment, timeout=120)
    assert done.returncode == 0, fakes.file("first").read_text()
    last = (workdir / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["step"] == 60
