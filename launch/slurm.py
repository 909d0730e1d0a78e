r"""Submit training to SLURM: one process per GPU or node, requeued when it is preempted.

python launch/slurm.py --nodes 2 --gpus-per-node 4 --hours 24 --confirm 768 -- \
    --config configs/estimation/dozens.py:stage=initial --workdir runs/dozens/initial

SLURM ends each run after --hours and sends a signal 2 minutes before. A run that is ended or
preempted saves and is requeued, at most --requeues times. The first node runs slurm_job.sh.
"""

import argparse
import math
import shlex
import sys
from pathlib import Path

import rental

GRACE_SECONDS = 120  # between SIGTERM and the end of a run


def parser() -> rental.Parser:
    """The size of the job, and where it may run."""
    options = rental.Parser(__doc__)
    options.add_argument("--nodes", type=rental.whole, default=1)
    options.add_argument("--gpus-per-node", type=int, default=0, help="0: nodes without GPUs")
    options.add_argument("--processes", choices=("gpu", "node"), default="gpu", help="one for each")
    options.add_argument("--hours", type=rental.hours, required=True, help="of one run at most")
    options.add_argument("--requeues", type=int, default=3, help="at most so many further runs")
    options.add_argument("--partition")
    options.add_argument("--account")
    options.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="OPTION",
        help="any other option of sbatch: --sbatch=--x=y",
    )
    return options


def cost(options: argparse.Namespace) -> rental.Cost:
    """GPU-hours, or node-hours without GPUs."""
    gpus = options.gpus_per_node
    if gpus < 0 or options.requeues < 0:
        raise rental.Refused("--gpus-per-node and --requeues cannot be negative")
    where = f" of partition {options.partition}" if options.partition else ""
    instance = f"node with {gpus} GPU(s){where}" if gpus else f"node{where}"
    units, unit = (options.nodes * gpus, "GPU") if gpus else (options.nodes, "node")
    runs = 1 + options.requeues
    return rental.Cost(options.nodes, instance, units, unit, options.hours, runs)


def sbatch(options: argparse.Namespace, training: rental.Training) -> list[str]:
    """The command that submits the job."""
    per_gpu = options.gpus_per_node and options.processes == "gpu"
    exports = ["ALL", f"ACAE_PYTHON={sys.executable}", f"ACAE_REQUEUES={options.requeues}"]
    if options.gpus_per_node and not per_gpu:
        # Under SLURM, JAX gives a process one device, unless there is a list of devices. Commas
        # of a list would end the value here, so slurm_job.sh makes the list from the number.
        exports.append(f"ACAE_DEVICES={options.gpus_per_node}")
    command = [
        "sbatch",
        f"--job-name={training.name()}",
        "--dependency=singleton",  # two jobs of one workdir never run at once
        f"--nodes={options.nodes}",
        f"--ntasks-per-node={options.gpus_per_node if per_gpu else 1}",
        f"--time={math.floor(options.hours * 60)}",  # minutes
        f"--signal=TERM@{GRACE_SECONDS}",
        "--requeue" if options.requeues else "--no-requeue",
        "--open-mode=append",
        f"--output={training.workdir}/slurm-%j.out",
        f"--export={','.join(exports)}",
    ]
    if options.gpus_per_node:
        # Not --gpus-per-task: JAX takes the i-th GPU in the i-th process, so all must be visible.
        command.append(f"--gpus-per-node={options.gpus_per_node}")
    if options.partition:
        command.append(f"--partition={options.partition}")
    if options.account:
        command.append(f"--account={options.account}")
    return [*command, *options.sbatch, "launch/slurm_job.sh", *training.arguments()]


def launch(options: argparse.Namespace, training: rental.Training) -> int:
    """Submit, and say how to watch and cancel."""
    if not options.dry_run:  # SLURM does not make the folder of --output, and then fails silently
        Path(training.workdir).mkdir(parents=True, exist_ok=True)
    code = rental.execute(options, sbatch(options, training))
    if code:
        print(f"sbatch failed ({code}); nothing was submitted, nothing costs", file=sys.stderr)
    else:
        logs = f"{shlex.quote(training.workdir)}/slurm-*.out"
        print(f"# watch: squeue --name={training.name()}; tail -F {logs}")
        print(f"# cancel: scancel --name={training.name()}")
    return code


LAUNCHER = rental.Launcher(parser, cost, launch)

if __name__ == "__main__":
    sys.exit(rental.guarded(LAUNCHER.main, sys.argv[1:]))
