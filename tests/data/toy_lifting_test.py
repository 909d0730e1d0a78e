"""A system of tracks trains, resumes, compares and leaves through what all systems share."""

from pathlib import Path

import jax
import numpy as np
import pytest
import toy_lifting

from acae_jax import config as configs
from acae_jax import export, report, train
from acae_jax.comparison import runs, verdict
from acae_jax.packaging import forms
from acae_jax.training import checkpoints

CONFIG = str(Path(__file__).with_name("toy_lifting.py"))


def run(folder, data, *overrides, arguments=""):
    config = configs.load(f"{CONFIG}:data={data}{arguments}", overrides)
    config.unlock()
    config.task, config.export = "toy_lifting.task", "toy_lifting.export"
    return train.run(config, folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The data, a run, and its last state; beside it a run that hardly learns."""
    folder = tmp_path_factory.mktemp("lifting")
    for name, split, count in (("walks", "train", 6), ("runs", "train", 3), ("test", "test", 2)):
        toy_lifting.write(folder / "data", name, split, count)
    state = run(folder / "whole", folder / "data")
    run(folder / "slow", folder / "data", arguments=",rate=0.0001")
    return folder, state


def test_it_trains_on_windows_of_tracks(trained):
    folder, _ = trained
    (one,) = runs.read([folder / "whole"])
    errors = runs.series(one, "test/mpjpe_mm").values
    # The mean pose is about 140 mm off: all of it at the hand, which is anywhere on a circle.
    assert errors[-1] < errors[0] < 100
    assert checkpoints.newest_metadata(folder / "whole")["joint_names"] == list(toy_lifting.NAMES)


def test_it_is_continued_to_the_bit(trained, tmp_path):
    folder, whole = trained
    half = run(tmp_path / "run", folder / "data", "steps=60")
    assert checkpoints.checksum(half) != checkpoints.checksum(whole)
    state = run(tmp_path / "run", folder / "data")
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), jax.device_get(whole))


def test_it_is_compared(trained, capsys):
    folder, _ = trained
    group = runs.read([folder / "slow", folder / "whole"])
    assert verdict.ranked(group, "test/mpjpe_mm")[0].name == "whole"
    assert report.main([str(folder / "slow"), str(folder / "whole")]) == 0
    assert "test/mpjpe_mm" in capsys.readouterr().out


def test_it_is_exported_and_verified(trained, tmp_path):
    folder, state = trained
    out = tmp_path / "lifter"
    assert export.main([str(folder / "whole"), "--to", "stablehlo", "--out", str(out)]) == 0
    lift = forms.module("stablehlo").load(out, forms.checked(out).signature)
    window = np.stack([w.joints_px for w in toy_lifting.windows_of_test(folder / "data")])
    expected = toy_lifting.lift(jax.device_get(state.params), window)
    np.testing.assert_allclose(lift(window)[0], expected, atol=1e-2)
