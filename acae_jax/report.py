"""Report what was trained: one finished workflow, or any number of training runs side by side.

    python -m acae_jax.report runs/quickstart
    python -m acae_jax.report runs/sweep/*

The folder of a workflow (one that holds the folder of a run `initial`) gets report.html,
report.json and overview.png. Folders of runs, finished or still running, are compared: curves, last
and best values, and what their configs differ in, in comparison.html beside the first of them or in
--out. Both print their tables.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging

from acae_jax.comparison import page, runs

SECONDS = flags.DEFINE_float("seconds", 0.0, "Wall time of the whole workflow, for its report.")
OUT = flags.DEFINE_string("out", None, "File for the comparison's page.")
BY = flags.DEFINE_string("by", None, "What to rank runs by; without, their first shared score.")


def workflow(folder: Path, seconds: float) -> None:
    """Write the report of a finished workflow and print its table."""
    # These take seconds to import, and predicting takes a device: a comparison needs neither.
    from acae_jax.estimation import collect, pictures, report

    print(f"{folder} is a workflow of the runs {', '.join(collect.stages(folder))}\n")
    run = collect.outcome(folder, seconds)
    report.write(run, folder)
    (folder / "overview.png").write_bytes(pictures.overview(run))
    print(report.summary(run))
    print(f"\nReport: {folder / 'report.html'}")


def comparison(folders: Sequence[Path], out: Path, by: str | None) -> None:
    """Write the comparison of training runs and print its tables."""
    found = runs.read(folders)
    count = f"{len(found)} training runs" if len(found) > 1 else "1 training run"
    print(f"{count}: {', '.join(run.name for run in found)}\n")
    text = page.html(found, by)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(page.summary(found, by))
    print(f"\nComparison: {out}")


def report(paths: Sequence[Path], seconds: float, out: str | None, by: str | None) -> None:
    """The report that suits the folders; a ValueError if they are of several kinds or of none."""
    # runs/sweep/* also names the page of the comparison before.
    folders = [path for path in paths if not path.is_file()]
    if not folders:
        raise ValueError(f"{paths[0]} is a file: give folders of training runs, or of one workflow")
    if len(folders) < len(paths):
        files = ", ".join(str(path) for path in paths if path.is_file())
        print(f"Left out, as files are no runs: {files}")
    others = [folder for folder in folders if not runs.is_run(folder)]
    for folder in others:
        if not (folder / "initial").is_dir():
            missing = "holds no config.json" if folder.is_dir() else "does not exist"
            raise ValueError(
                f"{folder} {missing}: give folders of training runs, or of one workflow, which "
                "holds a run 'initial'"
            )
    if not others:
        beside = folders[0].resolve().parent / "comparison.html"
        comparison(folders, Path(out) if out else beside, by)
    elif len(folders) > 1:
        raise ValueError(
            f"{others[0]} is a whole workflow: give it alone, or the runs in it ({others[0]}/*)"
        )
    elif out or by:
        raise ValueError(f"--out and --by are for comparisons; {others[0]} is a whole workflow")
    else:
        workflow(others[0], seconds)


def main(arguments: Sequence[str]) -> int:
    """Report, and turn what the user can mend into one line."""
    if len(arguments) < 2:
        raise app.UsageError("give the folders of training runs, or of one workflow")
    logging.set_verbosity(logging.WARNING)  # TFDS announces every dataset
    try:
        report([Path(text) for text in arguments[1:]], SECONDS.value, OUT.value, BY.value)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(main)
