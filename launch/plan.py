"""The cost of a training run, before any accelerator is rented.

    python launch/plan.py --config configs/estimation/dozens.py --topology v5e:16x16
    python launch/plan.py --config configs/estimation/dozens.py --topology h100:8

For a TPU topology, the real training step is compiled with the TPU's compiler, on a machine without
TPUs (pip install -e '.[plan]'); that takes minutes. For GPUs, the operations of the traced step are
counted, in seconds. --config.a.b=value changes single values, as in training. plan.md explains the
table.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

# Before jax is imported: this process needs no accelerator, and must not wait for TPU metadata.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
os.environ.setdefault("TPU_STDERR_LOG_LEVEL", "3")
os.environ.setdefault("TPU_MIN_LOG_LEVEL", "3")

from ml_collections import ConfigDict
from planning import costs, input_speed, machines
from planning.costs import Cost
from planning.waiting import progress

from acae_jax import config as configs
from acae_jax.data import mixture
from acae_jax.estimation import building
from acae_jax.models import platform


def main(arguments: Sequence[str]) -> int:
    """Print the plan; 1 after an error, which one line explains."""
    own, overrides = configs.split_overrides(arguments)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", required=True, help="config file, with arguments after a colon")
    parser.add_argument("--topology", required=True, help="v5e:4x4, v4:2x2x4, h100:8, …")
    options = parser.parse_args(own)
    try:
        plan(configs.load(options.config, overrides), machines.topology(options.topology))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def plan(config: ConfigDict, topology: machines.Topology) -> None:
    """Compile or count the step of a config and print what it costs."""
    check_stage(config)
    scale = config.data.quota_scale
    config = filled(config, topology.chips)
    batch = building.batch_size(config.data)
    per_chip = batch // topology.chips
    hosts = "1 host" if topology.hosts == 1 else f"{topology.hosts} hosts"
    print(
        f"{topology.name}: {topology.chips} chips on {hosts}, "
        f"{per_chip} crops a chip, {batch} a step"
    )
    if config.data.quota_scale != scale:
        print(
            f"  the config's quota_scale {scale} does not fill the chips with ghost groups; "
            f"planned with --config.data.quota_scale={config.data.quota_scale}"
        )
    computation = importlib.import_module(config.task.rpartition(".")[0]).computation(config)
    with platform.compiling_for("tpu" if topology.is_tpu else "gpu"):
        cost = (costs.compiled_cost if topology.is_tpu else costs.traced_cost)(
            config, computation, topology
        )
    with progress("timing the input pipeline on one core"):
        member, indices = next(iter(computation.union.members.items()))
        make = building.example_maker(config.data, computation.union)
        rate = input_speed.crops_per_second(make, member, len(indices), config.data.side_px)
    print(table(config, topology, cost, rate))


def check_stage(config: ConfigDict) -> None:
    """ValueError unless the config's stage trains a pose network, with batches in one part."""
    module = str(config.get("task", "")).rpartition(".")[0]
    try:
        has_computation = (
            hasattr(importlib.import_module(module), "computation") if module else False
        )
    except ModuleNotFoundError:
        has_computation = False
    if not has_computation:
        raise ValueError(
            f"nothing to plan for config.task = {config.get('task')!r}: "
            "use a stage that trains the pose network, such as :stage=initial"
        )
    if config.data.parts > 1:
        raise ValueError(
            "the plan is for a batch that is computed at once: keep --config.data.parts at 1; with "
            "n parts, activations take an n-th of the memory, and the step computes a third more"
        )


def filled(config: ConfigDict, chips: int) -> ConfigDict:
    """The config, with the smallest quota_scale that fills every chip with whole ghost groups, if
    its own does not.
    """
    quotas = building.batch_size(config.data) // config.data.quota_scale
    group = config.data.ghost_size
    if not building.batch_size(config.data) % (chips * group):
        return config
    config = config.copy_and_resolve_references()
    config.data.quota_scale = mixture.fitting_scale(quotas, chips * group)
    return config.lock()


def table(config: ConfigDict, topology: machines.Topology, cost: Cost, rate: float) -> str:
    """The plan as text; `rate` is the number of crops that one core makes in a second."""
    chip, batch = topology.machine, building.batch_size(config.data)
    per_chip = batch // topology.chips
    lines = [
        f"{'memory':14}{cost.memory / 2**30:.2f} GiB of {chip.memory / 2**30:.0f} a chip, "
        f"{cost.state / 2**30:.2f} of them the state"
    ]
    if not cost.fits:
        return "\n".join([*lines, proposal(config, topology, cost)])
    arithmetic, memory = cost.flops / chip.flops, cost.bytes / chip.bandwidth
    exchange = 2 * cost.exchanged / chip.links  # each chip sends and receives its share twice
    step = max(arithmetic, memory) + exchange
    bound = "arithmetic" if arithmetic > memory else "memory"
    steps = config.steps
    need = batch / step / topology.hosts
    lines += [
        f"{'flops':14}{cost.flops:.3g} a chip and step: {1e3 * arithmetic:.2f} ms",
        f"{'bytes':14}{cost.bytes / 1e9:.2f} GB, {cost.bytes / per_chip / 1e6:.0f} MB a crop: "
        f"{1e3 * memory:.2f} ms",
        f"{'exchange':14}{cost.exchanged / 1e6:.1f} MB: {1e3 * exchange:.2f} ms",
        f"{'step':14}{1e3 * step:.2f} ms at least, bound by {bound}; "
        f"{100 * arithmetic / step:.0f} % of the peak flops",
        f"{'input':14}{need:.0f} crops/s for each host; one core of this machine makes "
        f"{rate:.0f}: {need / rate:.0f} of a host's {chip.cores_per_host}",
        f"{'time':14}{steps * step / 3600:.2f} h for {steps} steps"
        + (
            f"; {steps * step / 3600 / config.data.quota_scale:.3f} h for as many crops as with "
            "quota_scale 1"
            if config.data.quota_scale > 1
            else ""
        ),
    ]
    if need / rate > chip.cores_per_host:
        slower = batch / (rate * chip.cores_per_host * topology.hosts)
        lines.append(
            f"{'':14}the hosts cannot keep up: their cores would make it {1e3 * slower:.1f} ms a "
            f"step, {steps * slower / 3600:.1f} h"
        )
    return "\n".join([*lines, *cost.details])


def proposal(config: ConfigDict, topology: machines.Topology, cost: Cost) -> str:
    """Advice if the batch does not fit: the largest batch that does, and the number of parts with
    which this one does; or what else helps.
    """
    batch, group = building.batch_size(config.data), config.data.ghost_size
    per_chip, whole = batch // topology.chips, topology.chips * group
    each = (cost.memory - cost.state) / per_chip
    room = int((topology.machine.memory - cost.state) / each)
    quotas = batch // config.data.quota_scale
    smaller = (
        f"{quotas * scale} crops do: --config.data.quota_scale={scale}"
        for scale in range(config.data.quota_scale - 1, 0, -1)
        if quotas * scale % whole == 0 and quotas * scale // topology.chips <= room
    )
    cut = (
        f"in {n} parts, one after another, these do: --config.data.parts={n}"
        for n in range(2, batch // whole + 1)
        if batch % (whole * n) == 0 and per_chip // n <= room
    )
    proposals = [text for text in (next(smaller, None), next(cut, None)) if text]
    if proposals:
        return "does not fit; " + ", or ".join(proposals)
    return (
        f"does not fit, nor does a smaller batch of whole ghost groups of {group}: about {room} "
        "crops a chip would. Choose chips with more memory, a smaller backbone, or a smaller "
        "--config.data.side_px"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
