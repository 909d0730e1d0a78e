r"""Train on GKE as a JobSet: one pod per host, restarted together when one is preempted.

python launch/gke.py --image my-registry/acae_jax:1 --claim runs \
    --tpu tpu-v5-lite-podslice --topology 2x4 --hours 24 --confirm 768 -- \
    --config configs/estimation/dozens.py:stage=initial --workdir /mnt/runs/dozens/initial

For GPUs, use --gpu nvidia-h100-80gb --nodes 2 --gpus-per-node 4 instead of --tpu and --topology.
Kubernetes ends each run after --hours and starts a preempted one again, at most --restarts times.
The launcher watches until the end. With --detach it returns at once; the same command without
--detach watches. The manifest is gke_jobset.yaml.
"""

import argparse
import json
import math
import re
import string
import sys
import time
from pathlib import Path

import rental

TEMPLATE = Path(__file__).with_name("gke_jobset.yaml")
FAILED = """\
failed; its pods have ended, see the logs. Delete the JobSet before another try.
Nodes cost until the pool scales down."""
STATE = "{.status.terminalState}/{.status.restarts}"


def parser() -> rental.Parser:
    """The image, the storage and the kind of nodes."""
    options = rental.Parser(__doc__)
    options.add_argument("--image", required=True, help="container with acae_jax in its workdir")
    options.add_argument("--claim", required=True, type=rental.label, help="volume at /mnt/runs")
    options.add_argument("--name", type=rental.label, help="default: made from the workdir")
    options.add_argument("--namespace", type=rental.label, default="default")
    options.add_argument("--service-account", type=rental.label, default="default")
    options.add_argument("--tpu", help="accelerator of the node pool, e.g. tpu-v5-lite-podslice")
    options.add_argument("--topology", help="of one slice, e.g. 2x4")
    options.add_argument("--chips-per-host", type=rental.whole, default=4)
    options.add_argument("--slices", type=rental.whole, default=1)
    options.add_argument("--gpu", help="accelerator of the node pool, e.g. nvidia-h100-80gb")
    options.add_argument("--nodes", type=rental.whole, default=1, help="with GPUs")
    options.add_argument("--gpus-per-node", type=rental.whole, default=8)
    options.add_argument("--spot", action="store_true", help="on spot nodes only")
    options.add_argument("--hours", type=rental.hours, required=True, help="of one run at most")
    options.add_argument("--restarts", type=int, default=3, help="at most so many further runs")
    options.add_argument("--poll-seconds", type=float, default=30.0)
    options.add_argument("--detach", action="store_true", help="do not watch")
    options.add_argument("--delete", action="store_true", help="delete the JobSet instead")
    return options


def hosts_and_chips(options: argparse.Namespace) -> tuple[int, int]:
    """Hosts of one slice (or GPU nodes), and accelerators on each."""
    if bool(options.tpu) == bool(options.gpu) or bool(options.tpu) != bool(options.topology):
        raise rental.Refused("choose either --tpu with --topology, or --gpu")
    if options.gpu:
        return options.nodes, options.gpus_per_node
    if not re.fullmatch(r"\d+(x\d+){1,2}", options.topology):
        raise rental.Refused(f"--topology is {options.topology!r}; it must be like 4x4 or 2x2x4")
    chips = math.prod(int(side) for side in options.topology.split("x"))
    per_host = min(options.chips_per_host, chips)
    if chips < 1 or chips % per_host:
        raise rental.Refused(f"{chips} chips do not make whole hosts of {per_host} chips")
    return chips // per_host, per_host


def cost(options: argparse.Namespace) -> rental.Cost | None:
    """The chip- or GPU-hours of the pods; None if nothing is started."""
    if options.delete:
        return None
    if options.restarts < 0:
        raise rental.Refused("--restarts cannot be negative")
    hosts, chips = hosts_and_chips(options)
    slices = options.slices if options.tpu else 1
    kind = f"{options.tpu} {options.topology}" if options.tpu else options.gpu
    spot = "spot " if options.spot else ""
    instance = f"{spot}node with {chips} of {kind}"
    unit = "chip" if options.tpu else "GPU"
    nodes = slices * hosts
    return rental.Cost(nodes, instance, nodes * chips, unit, options.hours, 1 + options.restarts)


def manifest(options: argparse.Namespace, training: rental.Training) -> str:
    """The JobSet as YAML."""
    hosts, chips = hosts_and_chips(options)
    cloud = "cloud.google.com"
    if options.tpu:
        selector = {
            f"{cloud}/gke-tpu-accelerator": options.tpu,
            f"{cloud}/gke-tpu-topology": options.topology,
        }
    else:
        selector = {f"{cloud}/gke-accelerator": options.gpu}
    tolerations = []
    if options.spot:
        selector[f"{cloud}/gke-spot"] = "true"
        tolerations = [
            {"key": f"{cloud}/gke-spot", "operator": "Equal", "value": "true",
             "effect": "NoSchedule"}
        ]  # fmt: skip
    # One slice is one node pool; this keeps pods of two slices apart.
    exclusive = {"alpha.jobset.sigs.k8s.io/exclusive-topology": f"{cloud}/gke-nodepool"}
    values = {
        "name": options.name or training.name(),
        "annotations": exclusive if options.tpu else {},
        "restarts": options.restarts,
        "slices": options.slices if options.tpu else 1,
        "hosts": hosts,
        "seconds": math.floor(options.hours * 3600),
        "service_account": options.service_account,
        "node_selector": selector,
        "tolerations": tolerations,
        "image": options.image,
        "command": training.command("python", "--distributed"),
        "limits": {"google.com/tpu" if options.tpu else "nvidia.com/gpu": chips},
        "claim": options.claim,
    }
    template = string.Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute({name: json.dumps(value) for name, value in values.items()})


def launch(options: argparse.Namespace, training: rental.Training) -> int:
    """Create the JobSet and watch it to its end."""
    name = options.name or training.name()
    kubectl = ["kubectl", f"--namespace={options.namespace}"]
    delete = [*kubectl, "delete", "jobset", name]
    if options.delete:
        return rental.execute(options, [*delete, "--ignore-not-found"])
    if not training.workdir.startswith("/mnt/runs/"):
        raise rental.Refused("a workdir in the pod is lost with it: use /mnt/runs/…, in the claim")
    code = rental.execute(options, [*kubectl, "apply", "--filename=-"], manifest(options, training))
    if code:
        print(f"kubectl failed ({code}); nothing was created, nothing costs", file=sys.stderr)
    if code or options.dry_run:
        return code
    pods = f"--selector=jobset.sigs.k8s.io/jobset-name={name}"
    print(f"# logs: {' '.join([*kubectl, 'logs', '--follow', '--prefix', pods])}")
    print(f"# stop and delete: {' '.join(delete)}", flush=True)
    if options.detach:
        return 0
    try:
        return watch([*kubectl, "get", "jobset", name, f"--output=jsonpath={STATE}"],
                     options.poll_seconds)  # fmt: skip
    except (KeyboardInterrupt, rental.Refused):
        print(f"{name} continues and costs; to end it: {' '.join(delete)}", file=sys.stderr)
        raise


def watch(get_state: list[str], poll_seconds: float) -> int:
    """Report restarts until the JobSet has ended; 0 if it is complete."""
    reported = 0
    while True:
        state, _, text = rental.read(get_state).partition("/")
        restarts = int(text or 0)
        if restarts > reported:
            print(f"# restarted after a preemption, {restarts} times so far", flush=True)
            reported = restarts
        if state == "Completed":
            print("# completed, its pods have ended; nodes cost until the pool scales down")
            return 0
        if state == "Failed":
            print(FAILED, file=sys.stderr)
            return 1
        time.sleep(poll_seconds)


LAUNCHER = rental.Launcher(parser, cost, launch)

if __name__ == "__main__":
    sys.exit(rental.guarded(LAUNCHER.main, sys.argv[1:]))
