"""Sweeps: which jobs there are, and how their successes and failures add up."""

import sys

import pytest
import rental
import sweep
from fake_programs import CONFIG


def combine(products=(), zipped=()):
    axes = ([sweep.axis(text) for text in texts] for texts in (products, zipped))
    return [dict(job) for job in sweep.combinations(*axes)]


def test_products_multiply_and_zips_run_in_parallel():
    assert combine(["a=1,2", "b=3,4"]) == [
        {"a": "1", "b": "3"}, {"a": "1", "b": "4"}, {"a": "2", "b": "3"}, {"a": "2", "b": "4"},
    ]  # fmt: skip
    assert combine([], ["a=1,2", "b=3,4"]) == [{"a": "1", "b": "3"}, {"a": "2", "b": "4"}]
    assert len(combine(["a=1,2,3"], ["b=3,4", "c=5,6"])) == 6


def test_commas_within_brackets_belong_to_the_value():
    assert sweep.axis("w=(8,16),[1,2],3") == [("w", "(8,16)"), ("w", "[1,2]"), ("w", "3")]


def test_folders_tell_jobs_apart():
    assert sweep.folder((("optimizer.base_rate", "1e-2"), ("seed", "0"))) == "base_rate=1e-2_seed=0"
    assert sweep.folder((("a.x", "1"), ("b.x", "2"))) == "a.x=1_b.x=2"
    assert "/" not in sweep.folder((("initial", "runs/a b"),))


@pytest.fixture
def trainer(fakes, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(fakes.add("trainer", 'exit "$(outcome)"\n')))
    return fakes


def run(launcher, *options, base="runs/s"):
    behind = ["--config", CONFIG, "--workdir", base, "--config.optimizer.decay=0.02"]
    return rental.guarded(
        sweep.main, [launcher, "--product", "seed=0,1,2", *options, "--", *behind]
    )


def test_every_job_has_its_values_and_its_own_workdir(trainer):
    trainer.outcomes(0, 0, 0)
    assert run("local") == 0
    assert [call[4:] for call in trainer.calls()] == [
        [f"--workdir=runs/s/seed={seed}", "--config.optimizer.decay=0.02", f"--config.seed={seed}"]
        for seed in range(3)
    ]


def test_one_failure_does_not_stop_the_others(trainer, capsys):
    trainer.outcomes(0, 1, 0)
    assert run("local") == 1
    assert len(trainer.calls()) == 3
    assert "1 of 3 failed: runs/s/seed=1" in capsys.readouterr().err


def test_preemption_stops_the_sweep_and_the_same_command_continues(trainer):
    trainer.outcomes(0, 143)
    assert run("local") == 143
    assert len(trainer.calls()) == 2
    trainer.outcomes(0, 0, 0)
    assert run("local") == 0


def test_any_launcher_with_one_confirmation_for_all(fakes, tmp_path, capsys):
    fakes.add("sbatch", "")
    options = ("--hours", "2", "--requeues", "0", "--gpus-per-node", "1", "--confirm", "6")
    assert run("slurm", *options, base=str(tmp_path)) == 0
    assert "2 GPU-hours each; 3 jobs: at most 6 GPU-hours" in capsys.readouterr().out
    assert len({call[1] for call in fakes.calls()}) == 3  # --job-name


@pytest.mark.parametrize(
    ("launcher", "base", "options"),
    [
        ("tpu_vm", "/mnt/b/s", "all --zone z --type v6e-4 --hours 2 --bucket b"),
        ("gke", "/mnt/runs/s", "--image i --claim c --gpu g --gpus-per-node 4 --hours 2"),
        ("slurm", "runs/s", "--hours 2"),
        ("local", "runs/s", ""),
    ],
)
def test_dry_runs_call_nothing(fakes, capsys, launcher, base, options):
    assert run(launcher, *options.split(), "--dry-run", base=base) == 0
    said = capsys.readouterr().out
    assert fakes.calls() == []
    assert all(f"{base}/seed={seed}" in said for seed in range(3))
