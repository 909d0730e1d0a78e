"""Makes the launchers importable, and fakes every cluster program for every test."""

import os
import sys

import pytest
from fake_programs import ROOT, Fakes

sys.path.insert(0, str(ROOT / "launch"))


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    made = Fakes(tmp_path / "fakes")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(ROOT)
    for name in ("sbatch", "srun", "scontrol", "gcloud", "kubectl"):
        made.add(name, 'echo "not expected here" >&2; exit 99\n')  # never the real one
    return made
