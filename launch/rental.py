"""Code of all launchers: the check of arguments, the cost and its confirmation, and dry runs.

The options of a launcher stand before `--`, the arguments of acae_jax.train after it.

Exit codes: 2 if the request is wrong or not confirmed (then nothing was started); else the code of
the last command. Training ends with 0, with 1 after an error, or with 143 if it was stopped and has
saved.
"""

import argparse
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from acae_jax import config as configs
from acae_jax.data import mixture
from acae_jax.files import paths

ROOT = Path(__file__).resolve().parent.parent
STOPPED = 143  # training was stopped and has saved; the same command continues it


class Refused(Exception):  # noqa: N818 - its message is one line for the user
    """The request is wrong or unconfirmed; nothing was started."""


class Stopped(Exception):  # noqa: N818 - not an error: somebody stopped the launcher
    """Ctrl-C or SIGTERM stopped the launcher while a command ran; the command ended with `code`."""

    def __init__(self, code: int):
        super().__init__(f"stopped by a signal (exit code {code})")
        self.code = code


class Training(NamedTuple):
    """The checked arguments of acae_jax.train."""

    config: str
    workdir: str
    overrides: tuple[str, ...]
    flags: tuple[str, ...] = ()

    def command(self, python: str, *flags: str) -> list[str]:
        """The command that trains; `flags` are the launcher's own."""
        return [python, "-m", "acae_jax.train", *flags, *self.arguments()]

    def arguments(self) -> list[str]:
        """The arguments of acae_jax.train."""
        changes = [f"--config.{override}" for override in self.overrides]
        return [f"--config={self.config}", f"--workdir={self.workdir}", *self.flags, *changes]

    def name(self) -> str:
        """A name for the job, which depends only on the workdir and is valid for every provider."""
        slug = "acae-" + re.sub(r"[^a-z0-9]+", "-", self.workdir.lower()).strip("-")
        if len(slug) > 40:
            slug = f"{slug[:31].strip('-')}-{hashlib.sha256(self.workdir.encode()).hexdigest()[:8]}"
        return slug


class Cost(NamedTuple):
    """The most that a job can cost: the provider ends each run after `hours`."""

    count: int
    instance: str
    units: int  # billed units of all instances together
    unit: str
    hours: float
    runs: int = 1

    @property
    def total(self) -> float:
        """The unit-hours if every run takes all of its time."""
        return self.units * self.hours * self.runs

    def __str__(self) -> str:
        runs = f", at most {self.runs} runs" if self.runs > 1 else ""
        return (
            f"{self.count} x {self.instance} = {self.units} {self.unit}(s), at most "
            f"{number(self.hours)} h{runs}: at most {number(self.total)} {self.unit}-hours"
        )


class Launcher(NamedTuple):
    """A way of starting a training, for its own main and for sweep.py."""

    parser: Callable[[], "Parser"]
    cost: Callable[[argparse.Namespace], Cost | None]  # None if nothing is rented
    launch: Callable[[argparse.Namespace, Training], int]  # after the cost was confirmed

    def main(self, arguments: Sequence[str]) -> int:
        """Check, state the cost, ask, launch."""
        own, train_arguments = split(arguments)
        options = self.parser().parse_args(own)
        job = training(train_arguments)
        cost = self.cost(options)
        fits(job, cost)
        confirm(cost, options)
        return self.launch(options, job)


class Parser(argparse.ArgumentParser):
    """An argument parser with the options of every launcher, whose errors are one line."""

    def __init__(self, description: str | None):
        super().__init__(
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--dry-run", action="store_true", help="print the commands; run none")
        self.add_argument(
            "--confirm", type=float, metavar="HOURS", help="the stated cost, in unit-hours"
        )

    def error(self, message: str) -> NoReturn:
        """Refuse."""
        raise Refused(f"{message} (--help lists the options)")


def number(value: float) -> str:
    """A number as text, without exponent or trailing zeros."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def whole(text: str) -> int:
    """The type of an option: a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text!r}")
    return int(text)


def hours(text: str) -> float:
    """The type of an option: hours from 0.1 to 1000."""
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not 0.1 <= float(text) <= 1000:
        raise argparse.ArgumentTypeError(f"must be hours from 0.1 to 1000, got {text!r}")
    return float(text)


def label(text: str) -> str:
    """The type of an option: a name that is valid for every provider."""
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(
            f"must be at most 40 of a-z, 0-9 and -, beginning with a letter, got {text!r}"
        )
    return text


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options of the launcher, and the arguments after `--`."""
    if "--" not in arguments:
        return list(arguments), []
    at = list(arguments).index("--")
    return list(arguments[:at]), list(arguments[at + 1 :])


def training(arguments: Sequence[str]) -> Training:
    """Check the arguments of acae_jax.train, down to every value of the config."""
    rest, overrides = configs.split_overrides(arguments)
    parser = Parser(None)
    parser.add_argument("--config")
    parser.add_argument("--workdir")
    parser.add_argument("--verbosity")
    parser.add_argument("--profile")
    parser.add_argument("--tensorboard", action="store_true")
    options = parser.parse_args(rest)
    if not options.config or not options.workdir:
        raise Refused("the arguments of acae_jax.train are missing: … -- --config FILE --workdir W")
    if options.dry_run or options.confirm is not None:
        raise Refused("--dry-run and --confirm belong before the --")
    values = {name: getattr(options, name) for name in ("verbosity", "profile")}
    flags = [f"--{name}={value}" for name, value in values.items() if value]
    flags += ["--tensorboard"] if options.tensorboard else []
    return checked(Training(options.config, options.workdir, tuple(overrides), tuple(flags)))


def checked(training: Training) -> Training:
    """The same training; raises Refused if its config or workdir is wrong."""
    try:
        paths.local(training.workdir)
        configs.load(training.config, training.overrides)
    except ValueError as error:
        raise Refused(str(error)) from error
    return training


def fits(training: Training, cost: Cost | None) -> None:
    """Refuse a number of devices over which the config's batch cannot be cut."""
    if cost is None or not training.config:
        return
    config = configs.load(training.config, training.overrides).to_dict()
    if "quotas" not in config.get("data", {}):
        return
    data, devices = config["data"], cost.units
    if config["loop"]["devices"] not in (None, devices):
        raise Refused(
            f"loop.devices is {config['loop']['devices']}, but {devices} devices would be rented: "
            "leave it out"
        )
    quotas, group = sum(quota for _, quota in data["quotas"]), data["ghost_size"]
    batch, parts = quotas * data["quota_scale"], data["parts"]
    if min(group, parts, data["quota_scale"]) < 1:
        raise Refused("data.ghost_size, data.parts and data.quota_scale must be at least 1")
    whole, most = group * devices * parts, batch // group // parts
    if batch % whole:
        fewer = f"take {most} or a divisor of that, or " if most else ""
        scale = mixture.fitting_scale(quotas, whole)
        raise Refused(
            f"a batch of {batch} in groups of {group} and {parts} part(s) cannot be cut over "
            f"{devices} devices; {fewer}--config.data.quota_scale={scale}"
        )


def confirm(cost: Cost | None, options: argparse.Namespace, jobs: int = 1) -> None:
    """State the cost, and continue only if it is confirmed, by --confirm or on the terminal."""
    if cost is None:
        print("# cost: nothing is rented")
        return
    total = number(cost.total * jobs)
    each = f" each; {jobs} jobs: at most {total} {cost.unit}-hours" if jobs > 1 else ""
    print(f"# cost: {cost}{each}", flush=True)
    if options.dry_run:
        return
    if options.confirm is None and sys.stdin.isatty():
        if input("Rent this? (yes/no) ").strip().lower() == "yes":
            return
    elif options.confirm is not None and number(options.confirm) == total:
        return
    raise Refused(f"not confirmed, nothing was started; to agree, add --confirm {total}")


def execute(options: argparse.Namespace, command: Sequence[str], text: str | None = None) -> int:
    """Run a command, with `text` as its input, and return its exit code. A dry run prints it.

    SIGTERM is passed on to the command. After a signal, raises Stopped when the command has ended.
    """
    line = shlex.join(command)
    if options.dry_run:
        print(line if text is None else f"{line} <<'END'\n{text}END", flush=True)
        return 0
    need(command[0])
    print(f"+ {line}", file=sys.stderr, flush=True)
    signals: list[int] = []
    process = subprocess.Popen(command, stdin=None if text is None else subprocess.PIPE, text=True)

    def pass_on(signum: int, frame: Any) -> None:
        signals.append(signum)
        if signum == signal.SIGTERM:  # a terminal sends Ctrl-C to the command itself
            process.terminate()

    previous = {s: signal.signal(s, pass_on) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        process.communicate(text)
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    if signals:
        raise Stopped(code or 128 + signals[0])
    return code


def need(program: str) -> None:
    """Refuse if a program is not installed."""
    if shutil.which(program) is None:
        raise Refused(f"'{program}' is not on PATH: install it, or use another launcher")


def read(command: Sequence[str]) -> str:
    """The output of a command that changes nothing (dry runs run it, too); Refused if it fails."""
    need(command[0])
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise Refused(f"cannot go on: '{shlex.join(command)}' failed ({result.returncode})")
    return result.stdout.strip()


def guarded(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run a main from the repository's root and return its exit code; a refusal is one line."""
    os.chdir(ROOT)
    # Between commands SIGTERM acts like Ctrl-C, so that launchers can say what still costs.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return main(arguments)
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    except (Stopped, KeyboardInterrupt) as stop:
        print(str(stop) or "stopped", file=sys.stderr)
        return stop.code if isinstance(stop, Stopped) else 130
    finally:
        signal.signal(signal.SIGTERM, previous)
