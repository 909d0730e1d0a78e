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

import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.training import logs, loop, tensorboard


def task_builder(dotted: str) -> Callable[[ConfigDict], loop.Task]:
    """The function that a dotted path names; a ValueError if there is none."""
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        raise ValueError(f"config.task = '{dotted}' names no task builder: {error}") from error


def join_processes() -> None:
    """Join the job's other processes; JAX asks SLURM, the TPU slice or Kubernetes who they are.

    Comes before anything that touches a device. A ValueError if nothing of the kind is around.
    """
    try:
        jax.distributed.initialize()
    except ValueError as error:
        raise ValueError(
            "--distributed needs a SLURM step, a TPU slice or a JobSet around it; leave it out on "
            f"a single machine ({error})"
        ) from error


def run(
    config: ConfigDict,
    workdir: str,
    profile: Sequence[int] = (),
    listeners: Sequence[logs.Listener] = (),
) -> None:
    """Build the task and train it, with config and version saved beside and in the checkpoints."""
    values = config.to_dict()
    task = task_builder(values["task"])(config)
    if jax.process_index() == 0:
        changes = configs.changes(config, workdir)
        if changes:
            logging.warning("the config has changed since this run began: %s", "; ".join(changes))
    loop.fit(
        task,
        workdir,
        steps=values["steps"],
        seed=values["seed"],
        profile=profile,
        facts={"config": values, "version": metadata.version("acae_jax")},
        listeners=listeners,
        # Not before: results that are there keep the config that made them.
        begun=partial(configs.save, config, workdir),
        **values["loop"],
    )


def traced_steps(text: str | None) -> tuple[int, ...]:
    """The steps of --profile=FIRST:END; none if it is not given."""
    if text is None:
        return ()
    first, _, end = text.partition(":")
    if not (first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise ValueError(f"--profile={text} must name steps as FIRST:END, such as 100:110")
    return int(first), int(end)


def main(arguments: Sequence[str], overrides: Sequence[str] = ()) -> int:
    """Run, and turn what a user can mend or has asked for into one line and an exit code."""
    if len(arguments) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(arguments[1:])}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # orbax tells every step of its work as information
    try:
        profile = traced_steps(flags.FLAGS.profile)
        if flags.FLAGS.distributed:
            join_processes()
        config, workdir = configs.load(flags.FLAGS.config, overrides), flags.FLAGS.workdir
        with ExitStack() as stack:
            listeners = []
            if flags.FLAGS.tensorboard:
                folder = Path(workdir) / tensorboard.FOLDER
                listeners.append(stack.enter_context(tensorboard.Events(folder)))
            run(config, workdir, profile, listeners)
    except loop.Interrupted as stop:
        print(stop, file=sys.stderr)
        return 128 + stop.signal
    except KeyboardInterrupt:  # before the first step, or the second Ctrl-C
        print("stopped at once: what the last checkpoint holds is kept", file=sys.stderr)
        return 128 + signal.SIGINT
    except (ValueError, OSError, FloatingPointError) as error:
        logging.debug("where it happened", exc_info=True)
        print(f"error: {error} (--verbosity=1 shows where)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    flags.DEFINE_string("config", None, "Config file, arguments behind a colon.", required=True)
    flags.DEFINE_string("workdir", None, "Folder for checkpoints, log and config.", required=True)
    flags.DEFINE_string("profile", None, "Steps FIRST:END to trace into WORKDIR/profile.")
    flags.DEFINE_boolean("tensorboard", False, "Write event files into WORKDIR/tensorboard too.")
    flags.DEFINE_boolean("distributed", False, "Join the processes of a job of several.")
    known, changes = configs.split_overrides(sys.argv)
    app.run(lambda arguments: main(arguments, changes), argv=known)
