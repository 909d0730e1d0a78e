"""This machine, with python itself faked: success, preemption and failure of the one command."""

import os
import signal
import subprocess
import sys

import local
import pytest
import rental
from fake_programs import CONFIG, ROOT


@pytest.mark.parametrize("code", [0, 1, 143])
def test_the_code_is_trainings(fakes, monkeypatch, tmp_path, code):
    monkeypatch.setattr(sys, "executable", str(fakes.add("trainer", f"exit {code}\n")))
    arguments = ["--", "--config", CONFIG, "--workdir", str(tmp_path)]
    assert rental.guarded(local.LAUNCHER.main, arguments) == code
    wanted = ["trainer", "-m", "acae_jax.train", f"--config={CONFIG}", f"--workdir={tmp_path}"]
    assert fakes.calls() == [wanted]


def test_sigterm_lets_training_save(fakes, tmp_path):
    trainer = fakes.add("trainer", """
trap 'kill %1; touch "$here/saved"; exit 143' TERM
sleep 20 &> /dev/null &
touch "$here/training"; wait
""")  # fmt: skip
    code = f"import sys, local, rental; sys.executable = {str(trainer)!r}; sys.exit(" \
        "rental.guarded(local.LAUNCHER.main, sys.argv[1:]))"  # fmt: skip
    arguments = ["--", "--config", CONFIG, "--workdir", str(tmp_path)]
    path = f"{ROOT / 'launch'}{os.pathsep}{ROOT}"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments],
                               env=os.environ | {"PYTHONPATH": path})  # fmt: skip
    fakes.wait_for("training")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=15) == 143
    assert fakes.file("saved").exists()
