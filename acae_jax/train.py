"""Train what a config describes.

    C=configs/estimation/embedded.py
    python -m acae_jax.train --config $C:stage=initial --workdir runs/initial

--config.a.b=value changes single values; --profile=100:110 traces those steps; --tensorboard writes
the log's rows as TensorBoard's event files too. The config's `task` names the function that builds
the task, e.g. acae_jax.estimation.initial.task; its `steps`, `seed` and block `loop` go to
acae_jax.training.loop.fit, which does the work. The same command continues a run that was stopped;
on a finished run it does nothing. Exit code 130 after Ctrl-C, 143 after SIGTERM, 1 after an error
that one line explains. --distributed joins the processes of a job that spans hosts or GPUs: SLURM,
a TPU slice or GKE, see launch/README.md; each of them runs this same command.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from acae_jax import command_line, systems
from acae_jax.files import paths

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from acae_jax.training import logs, loop
    from acae_jax.training.state import TrainState

LEVELS = ("fatal", "error", "warning", "info", "debug")


def task_builder(dotted: str) -> Callable[[ConfigDict, Path], loop.Task]:
    """The function (config, workdir) → task of a dotted path; a ValueError if it is none."""
    builder = systems.function(systems.today(dotted), "task")
    try:
        inspect.signature(builder).bind({}, Path())
    except TypeError as error:
        raise ValueError(
            f"config.task = '{dotted}' names no task builder: it must take (config, workdir)"
        ) from error
    return builder


def join_processes() -> None:
    """Join the job's other processes; JAX asks SLURM, the TPU slice or Kubernetes who they are.

    Comes before anything that touches a device. A ValueError if nothing of the kind is around.
    """
    import jax

    try:
        jax.distributed.initialize()
    except ValueError as error:
        raise ValueError(
            "--distributed needs a SLURM step, a TPU slice or a JobSet around it; leave it out on "
            f"a single machine ({error})"
        ) from error


def run(
    config: ConfigDict,
    workdir: str | Path,
    profile: Sequence[int] = (),
    listeners: Sequence[logs.Listener] = (),
) -> TrainState:
    """Build the task and train it, with config and version saved beside and in the checkpoints.

    Returns the final state. Errors are those of `loop.fit`, and a ValueError for a config that
    makes no sense.
    """
    import jax
    from absl import logging

    from acae_jax import config as configs
    from acae_jax.training import loop

    values = config.to_dict()
    workdir = paths.local(workdir)
    task = task_builder(values["task"])(config, workdir)
    if jax.process_index() == 0:
        changes = configs.changes(config, workdir)
        if changes:
            logging.warning("the config has changed since this run began: %s", "; ".join(changes))
    return loop.fit(
        task,
        workdir,
        steps=values["steps"],
        seed=values["seed"],
        profile=profile,
        metadata={"config": values, "version": metadata.version("acae_jax")},
        listeners=listeners,
        # Not before: results that are there keep the config that made them.
        on_start=partial(configs.save, config, workdir),
        **configs.keywords(loop.fit, values["loop"], "loop"),
    )


def traced_steps(text: str | None) -> tuple[int, ...]:
    """The steps of --profile=FIRST:END; none if it is not given."""
    if text is None:
        return ()
    first, _, end = text.partition(":")
    if not (first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise ValueError(f"--profile={text} must name steps as FIRST:END, such as 100:110")
    return int(first), int(end)


def level(text: str) -> int | str:
    """The value of --verbosity, as absl takes it: a number, or a name."""
    if text.lower() in LEVELS:
        return text.lower()
    return int(text)


def train(options: argparse.Namespace, others: Sequence[str]) -> int:
    """Train what the arguments say, `others` being changes of the config; the exit code."""
    from absl import logging

    from acae_jax import config as configs
    from acae_jax.bundles import compiling
    from acae_jax.training import loop, tensorboard

    unknown, overrides = configs.split_overrides(others)
    if unknown:
        parser().error(f"unknown arguments: {' '.join(unknown)}")
    logging.use_absl_handler()
    # Without being asked not: orbax tells every step of its work as information.
    logging.set_verbosity(logging.WARNING if options.verbosity is None else options.verbosity)
    try:
        profile = traced_steps(options.profile)
        if options.distributed:
            join_processes()
        config = configs.load(options.config, overrides)
        compiling.keep()  # for the next stage, and for the run that continues this one
        with ExitStack() as stack:
            listeners = []
            if options.tensorboard:
                folder = Path(options.workdir) / tensorboard.FOLDER
                listeners.append(stack.enter_context(tensorboard.Events(folder)))
            run(config, options.workdir, profile, listeners)
    except loop.Interrupted as stop:
        print(stop, file=sys.stderr)
        return 128 + stop.signal
    except command_line.MENDABLE:
        logging.debug("where it happened", exc_info=True)
        raise
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line, without the overrides of single values."""
    flags = argparse.ArgumentParser(
        "acae train",
        description="Train what a config describes.",
        epilog="--config.a.b=value changes single values of the config.",
        allow_abbrev=False,
    )
    add = flags.add_argument
    add("--config", required=True, help="config file, its arguments behind a colon")
    add("--workdir", type=paths.local, required=True, help="folder for checkpoints, log and config")
    add("--profile", metavar="FIRST:END", help="steps to trace into WORKDIR/profile")
    add("--tensorboard", action="store_true", help="write event files into WORKDIR/tensorboard too")
    add("--distributed", action="store_true", help="join the processes of a job of several")
    add("--verbosity", type=level, help="of messages: 1 (debug), 0 (info), -1 (warning, default)")
    return flags


def main(arguments: Sequence[str]) -> int:
    """Train; the exit code."""
    options, others = parser().parse_known_args(arguments)
    # Before the first step, or after the second Ctrl-C.
    stopped = "stopped at once: what the last checkpoint holds is kept"
    work = partial(train, options, others)
    return command_line.exit_code(work, stopped, lambda: " (--verbosity=1 shows where)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
