"""Each system names its own report and export, in its configs; runs of 0.1 are translated."""

import json
from pathlib import Path

import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from acae_jax import config as config_files
from acae_jax import export, report, systems, train
from acae_jax.estimation import autoencoder_stage, stages
from acae_jax.estimation.model import objective
from acae_jax.estimation.model.autoencoder import Matrices
from acae_jax.estimation.reporting import workflow
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions

OLD = "acae_jax.estimation.initial.task"


def write_report(folder: Path, seconds: float) -> str:
    (folder / "whole.txt").write_text(f"{seconds}")
    return f"a report of {folder.name}"


def write_export(folder: Path, form: str, out: Path, options: dict[str, str]) -> None:
    out.mkdir()
    (out / "model.txt").write_text(f"{folder.name} {form} {options}")


def runs(folder, **configs):
    for name, config in configs.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(config))
    return folder


def test_the_folders_report_is_the_one_that_its_configs_name(tmp_path, capsys):
    """Whatever the folders are called; some runs in them may have none."""
    named = {"task": "a.task", "report": f"{__name__}.write_report"}
    folder = runs(tmp_path / "mine", first=named, second=named, third={"task": "b.task"})
    assert report.main([str(folder), "--seconds=7"]) == 0
    assert capsys.readouterr().out == "a report of mine\n"
    assert (folder / "whole.txt").read_text() == "7.0"


@pytest.mark.parametrize(
    ("configs", "told"),
    [
        ({"initial": {"task": "a.task"}}, "name no report of the whole: compare the runs"),
        ({"a": {"task": OLD}, "b": {"task": "b", "report": "x.y"}}, "runs of several systems"),
        (
            {"a": {"task": "b", "report": "systems_test.y"}},
            "config.report = 'systems_test.y' names",
        ),
        ({"a": {"task": "b", "report": "no.y"}}, "names no function: No module named 'no'"),
    ],
)
def test_a_folder_without_one_report_is_one_line(tmp_path, capsys, configs, told):
    assert report.main([str(runs(tmp_path / "mine", **configs))]) == 1
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_runs_are_exported_by_their_own_system(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "verify", lambda folder: None)
    named = {"task": "a.task", "export": f"{__name__}.write_export"}
    folder = runs(tmp_path, mine=named, none={"task": "a.task"})
    arguments = ["--to", "safetensors", "--out", str(tmp_path / "out"), "--name=x"]
    assert export.main([str(folder / "mine"), *arguments]) == 0
    assert (tmp_path / "out" / "model.txt").read_text() == "mine safetensors {'name': 'x'}"
    assert export.main([str(folder / "none"), "--to", "bundle", "--out", f"{tmp_path}/b"]) == 1
    assert "names no export (config.export)" in capsys.readouterr().err


def test_runs_of_0_1_name_their_task_only():
    old = ConfigDict({"task": OLD})
    for what, dotted in systems.PATHS.items():
        assert systems.path(old, what) == dotted
        assert callable(systems.function(dotted, what))
        assert systems.path(ConfigDict({"task": OLD, what: ""}), what) == ""
        assert systems.path(ConfigDict({"task": "mine.task"}), what) == ""


def test_a_builder_of_ones_own_says_what_its_network_predicts(tmp_path):
    """Or is refused: it was taken for one of separate outputs."""
    union = unions.of([catalogue.load("mixamo")])
    config = ConfigDict({"task": f"{__name__}.task", "variant": "latent"})
    assert stages.variant_of(config, union, tmp_path).points == 3
    config.task = "acae_jax.estimation.autoencoder_stage.task"
    with pytest.raises(
        ValueError, match=r"does not say what its network predicts\. Define acae_jax"
    ):
        stages.variant_of(config, union, tmp_path)
    config.task = OLD
    assert stages.variant_of(config, union, tmp_path).points == len(union.joint_names)


def test_tasks_of_version_0_1_are_found_under_their_names_of_today(tmp_path):
    old = "acae_jax.estimation.bottleneck.task"
    folder = runs(tmp_path / "mine", autoencoder={"task": old}) / "autoencoder"
    assert config_files.read(folder).task == stages.AUTOENCODER
    assert train.task_builder(old) is autoencoder_stage.task


def variant_of(config, union, workdir):
    decode = jnp.full((len(union.joint_names), 3), 1 / 3)
    return objective.latent(Matrices(encode=jnp.zeros((3, len(union.joint_names))), decode=decode))


def test_stages_are_told_by_the_configs(tmp_path):
    tasks = {"z": stages.INITIAL, "a": "acae_jax.estimation.consistency.task"}
    tasks["k"] = stages.AUTOENCODER
    folder = runs(tmp_path / "mine", **{name: {"task": task} for name, task in tasks.items()})
    assert list(stages.of_workflow(folder)) == ["z", "k", "a"]


def test_relations_of_the_body_are_for_its_own_formats():
    embedded = [catalogue.load(name) for name in ("mixamo", "markers")]
    assert workflow.is_of_embedded_body(unions.of(embedded))
    others = [embedded[0], catalogue.load("smpl")]
    assert not workflow.is_of_embedded_body(unions.of(others))
    changed = embedded[0]._replace(joint_names=(*embedded[0].joint_names[:-1], "tail"))
    assert not workflow.is_of_embedded_body(unions.of([changed]))
