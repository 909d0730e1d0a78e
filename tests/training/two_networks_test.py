"""Two networks with two optimisers and a pool train, resume, compare and leave through what all
systems share.
"""

from pathlib import Path

import jax
import numpy as np
import pytest
import two_networks

from acae_jax import config as configs
from acae_jax import export, report, train
from acae_jax.comparison import runs, verdict
from acae_jax.packaging import forms
from acae_jax.training import checkpoints

CONFIG = str(Path(__file__).with_name("two_networks.py"))


def run(folder, *overrides, arguments=""):
    config = configs.load(f"{CONFIG}:{arguments}", overrides)
    config.unlock()
    config.task, config.export = "two_networks.task", "two_networks.export"
    return train.run(config, folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 60 steps, one that hardly learns, and the first one's last state."""
    folder = tmp_path_factory.mktemp("two")
    state = run(folder / "whole")
    run(folder / "slow", arguments="rate=0.0001")
    return folder, state


def test_it_trains(trained):
    folder, state = trained
    (one,) = runs.read([folder / "whole"])
    distance = runs.series(one, "test/distance").values
    assert distance[-1] < 0.6 * distance[0]
    assert int(state.extra["count"]) == two_networks.POOL
    assert len(np.unique(np.asarray(state.extra["points"]), axis=0)) == two_networks.POOL


def test_it_is_continued_to_the_bit_with_its_pool_and_both_optimisers(trained, tmp_path):
    folder, whole = trained
    half = run(tmp_path / "run", "steps=30")
    assert checkpoints.checksum(half) != checkpoints.checksum(whole)
    state = run(tmp_path / "run")
    assert jax.tree.structure(state) == jax.tree.structure(whole)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), jax.device_get(whole))
    names = runs.score_names(runs.read([tmp_path / "run"])[0])
    for name in names:
        ends = [
            runs.series(runs.read([at])[0], name).values[-1]
            for at in (tmp_path / "run", folder / "whole")
        ]
        assert ends[0] == ends[1]


def test_it_is_compared(trained, capsys):
    folder, _ = trained
    group = runs.read([folder / "slow", folder / "whole"])
    for name in ("test/distance", "test/near"):  # low is better, high is better
        assert verdict.ranked(group, name)[0].name == "whole"
    assert report.main([str(folder / "slow"), str(folder / "whole")]) == 0
    assert "test/near" in capsys.readouterr().out


def test_the_generator_is_exported_and_verified(trained, tmp_path):
    folder, state = trained
    out = tmp_path / "generator"
    assert export.main([str(folder / "whole"), "--to", "stablehlo", "--out", str(out)]) == 0
    header = forms.checked(out)
    generate = forms.module("stablehlo").load(out, header.signature)
    noise = np.ones((5, 3), np.float32)
    expected = two_networks.apply(jax.device_get(state.params["generator"]), noise)
    np.testing.assert_allclose(generate(noise)[0], expected, atol=1e-5)
