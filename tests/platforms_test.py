"""Everything but training works where what training needs is missing, as on Windows."""

import subprocess
import sys

import pytest

from acae_jax.data import sources

TRAINING_ONLY = ("array_record", "grain", "orbax", "tensorflow_datasets")
# What Windows' Python does not have.
MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
OS = ("fork", "getuid", "killpg", "sched_getaffinity", "setpgrp", "setsid", "uname")
SIGNALS = ("SIGALRM", "SIGHUP", "SIGKILL", "setitimer")

SCRIPT = """
import os, signal, sys
import cv2, jax, scipy.optimize, tqdm  # which ask for the platform themselves
for name in {modules}:
    sys.modules[name] = None
for module, names in ((os, {os}), (signal, {signals})):
    for name in names:
        delattr(module, name)
"""


def as_on_windows(code, timeout=300):
    """What Python prints that has only what Windows has."""
    modules = (*TRAINING_ONLY, *MODULES)
    script = SCRIPT.format(modules=modules, os=OS, signals=SIGNALS) + code
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=timeout
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_crop_has_a_pose():
    code = """
import numpy as np
import acae_jax
estimator = acae_jax.load()
image = np.full((300, 200, 3), 128, np.uint8)
pose = estimator.estimate_poses(image, np.array([[20, 30, 150, 250]], np.float32))
print(pose["poses3d"].shape[::2], bool(np.isfinite(pose["poses3d"]).all()))
"""
    assert as_on_windows(code).split("\n")[0] == "(1, 3) True"


@pytest.mark.parametrize("module", ["predict", "export", "import_weights", "motion.bvh"])
def test_mains_that_do_not_train_can_be_imported(module):
    as_on_windows(f"import acae_jax.{module}")


def test_without_array_record_data_names_platforms_that_have_it(tmp_path, monkeypatch):
    (tmp_path / "people" / "1.0.0").mkdir(parents=True)
    (tmp_path / "people" / "1.0.0" / "dataset_info.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "array_record", None)
    with pytest.raises(ValueError, match=r"no build for Windows: use Linux, macOS or WSL") as error:
        sources.open("people", tmp_path, "train")
    assert "\n" not in str(error.value)
