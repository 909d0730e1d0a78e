"""The whole recipe as one script: what it runs here, and what it submits to SLURM."""

import shlex
import subprocess

import pytest
import rental
import slurm
from fake_programs import ROOT

from acae_jax import config as configs
from acae_jax import prepare, train

NEXT_NUMBER = 'echo >> "$here/jobs"; echo "70$(wc -l < "$here/jobs")"\n'
STAGES = {"initial": "initial", "autoencoder": "autoencoder", "consistency": "hybrid"}
OPTIONS = ("--gpus-per-node", "8", "--hours", "24", "--requeues", "9", "--confirm", "1920")


@pytest.fixture
def recipe(fakes, tmp_path, monkeypatch):
    """The script as a function of its options; it finds fake programs only."""
    fakes.add("python", f'[[ $1 != launch/* ]] || {{ echo "# cost: 3 h"; {NEXT_NUMBER} }}')
    fakes.add("sbatch", NEXT_NUMBER)
    fakes.add("scancel", "")
    settings = {
        "VIRTUAL_ENV": tmp_path, "RAWS": tmp_path / "my raws.yaml", "DATA": tmp_path / "data",
        "RUN": tmp_path / "runs", "VARIANT": "hybrid", "MORE": "seed=3", "SHARES": 4,
        "PREPARE": "--partition=cpu --time=60",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))

    def run(*options):
        command = ["bash", "launch/dozens.sh", *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    return run


def assert_prepares(words, tmp_path, is_check, share=(1, 1)):
    """Python's arguments are those of `acae prepare`."""
    assert words[:3] == ["python", "-m", "acae_jax.prepare"]
    options = prepare.parser().parse_args(words[3:])
    assert options.check == is_check and options.all and options.raws == tmp_path / "my raws.yaml"
    assert (options.out, options.shard) == (tmp_path / "data", share)


def assert_trains(words, stage, tmp_path):
    """These are the arguments of `acae train` for a stage."""
    options, rest = train.parser().parse_known_args(words)
    assert not rest and options.workdir == tmp_path / "runs" / STAGES[stage]
    config = configs.load(options.config)
    assert config.task.startswith(f"acae_jax.estimation.{stage}")
    assert config.initial == f"{tmp_path / 'runs'}/initial"
    assert (config.data.folder, config.variant) == (str(tmp_path / "data"), "hybrid")
    assert config.seed == 3


def test_here_all_runs_one_after_another(recipe, fakes, tmp_path):
    done = recipe()
    assert done.returncode == 0, done.stderr
    datasets, *stages = fakes.calls("pip")
    assert_prepares(datasets, tmp_path, is_check=True)
    for words, stage in zip(stages, STAGES, strict=True):
        assert words[:3] == ["python", "-m", "acae_jax.train"]
        assert_trains(words[3:], stage, tmp_path)


def test_slurm_gets_all_jobs_each_after_the_one_before(recipe, fakes, tmp_path, capsys):
    done = recipe(*OPTIONS)
    assert done.returncode == 0, done.stderr
    jobs = fakes.calls("pip")
    for number, job in enumerate(jobs):
        waits = [word.partition(":")[2] for word in job if "--dependency=afterok:" in word]
        assert [wait.removesuffix(",singleton") for wait in waits] == [f"70{number}"][: number > 0]
    shares, check, *stages = jobs
    assert {"sbatch", "--parsable", "--array=1-4", "--partition=cpu", "--time=60"} < set(shares)
    (command,) = (word for word in shares if word.startswith("--wrap="))
    command = command.removeprefix("--wrap=").replace("$SLURM_ARRAY_TASK_ID", "3")
    assert_prepares(shlex.split(command), tmp_path, is_check=False, share=(3, 4))
    (command,) = (word for word in check if word.startswith("--wrap="))
    assert_prepares(shlex.split(command.removeprefix("--wrap=")), tmp_path, is_check=True)
    for job, stage, hours in zip(stages, STAGES, (1920, 4, 1920), strict=True):
        assert job[:2] == ["python", "launch/slurm.py"]
        assert rental.guarded(slurm.LAUNCHER.main, ["--dry-run", *job[2:]]) == 0
        said = capsys.readouterr().out
        assert f"at most {hours} GPU-hours\n" in said and "--parsable" in said
        assert_trains(job[job.index("--") + 1 :], stage, tmp_path)


def test_all_jobs_or_none(recipe, fakes):
    fakes.add("python", "[[ $1 != launch/* ]] || exit 2\n")
    assert recipe(*OPTIONS).returncode == 2
    assert fakes.calls("python", "sbatch") == [["scancel", "701", "702"]]


def test_a_dry_run_shows_the_jobs(recipe, fakes):
    done = recipe(*OPTIONS, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert sum(line.startswith("sbatch ") for line in done.stdout.splitlines()) == 2
    calls = fakes.calls("pip")
    assert [call[:2] for call in calls] == 3 * [["python", "launch/slurm.py"]]
    assert all("--dry-run" in call[: call.index("--")] for call in calls)
