r"""Rent a TPU slice, train on all its hosts, again after each preemption, and delete it.

python launch/tpu_vm.py all --zone us-west4-a --type v5litepod-8 --bucket my-bucket \
    --hours 24 --confirm 192 -- --config configs/estimation/dozens.py:stage=initial,\
data=/mnt/my-bucket/data --workdir /mnt/my-bucket/dozens/initial

The stages of `all` are also commands: create, copy, run, delete. `status` says whether there is a
slice and whether it costs. The slice is a queued resource that the provider ends after --hours. If
it is lost, a new one is made for the remaining hours, so the stated cost covers all attempts. The
workdir must lie in the bucket, which is mounted on every host at /mnt/BUCKET, because the disks of
the slice are lost with it.
"""

import argparse
import math
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence

import rental

GCLOUD = ("gcloud", "alpha", "compute", "tpus")  # only alpha knows --max-run-duration
# The number in a type counts chips; in the older families it counts cores, two for each chip.
UNITS_PER_CHIP = {"v4": 2, "v5p": 2, "v5litepod": 1, "v6e": 1}
IMAGES = {"v5litepod": "v2-alpha-tpuv5-lite", "v5p": "v2-alpha-tpuv5", "v6e": "v2-alpha-tpuv6e"}
ON_THE_WAY = ("CREATING", "ACCEPTED", "PROVISIONING", "WAITING_FOR_RESOURCES")
CONNECTION_LOST = 255  # ssh's own exit code
PYTHON = ".venv/bin/python"
INSTALL = """\
mkdir -p acae_jax && tar --extract --gzip --file {archive} --directory acae_jax && cd acae_jax && \
{{ command -v python3.11 || {{ sudo apt-get -qq update && \
sudo apt-get -qq install --yes python3.11 python3.11-venv; }}; }} > /dev/null && \
{{ test -x .venv/bin/python || python3.11 -m venv .venv; }} && \
.venv/bin/pip install --quiet --editable '.[tpu]' --constraint constraints.txt"""
# Without --rename-dir-limit a bucket refuses the renaming that completes a checkpoint.
MOUNT = """\
sudo mkdir -p /mnt/{bucket} && sudo chown "$USER" /mnt/{bucket} && {{ mountpoint -q /mnt/{bucket} \
|| gcsfuse --implicit-dirs --rename-dir-limit=1000000 {bucket} /mnt/{bucket}; }}"""


def parser() -> rental.Parser:
    """The stage, and the kind of the slice."""
    options = rental.Parser(__doc__)
    options.add_argument("stage", choices=("all", *STAGES))
    options.add_argument("--zone", required=True)
    options.add_argument("--name", type=rental.label, help="default: made from the workdir")
    options.add_argument("--project")
    options.add_argument("--type", help=f"such as v5litepod-8; of {', '.join(UNITS_PER_CHIP)}")
    options.add_argument("--image", help="software of the hosts; default: by the type")
    options.add_argument("--hours", type=rental.hours, help="how long the slice may exist")
    options.add_argument(
        "--wait-hours", type=rental.hours, default=24.0, help="in the queue, which is free"
    )
    options.add_argument("--provisioning", choices=("flex-start", "spot"), default="flex-start")
    options.add_argument("--bucket", help="Cloud Storage bucket, mounted at /mnt/BUCKET")
    options.add_argument("--attempts", type=rental.whole, default=5)
    options.add_argument("--poll-seconds", type=float, default=30.0)
    options.add_argument("--keep", action="store_true", help="all: do not delete at the end")
    return options


def cost(options: argparse.Namespace) -> rental.Cost | None:
    """Chip-hours; None for stages that rent nothing."""
    if options.stage not in ("all", "create"):
        return None
    if not options.type or not options.hours:
        raise rental.Refused(f"{options.stage} needs --type and --hours")
    family, _, size = options.type.partition("-")
    if family not in UNITS_PER_CHIP or not size.isdecimal() or int(size) % UNITS_PER_CHIP[family]:
        types = ", ".join(f"{name}-N" for name in UNITS_PER_CHIP)
        raise rental.Refused(f"--type is {options.type!r}; it must be one of {types}")
    if options.provisioning == "flex-start" and options.hours > 168:
        raise rental.Refused("--hours is at most 168 (7 days) with flex-start")
    chips = int(size) // UNITS_PER_CHIP[family]
    return rental.Cost(1, f"{options.provisioning} slice {options.type}", chips, "chip",
                       options.hours)  # fmt: skip


class Slice:
    """A queued resource and its slice, which has the same name."""

    def __init__(self, options: argparse.Namespace, name: str):
        self.options = options
        self.name = name
        self.since: float | None = None  # when the present slice became active
        self.past_seconds = 0.0  # for which earlier slices were active
        self._place = [f"--zone={options.zone}"]
        if options.project:
            self._place.append(f"--project={options.project}")

    def state(self) -> str:
        """The state of the queued resource, as the provider calls it; empty if there is none."""
        if self.options.dry_run:
            return ""
        # An empty list means that there is none; `describe` would fail also for other reasons.
        query = [f"--filter=name~/{self.name}$", "--format=value(state.state)"]
        command = [*GCLOUD, "queued-resources", "list", *self._place, *query]
        for _ in range(4):  # a short failure must not end a long run
            try:
                return rental.read(command)
            except rental.Refused:
                time.sleep(self.options.poll_seconds)
        return rental.read(command)

    def left_seconds(self) -> int:
        """The rest of the confirmed hours, in seconds."""
        running = 0.0 if self.since is None else time.monotonic() - self.since
        return math.floor((self.options.hours or 0) * 3600 - self.past_seconds - running)

    def create(self) -> int:
        """Request a slice for the remaining hours, and wait until it is there."""
        family = self.options.type.partition("-")[0]
        command = [*GCLOUD, "queued-resources", "create", self.name, *self._place,
            f"--node-id={self.name}",
            f"--accelerator-type={self.options.type}",
            f"--runtime-version={self.options.image or IMAGES.get(family, 'tpu-ubuntu2204-base')}",
            f"--provisioning-model={self.options.provisioning}",
            f"--max-run-duration={self.left_seconds()}s",
            f"--valid-until-duration={math.floor(self.options.wait_hours * 3600)}s",
        ]  # fmt: skip
        return rental.execute(self.options, command) or self.wait()

    def wait(self) -> int:
        """Wait until a requested slice is there; 1 if it will not come."""
        while (state := self.state()) in ON_THE_WAY:
            time.sleep(self.options.poll_seconds)
        if self.options.dry_run:
            return 0
        if state == "ACTIVE":
            self.since = time.monotonic()
            return 0
        print(f"{self.name} did not become active, it is {state or 'gone'}", file=sys.stderr)
        return 1

    def copy(self) -> int:
        """Install the committed code and mount the bucket on every host."""
        archive = f"{self.name}.tar.gz"
        local = f"{tempfile.gettempdir()}/{archive}"
        steps = [
            ["git", "archive", "--format=tar.gz", f"--output={local}", "HEAD"],
            [*GCLOUD, "tpu-vm", "scp", local, f"{self.name}:{archive}", "--worker=all",
             *self._place, "--quiet"],
            self._on_all_hosts(INSTALL.format(archive=archive)),
        ]  # fmt: skip
        if self.options.bucket:
            steps.append(self._on_all_hosts(MOUNT.format(bucket=self.options.bucket)))
        return next((code for step in steps if (code := rental.execute(self.options, step))), 0)

    def run(self, training: rental.Training) -> int:
        """Train on every host until training ends or the hours are used."""
        # After a lost connection the old command may still run; flock waits for its end.
        guards = ["flock", "--timeout=600", ".running"]
        if self.options.hours:
            limit = f"{self.left_seconds()}s"
            guards += ["timeout", "--preserve-status", "--kill-after=120s", limit]
        command = shlex.join([*guards, *training.command(PYTHON, "--distributed")])
        return rental.execute(self.options, self._on_all_hosts(f"cd acae_jax && {command}"))

    def delete(self) -> int:
        """Delete, and check that it is gone."""
        code = rental.execute(self.options, self._delete_command())
        if self.since is not None:
            self.past_seconds += time.monotonic() - self.since
            self.since = None
        if state := self.state():
            print(f"deleting failed ({code}): {self.leftover(state)}", file=sys.stderr)
            return code or 1
        if not self.options.dry_run:
            print(f"# {self.name} is deleted, nothing costs")
        return 0

    def leftover(self, state: str) -> str:
        """A sentence: what is left, whether it costs, and how to delete it."""
        if not state:
            return f"there is no {self.name}, nothing costs"
        costs = "costs until it is deleted"
        if state in ON_THE_WAY:
            costs = "will cost when it comes"
        elif state in ("SUSPENDED", "FAILED"):
            costs = "does not cost"
        return f"{self.name} is {state} and {costs}: {shlex.join(self._delete_command())}"

    def _delete_command(self) -> list[str]:
        return [*GCLOUD, "queued-resources", "delete", self.name, *self._place, "--force",
                "--quiet"]  # fmt: skip

    def _on_all_hosts(self, command: str) -> list[str]:
        return [*GCLOUD, "tpu-vm", "ssh", self.name, "--worker=all", *self._place,
                "--quiet", "--ssh-flag=-oServerAliveInterval=60",
                f"--command={command}"]  # fmt: skip


def until_done(there: Slice, training: rental.Training) -> int:
    """Train; if the slice is lost, make a new one and continue, as often as --attempts allows."""
    code = 1
    for attempt in range(1, there.options.attempts + 1):
        code = _ready(there) or there.copy() or there.run(training)
        if code == 0:
            return 0
        if there.left_seconds() < 60:
            print(f"the {rental.number(there.options.hours)} h are used", file=sys.stderr)
            return code
        time.sleep(there.options.poll_seconds)  # the provider reports a loss some seconds later
        state = there.state()
        if state == "ACTIVE" and code not in (rental.STOPPED, CONNECTION_LOST):
            print(f"failed with exit code {code}", file=sys.stderr)
            return code
        print(f"# attempt {attempt} ended with {code}, the slice is {state or 'gone'}", flush=True)
    print(f"gave up after {there.options.attempts} attempts", file=sys.stderr)
    return code


def _ready(there: Slice) -> int:
    """Use the existing slice, wait for a requested one, or request one."""
    state = there.state()
    if state == "ACTIVE":
        if there.since is None:
            there.since = time.monotonic()
        return 0
    if state in ON_THE_WAY:
        return there.wait()
    return (there.delete() if state else 0) or there.create()


def everything(there: Slice, training: rental.Training) -> int:
    """All stages. At the end, also after failures, delete the slice, or say what is left."""
    code = until_done(there, training)
    if there.options.keep:
        print(f"# {there.leftover(there.state())}")
        return code
    return there.delete() or code


def status(there: Slice, training: rental.Training) -> int:
    """Say whether there is a slice, and whether it costs."""
    print(f"# {there.leftover(there.state())}")
    return 0


STAGES = {
    "create": lambda there, training: there.create(),
    "copy": lambda there, training: there.copy(),
    "run": lambda there, training: there.run(training),
    "delete": lambda there, training: there.delete(),
    "status": status,
}


def launch(options: argparse.Namespace, training: rental.Training) -> int:
    """Run the stage."""
    mount = f"/mnt/{options.bucket or 'BUCKET'}/"
    if options.stage in ("all", "run") and not (
        options.bucket and training.workdir.startswith(mount)
    ):
        raise rental.Refused(f"a workdir on the slice is lost with it: use --bucket and {mount}…")
    if not options.dry_run:
        rental.need("gcloud")
    there = Slice(options, options.name or training.name())
    try:
        stage = everything if options.stage == "all" else STAGES[options.stage]
        code = stage(there, training)
    except (rental.Stopped, KeyboardInterrupt, rental.Refused):
        print(there.leftover("perhaps still there"), file=sys.stderr)
        raise
    if code and options.stage in ("create", "copy", "run") and not options.dry_run:
        print(there.leftover(there.state()), file=sys.stderr)
    return code


def main(arguments: Sequence[str]) -> int:
    """Run one stage. The name of the slice is --name, or comes from the training's arguments."""
    own, train_arguments = rental.split(arguments)
    options = parser().parse_args(own)
    if train_arguments or options.stage in ("all", "run") or not options.name:
        training = rental.training(train_arguments)
    else:
        training = rental.Training("", "", ())
    most = cost(options)
    rental.fits(training, most)
    rental.confirm(most, options)
    return launch(options, training)


LAUNCHER = rental.Launcher(parser, cost, launch)

if __name__ == "__main__":
    sys.exit(rental.guarded(main, sys.argv[1:]))
