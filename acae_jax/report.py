"""Report what was trained: one finished workflow, or any number of training runs side by side.

    python -m acae_jax.report runs/quickstart
    python -m acae_jax.report runs/sweep/*

The folder of a workflow, whose runs belong together, gets the report that their configs name as
`config.report`: for pose estimation report.html, report.json and overview.png. Folders of runs,
finished or still running, are compared: curves, last and best values, and what their configs differ
in, in comparison.html beside the first of them or in --out. Both print their tables.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from acae_jax import command_line, systems
from acae_jax.files import paths


def workflow(folder: Path, seconds: float) -> None:
    """Write the report that the workflow's configs name and print its text."""
    from acae_jax.bundles import compiling

    paths = report_paths(folder)
    if len(paths) > 1:
        raise ValueError(f"{folder} holds runs of several systems: {', '.join(sorted(paths))}")
    if not paths:
        raise ValueError(
            f"the configs of the runs in {folder} name no report of the whole: compare the runs, "
            f"{folder}/*"
        )
    compiling.keep()  # training has compiled what predicts
    print(systems.function(paths.pop(), "report")(folder, seconds))


def report_paths(folder: Path) -> set[str]:
    """The reports that the configs of the runs in a folder name."""
    from acae_jax import config as configs

    inner = [path.parent for path in folder.glob("*/config.json")]
    return {systems.path(configs.read(run), "report") for run in inner} - {""}


def comparison(folders: Sequence[Path], out: Path, by: str | None) -> None:
    """Write the comparison of training runs and print its tables."""
    from acae_jax.comparison import page, runs

    group = runs.read(folders)
    count = f"{len(group)} training runs" if len(group) > 1 else "1 training run"
    print(f"{count}: {', '.join(run.name for run in group)}\n")
    text = page.html(group, by)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(page.summary(group, by))
    print(f"\nComparison: {out}")


def report(paths: Sequence[Path], seconds: float, out: Path | None, by: str | None) -> None:
    """The report that suits the folders; a ValueError if they are of several kinds or of none."""
    from acae_jax.comparison import runs

    # runs/sweep/* also names the page of the comparison before.
    folders = [path for path in paths if not path.is_file()]
    if not folders:
        raise ValueError(f"{paths[0]} is a file: give folders of training runs, or of one workflow")
    if len(folders) < len(paths):
        files = ", ".join(str(path) for path in paths if path.is_file())
        print(f"Left out, as files are no runs: {files}")
    others = [folder for folder in folders if not runs.is_run(folder)]
    for folder in others:
        if not any(folder.glob("*/config.json")):
            missing = "holds no config.json" if folder.is_dir() else "does not exist"
            raise ValueError(
                f"{folder} {missing}: give folders of training runs, or one that holds the runs of "
                "a workflow"
            )
    if not others:
        beside = folders[0].resolve().parent / "comparison.html"
        comparison(folders, out or beside, by)
    elif len(folders) > 1:
        raise ValueError(
            f"{others[0]} is a whole workflow: give it alone, or the runs in it ({others[0]}/*)"
        )
    elif out or by:
        raise ValueError(f"--out and --by are for comparisons; {others[0]} is a whole workflow")
    else:
        workflow(others[0], seconds)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser("acae report", description="Report what was trained.")
    flags.add_argument(
        "folders", type=paths.local, nargs="+", help="training runs, or one workflow"
    )
    flags.add_argument(
        "--seconds", type=float, default=0.0, help="wall time of the whole workflow, for its report"
    )
    flags.add_argument("--out", type=paths.local, help="file for the comparison's page")
    flags.add_argument("--by", help="what to rank runs by (default: their first shared score)")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Report; the exit code."""
    options = parser().parse_args(arguments)
    return command_line.exit_code(
        partial(report, options.folders, options.seconds, options.out, options.by)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
