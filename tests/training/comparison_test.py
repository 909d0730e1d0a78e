"""Runs side by side: their logs as they are, whatever state they are in."""

import re
import shutil
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import numpy as np
import pytest
import tiny_config
import tiny_task
from ml_collections import ConfigDict

from acae_jax import report, train
from acae_jax.comparison import columns, page, runs, verdict
from acae_jax.training import logs, loop


def scored(config: ConfigDict, workdir: Path):
    """The tiny task with an error, a hit rate and a format's own error, and a dataset's loss."""

    def update(step, now, batch):
        after, metrics = tiny_task.update(now, batch)
        norm = metrics["loss"] * 2
        return after, {**metrics, "gradient_norm": norm, "dataset/a<b": metrics["loss"]}

    def evaluate(now):
        error = 100.0 / (1 + int(now.step)) + config.shift
        scores = {"error_mm": error, "pck150": 100 - error, "error_mm/smpl": error}
        return loop.Evaluated({f"test/{name}": value for name, value in scores.items()})

    return tiny_task.make(update=update, evaluate=evaluate)


def config(**changes):
    values = tiny_config.get_config().to_dict() | {"task": f"{__name__}.scored", "shift": 0.0}
    return ConfigDict(values | changes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two real runs, of 30 and 60 steps."""
    folder = tmp_path_factory.mktemp("sweep")
    train.run(config(steps=30), str(folder / "short"))
    train.run(config(shift=1.5), str(folder / "long"))
    return folder


@pytest.fixture
def sweep(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "sweep"))


def read(sweep, *names):
    return runs.read([sweep / name for name in names])


def test_each_run_is_read_as_it_was_logged(trained):
    short, long = read(trained, "short", "long")
    assert (short.name, long.name) == ("short", "long")
    assert short.rows == logs.read(trained / "short" / "metrics.jsonl")
    assert short.version == "0.1.0"
    assert runs.differences([short, long]) == {"steps": [30, 60], "shift": [0.0, 1.5]}
    assert runs.score_names(long) == ["test/error_mm", "test/pck150", "test/error_mm/smpl"]
    assert runs.training_names(long) == ["loss", "dataset/a<b", "gradient_norm"]
    losses = [row["loss"] for row in long.rows if "loss" in row]
    assert runs.series(long, "loss").values.tolist() == losses
    spent = runs.time_spent(long)
    last = [row for row in long.rows if "spent_s" in row][-1]
    assert sum(spent.values()) == pytest.approx(last["spent_s"])
    assert spent["compile"] == last["spent_compile_s"]


def test_the_best_run_stands_first_and_equal_steps_are_compared(trained):
    found = read(trained, "short", "long")
    name = verdict.ranking_value(found, None)
    assert name == "test/error_mm"
    # 100 / 31 at step 30, and 100 / 61 + 1.5 at step 60: longer is ahead, and was behind.
    assert [run.name for run in verdict.ranked(found, name)] == ["long", "short"]
    assert verdict.best(found[0], name) == (100 / 31, 30)
    told = verdict.headline(verdict.ranked(found, name), name)
    assert told == (
        "long reached the best test/error_mm: 3.139 at step 60, 2.7 % below short (3.226). At step "
        "30, the last that all of them have: 4.726 (long) against 3.226 (short). They differ in "
        "shift and steps."
    )
    by_hits = verdict.ranked(found, "test/pck150")
    assert [run.name for run in by_hits] == ["long", "short"]
    assert verdict.best(found[1], "test/pck150") == (pytest.approx(100 - 100 / 61 - 1.5), 60)
    with pytest.raises(ValueError, match=r"no run has 'test/eror'; there are test/error_mm, "):
        verdict.ranking_value(found, "test/eror")


def test_the_log_says_which_way_a_score_is_better():
    """The newest log decides for all; without a word, as in logs of version 0.1, the name does."""

    def run(name, values, **about):
        rows = [
            {"step": i, "seconds": float(i), "test/hits": value, "test/pck50": value} | about
            for i, value in enumerate(values, 1)
        ]
        return runs.Run(name, {}, None, rows)

    silent, more = run("silent", [3.0, 9.0]), run("more", [5.0, 1.0])
    assert (
        verdict.best(silent, "test/hits").value == 3 and verdict.best(more, "test/hits").step == 2
    )
    for name, first, best in (("test/hits", "more", 1), ("test/pck50", "silent", 0)):
        assert verdict.ranked([silent, more], name)[0].name == first
        assert columns.values([silent, more]).best[name] == best
    told = run("more", [5.0, 1.0], higher_is_better=["test/hits", "test/pck50"])
    assert [each.name for each in verdict.ranked([told, silent], "test/hits")] == ["silent", "more"]
    assert columns.overview([told, silent], "test/hits")["test/hits, best"] == ["5 at 1", "9 at 2"]
    assert columns.values([told, silent]).best == {"test/hits": 1, "test/pck50": 1}
    assert runs.score_names(told) == ["test/hits", "test/pck50"]
    for text in (page.summary([told, silent], "test/hits"), page.html([told, silent], "test/hits")):
        assert "silent reached the best test/hits: 9 at step 2" in text
    assert verdict.best(run("old", [3.0, 9.0], higher_is_better=[]), "test/pck50").value == 3


def test_losses_of_different_terms_rank_nobody():
    rows = [{"step": 1, "seconds": 1.0, "loss": 2.0}]
    first = runs.Run("first", {}, None, rows)
    second = first._replace(name="second", rows=[{**rows[0], "consistency": 1.0}])
    assert verdict.ranking_value([first, first], None) == "loss"
    assert verdict.ranking_value([first, second], None) is None
    assert "No logged value" in page.summary([first, second])
    assert "No logged value" in page.html([first, second])


def test_tables_hold_what_the_logs_say(trained):
    found = read(trained, "short", "long")
    shown = columns.overview(found, "test/error_mm")
    assert shown["test/error_mm, best"] == ["3.226 at 30", "3.139 at 60"]
    assert shown["at step 30"] == ["3.226", "4.726"]
    assert shown["step"] == ["30 of 30", "60 of 60"]
    assert shown["version"] == ["0.1.0", "0.1.0"]
    told = columns.values(found)
    assert told.texts["test/error_mm"] == ["3.226", "3.139"]
    assert told.best["test/error_mm"] == told.best["test/pck150"] == 1
    assert "loss" not in told.best
    text = page.summary(found)
    for expected in ("3.226 at 30", "*3.139", "shift", "1.5", "dataset/a<b", verdict.number(1.5)):
        assert expected in text
    assert "save_every" not in text  # the same in both


def test_the_page_is_whole_and_well_formed(trained):
    text = page.html(read(trained, "short", "long"))
    assert "://" not in text and "<script" not in text and "<link" not in text
    assert "<h2>test/error_mm/…</h2>" in text and "<h2>dataset/…</h2>" in text
    drawings = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert len(drawings) == len(captions)
    assert captions == [
        "test/error_mm by steps", "test/error_mm by time", "test/pck150", "smpl",
        "loss", "a&lt;b", "gradient norm", "steps per second",
        "% of the time spent training",
    ]  # fmt: skip
    for drawing in drawings:
        xml.dom.minidom.parseString(drawing.replace("<svg", '<svg xmlns:xlink="x"', 1))
        assert all(colour.lower() in drawing for colour in ("#0072b2", "#e69f00"))
    assert "<b" not in re.sub(r"<(br|body|b)>", "", text)
    assert "<td>shift</td><td>1.5</td><td>0.0</td>" in text


def test_more_runs_than_values_stand_one_below_the_other(trained):
    short, long = read(trained, "short", "long")
    several = [short._replace(name=f"short{i}") for i in range(8)]
    lines = columns.text([*several, long], {"shift": ["0"] * 8 + ["1.5"]}).splitlines()
    assert lines[0].split() == ["shift"] and lines[-1].split() == ["long", "1.5"]
    assert page.html([*several, long]).count("dashed") > 0


def test_time_is_summed_over_interruptions():
    def row(step, seconds, spent, data):
        parts = {f"spent_{kind}_s": 0.0 for kind in ("compile", "save", "evaluate")}
        return {
            **{"step": step, "seconds": seconds, "loss": 1.0},
            **{"spent_s": spent, "spent_data_s": data, **parts},
        }

    rows = [row(1, 2.0, 2.0, 0.0), row(2, 4.0, 4.0, 1.0)]
    # Continued: its first row comes later than all of the time spent before.
    rows += [row(3, 9.0, 5.0, 1.0), row(4, 14.0, 10.0, 6.0)]
    run = runs.Run("run", {}, None, rows)
    assert runs.time_spent(run) == {
        "train": 7.0, "data": 7.0, "compile": 0.0, "save": 0.0, "evaluate": 0.0,
    }  # fmt: skip
    assert runs.training_share(run).values.tolist() == [100, 50, 80, 0]
    np.testing.assert_allclose(runs.steps_per_second(run).values, [0.5, 0.2, 0.2])


def test_a_killed_and_continued_run_is_compared(tmp_path):
    for steps in (20, 40):  # the second continues the first, and its log
        train.run(config(steps=steps), str(tmp_path / "run"))
    (run,) = read(tmp_path, "run")
    assert runs.series(run, "loss").steps.tolist() == list(range(1, 41))
    last = [row for row in run.rows if "spent_s" in row][-1]
    assert sum(runs.time_spent(run).values()) > last["spent_s"]


def test_runs_that_have_just_begun_or_were_torn_are_shown(sweep, capsys):
    (sweep / "fresh").mkdir()
    shutil.copy(sweep / "short" / "config.json", sweep / "fresh")
    empty = Path(shutil.copytree(sweep / "fresh", sweep / "empty"))
    (empty / "metrics.jsonl").write_text("")
    with (sweep / "short" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 31, "lo')
    folders = [sweep / name for name in ("fresh", "empty", "short")]
    report.report(folders, 0.0, None, None)
    said = capsys.readouterr().out
    assert said.startswith("3 training runs: fresh, empty, short\n")
    assert "0 of 30" in said and "30 of 30" in said and "short reached the best" in said
    assert said.splitlines()[2].split() == [
        "short",
        "fresh",
        "empty",
    ]  # fresh ones have no score yet
    assert (sweep / "comparison.html").is_file()
    report.report(folders[:2], 0.0, sweep / "new" / "page.html", None)
    assert "No logged value" in (sweep / "new" / "page.html").read_text()


def test_the_page_of_the_last_comparison_is_left_out(sweep, capsys):
    for _ in range(2):  # as runs/sweep/* names it
        report.report(sorted(sweep.iterdir()), 0.0, None, "loss")
    said = capsys.readouterr().out.split("2 training runs: long, short\n")
    assert said[0] == "" and said[1].endswith("comparison.html\n") and len(said) == 3
    assert "reached the best loss" in said[2]


def test_values_that_are_null_or_missing_leave_gaps():
    rows = [{"step": i, "seconds": float(i), "loss": 1.0 / i, "term": None} for i in (1, 2, 3)]
    rows[1]["loss"] = None
    run = runs.Run("run", {"steps": 3}, None, rows)
    other = run._replace(name="other", rows=[{"step": 3, "seconds": 9.0, "test/a": None}])
    assert runs.series(run, "loss").steps.tolist() == [1, 3]
    assert columns.values([run, other]).texts["term"] == ["–", "–"]
    for wanted in (None, "loss", "term", "test/a"):
        assert page.summary([run, other], wanted) and page.html([run, other], wanted)


def test_long_values_are_cut_to_where_they_differ():
    quotas = [f"(('first', 16), ('second', 32), ('last', {n}))" for n in (8, 16)]
    assert columns.shortened(quotas) == ["…8))", "…16))"]
    assert columns.shortened(["short", "x" * 40]) == ["short", "x" * 27 + "…"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("short", "nowhere"), r"nowhere does not exist: give folders of training runs"),
        (("short/config.json",), r"config.json is a file: give folders"),
        (("checkpoints",), r"checkpoints holds no config.json: give folders"),
        (("short", "../sweep/short"), r"short is given twice"),
        (("short", "whole"), r"whole is a whole workflow: give it alone, or the runs in it"),
        (("damaged",), r"metrics.jsonl, line 3, is damaged: delete that line"),
        (("unreadable",), r"config.json is damaged: Expecting"),
        (("nameless",), r"no config.json in .*nameless; is it the folder of a run"),
    ],
)
def test_what_cannot_be_compared_is_one_line(sweep, names, message):
    (sweep / "checkpoints").mkdir()
    (sweep / "whole").mkdir()
    shutil.copytree(sweep / "short", sweep / "whole" / "one")
    for name in ("damaged", "unreadable", "nameless"):
        shutil.copytree(sweep / "short", sweep / name)
    log = sweep / "damaged" / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines[:2], "x\n", *lines[3:]]))
    (sweep / "unreadable" / "config.json").write_text("")
    (sweep / "nameless" / "config.json").unlink()
    with pytest.raises(ValueError, match=message) as caught:
        report.report([sweep / name for name in names], 0.0, None, None)
    assert "\n" not in str(caught.value)


def test_the_command_compares_without_a_device(trained, tmp_path):
    """A run may be using the accelerator, and takes all of its memory."""
    out = tmp_path / "page.html"
    arguments = [str(trained / "short"), str(trained / "long"), f"--out={out}"]
    code = (
        "import sys; from acae_jax import report\n"
        f"assert report.main({arguments!r}) == 0\n"
        "from jax._src import xla_bridge; assert not xla_bridge._backends\n"
        "assert 'tensorflow_datasets' not in sys.modules"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert out.is_file() and f"Comparison: {out}" in process.stdout
