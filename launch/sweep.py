r"""Many trainings from one command, with any launcher.

python launch/sweep.py slurm --gpus-per-node 1 --hours 4 --requeues 0 --confirm 24 \
    --product optimizer.base_rate=1e-2,3e-3 --product seed=0,1,2 -- \
    --config configs/estimation/embedded.py:stage=initial --workdir runs/sweep

starts six jobs, in runs/sweep/base_rate=1e-2_seed=0 and so on. Each --product multiplies the number
of jobs. All --zip options together are one axis: their lists have the same length, and a job takes
the values at the same place of each list. Options that are not listed here go to the launcher:
local, slurm, tpu_vm or gke. --confirm takes the cost of all jobs together. A finished job returns
at once, so the same command continues a sweep.
"""

import argparse
import itertools
import re
import sys
from collections.abc import Sequence

import gke
import local
import rental
import slurm
import tpu_vm

LAUNCHERS = {module.__name__: module.LAUNCHER for module in (local, slurm, tpu_vm, gke)}
Overrides = tuple[tuple[str, str], ...]  # (name in the config, value)


def parser() -> rental.Parser:
    """The options of the sweep; all others go to the launcher."""
    options = rental.Parser(__doc__)
    options.add_argument("launcher", choices=LAUNCHERS)
    for kind in ("--product", "--zip"):
        options.add_argument(kind, action="append", default=[], metavar="NAME=A,B", type=axis)
    return options


def axis(text: str) -> list[tuple[str, str]]:
    """Read "name=a,b" as [(name, a), (name, b)]; commas within brackets do not separate."""
    name, equals, values = text.partition("=")
    parts = re.split(r",(?![^(\[]*[)\]])", values)
    if not name or not equals or not all(parts):
        raise argparse.ArgumentTypeError(f"must be NAME=A,B,…, got {text!r}")
    return [(name.removeprefix("config."), part) for part in parts]


def combinations(products: Sequence[list], zipped: Sequence[list]) -> list[Overrides]:
    """The overrides of each job; the last axis changes fastest."""
    if len({len(values) for values in zipped}) > 1:
        lengths = ", ".join(f"{values[0][0]} has {len(values)}" for values in zipped)
        raise rental.Refused(f"--zip needs lists of equal length, but {lengths}")
    axes: list[list[Overrides]] = [[(value,) for value in values] for values in products]
    if zipped:
        axes.append(list(zip(*zipped, strict=True)))
    if not axes:
        raise rental.Refused("a sweep needs --product NAME=A,B or --zip NAME=A,B")
    jobs = [tuple(itertools.chain(*parts)) for parts in itertools.product(*axes)]
    for names in ([name for name, _ in job] for job in jobs[:1]):
        if twice := {name for name in names if names.count(name) > 1}:
            raise rental.Refused(f"{', '.join(sorted(twice))} is on two axes")
    return jobs


def folder(job: Overrides) -> str:
    """The name of a job's folder, such as base_rate=1e-2_seed=0."""
    last = [name.rpartition(".")[2] for name, _ in job]
    short = len(set(last)) == len(last)
    names = last if short else [name for name, _ in job]
    parts = [f"{name}={value}" for name, (_, value) in zip(names, job, strict=True)]
    return re.sub(r"[^\w.=+-]+", "-", "_".join(parts))


def trainings(jobs: Sequence[Overrides], train_arguments: Sequence[str]) -> list[rental.Training]:
    """The checked arguments of every job."""
    base = rental.training(train_arguments)
    result = [
        base._replace(
            workdir=f"{base.workdir.rstrip('/')}/{folder(job)}",
            overrides=(*base.overrides, *(f"{name}={value}" for name, value in job)),
        )
        for job in jobs
    ]
    if len({training.workdir for training in result}) < len(jobs):
        raise rental.Refused("two jobs would share a workdir: is a value listed twice?")
    return [rental.checked(training) for training in result]


def main(arguments: Sequence[str]) -> int:
    """Check every job, state the cost of all, and launch them one after another."""
    own, train_arguments = rental.split(arguments)
    options, rest = parser().parse_known_args(own)
    launcher = LAUNCHERS[options.launcher]
    jobs = trainings(combinations(options.product, options.zip), train_arguments)
    if options.dry_run:
        rest.append("--dry-run")
    launcher_options = launcher.parser().parse_args(rest)
    if getattr(launcher_options, "name", None):
        raise rental.Refused("--name is for one job; a sweep names its jobs by their workdirs")
    cost = launcher.cost(launcher_options)
    for training in jobs:
        rental.fits(training, cost)
    rental.confirm(cost, options, len(jobs))
    failures = []
    for training in jobs:
        code = launcher.launch(launcher_options, training)
        if code == rental.STOPPED:
            return code
        if code:
            failures.append(training.workdir)
    if failures:
        print(f"{len(failures)} of {len(jobs)} failed: {', '.join(failures)}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(rental.guarded(main, sys.argv[1:]))
