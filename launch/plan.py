"""What a training run will cost, before any accelerator is rented.

    python launch/plan.py --config configs/estimation/dozens.py --topology v5e:16x16
    python launch/plan.py --config configs/estimation/dozens.py --topology h100:8

For a TPU topology the real training step is compiled with the TPU's compiler, on a machine without
TPUs (pip install -e '.[plan]'); that takes minutes. For GPUs the traced step is counted, in
seconds. --config.a.b=value changes single values, as in training. plan.md explains the table.
"""

import argparse
import importlib
import importlib.util
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

# Before jax is imported: this process computes nothing, and must not wait for a TPU's metadata.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
os.environ.setdefault("TPU_STDERR_LOG_LEVEL", "3")
os.environ.setdefault("TPU_MIN_LOG_LEVEL", "3")

import input_speed
import jax
import machines
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.data import mixture
from acae_jax.estimation import building
from acae_jax.models import platform
from acae_jax.training import compiled, parallel, traced

# The TPU compiler refuses what is too large in one of two ways, "Used 18.40G of 15.75G hbm" or,
# before most of its work, "HLO temporaries (57.12G) exceeds available HBM (15.75G)".
_NEEDED = re.compile(r"(?:Used |temporaries \()([\d.]+)([KMG])\b.*(?:hbm|HBM)")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


class Cost(NamedTuple):
    """What one step costs on each chip; bytes of memory, of traffic, and of exchange."""

    state: float
    memory: float
    flops: float
    bytes: float
    exchanged: float
    fits: bool = True
    details: tuple[str, ...] = ()


def main(arguments: Sequence[str]) -> int:
    """Print the plan; 1 after an error that one line explains."""
    known, overrides = configs.split_overrides(arguments)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", required=True, help="config file, arguments behind a colon")
    parser.add_argument("--topology", required=True, help="v5e:4x4, v4:2x2x4, h100:8, …")
    given = parser.parse_args(known)
    try:
        plan(configs.load(given.config, overrides), machines.topology(given.topology))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def plan(config: ConfigDict, topology: machines.Topology) -> None:
    """Compile or count the step of a config and print what it costs."""
    needs_program(config)
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
    program = importlib.import_module(config.task.rpartition(".")[0]).program(config)
    with platform.compiling_for("tpu" if topology.is_tpu else "gpu"):
        cost = (compiled_cost if topology.is_tpu else traced_cost)(config, program, topology)
    with progress("timing the input pipeline on one core"):
        member, indices = next(iter(program.union.members.items()))
        make = building.example_maker(config.data, program.union)
        rate = input_speed.crops_per_second(make, member, len(indices), config.data.side_px)
    print(table(config, topology, cost, rate))


def needs_program(config: ConfigDict) -> None:
    """A ValueError unless the config's stage trains a pose network, with batches in one part."""
    module = str(config.get("task", "")).rpartition(".")[0]
    try:
        found = hasattr(importlib.import_module(module), "program") if module else False
    except ModuleNotFoundError:
        found = False
    if not found:
        raise ValueError(
            f"nothing to plan for config.task = {config.get('task')!r}: "
            "use a stage that trains the pose network, such as :stage=initial"
        )
    if config.data.parts > 1:
        raise ValueError(
            "the plan counts a batch that is computed at once: leave --config.data.parts at 1; n "
            "parts hold an n-th of its activations and compute a third more"
        )


def filled(config: ConfigDict, chips: int) -> ConfigDict:
    """The config, its quotas scaled by the smallest number that fills every chip with whole groups,
    unless its own does.
    """
    quotas = building.batch_size(config.data) // config.data.quota_scale
    group = config.data.ghost_size
    if not building.batch_size(config.data) % (chips * group):
        return config
    config = config.copy_and_resolve_references()
    config.data.quota_scale = mixture.fitting_scale(quotas, chips * group)
    return config.lock()


def compiled_cost(config: ConfigDict, program: Any, topology: machines.Topology) -> Cost:
    """What the TPU's compiler says of the step."""
    mesh = tpu_mesh(topology)
    state = parallel_shapes(jax.eval_shape(program.init, jax.random.key(0)), mesh, PartitionSpec())
    shapes = building.abstract_batch(config.data, program.union)
    batch = parallel_shapes(shapes, mesh, PartitionSpec(parallel.AXIS))
    held = float(sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)))
    step = jax.jit(partial(program.update, 0), donate_argnums=0)
    try:
        with progress("compiling for the TPU, which takes minutes"):
            made = step.lower(state, batch).compile()
    except jax.errors.JaxRuntimeError as error:
        return Cost(held, held + needed_bytes(error), 0, 0, 0, fits=False)
    return cost_of(made, held)


def needed_bytes(error: Exception) -> float:
    """Bytes that a program needs besides its state, which the TPU compiler refused as too large; a
    ValueError if it refused for another reason.
    """
    found = _NEEDED.search(str(error))
    if not found:
        raise ValueError(f"the TPU compiler refused: {str(error).splitlines()[0]}") from error
    return float(found[1]) * _UNITS[found[2]]


def cost_of(made: Any, held: float) -> Cost:
    """The cost of a compiled step."""
    memory, analysis = made.memory_analysis(), made.cost_analysis()
    hlo = compiled.parse(made.as_text())
    exchanges = compiled.collectives(hlo)
    used = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    used += memory.temp_size_in_bytes + memory.generated_code_size_in_bytes
    estimate = analysis.get("optimal_seconds", -1.0)
    details = [
        f"{'on-chip too':14}{analysis['bytes accessed'] / 1e9:.1f} GB, counting what stays in the "
        "memory beside the arithmetic",
        f"{'compiler':14}"
        + (f"{1e3 * estimate:.1f} ms a step" if estimate > 0 else "gives no valid estimate"),
    ]
    for one in exchanges:
        details.append(f"{one.kind:14}{one.bytes / 1e6:.3f} MB in {one.arrays} arrays")
    details.append("largest temporaries:")
    for buffer, source in compiled.temporaries(hlo):
        details.append(f"  {buffer.bytes / 2**20:7.1f} MiB  {buffer.shape}  {source[-90:]}")
    exchanged = float(sum(one.bytes for one in exchanges))
    traffic = float(compiled.traffic(hlo))
    return Cost(held, float(used), analysis["flops"], traffic, exchanged, details=tuple(details))


def traced_cost(config: ConfigDict, program: Any, topology: machines.Topology) -> Cost:
    """What the traced step says, for chips whose compiler is not here."""
    state = jax.eval_shape(program.init, jax.random.key(0))
    shapes = building.abstract_batch(config.data, program.union)
    batch = {
        name: jax.ShapeDtypeStruct((x.shape[0] // topology.chips, *x.shape[1:]), x.dtype)
        for name, x in shapes.items()
    }
    with progress("tracing the step"):
        cost = traced.cost(partial(program.update, 0), state, batch)
    held = float(sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)))
    gradients = sum(x.size for x in jax.tree.leaves(state.params))
    gradients *= np.dtype(program.network.dtype).itemsize
    fits = cost.peak_bytes < topology.machine.memory
    note = "counted from the traced program, not compiled"
    exchanged = float(gradients) if topology.chips > 1 else 0.0
    return Cost(held, cost.peak_bytes, cost.flops, cost.bytes, exchanged, fits, (note,))


def tpu_mesh(topology: machines.Topology) -> Mesh:
    """The mesh of training over the chips of a TPU that is not here."""
    if not (importlib.util.find_spec("libtpu") or os.environ.get("TPU_LIBRARY_PATH")):
        raise ValueError("the TPU compiler is missing: pip install -e '.[plan]'")
    from jax.experimental import topologies

    try:
        with _quiet():
            described = topologies.get_topology_desc(platform="tpu", topology_name=topology.name)
        devices = described.devices
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        raise ValueError(
            f"the TPU compiler knows no topology {topology.name}: grids are such as v5e:2x2, "
            f"v5e:4x4, v5e:16x16, v4:2x2x1, v5p:2x2x2, v6e:4x4 ({str(error).splitlines()[0]})"
        ) from error
    return Mesh(np.array(devices), (parallel.AXIS,), axis_types=(AxisType.Auto,))


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on stderr: where there is no TPU, its library complains of that at length."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def parallel_shapes(tree: Any, mesh: Mesh, spec: PartitionSpec) -> Any:
    """Shapes and types with their placement on the mesh."""
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def table(config: ConfigDict, topology: machines.Topology, cost: Cost, rate: float) -> str:
    """The plan as text; `rate` is of crops that one core makes in a second."""
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
    """The largest batch of these quotas that fits, and in how many parts this one does; or what
    else helps.
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
    found = [text for text in (next(smaller, None), next(cut, None)) if text]
    if found:
        return "does not fit; " + ", or ".join(found)
    return (
        f"does not fit, nor does a smaller batch of whole ghost groups of {group}: about {room} "
        "crops a chip would. Choose chips with more memory, a smaller backbone, or a smaller "
        "--config.data.side_px"
    )


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Says what is being done, and on the same line for how long."""
    done, start = threading.Event(), time.monotonic()
    live = sys.stderr.isatty()

    def show() -> None:
        print(f"{what} …", end="" if live else "\n", file=sys.stderr, flush=True)
        while not done.wait(1 if live else 60):
            spent = f"{what} … {time.monotonic() - start:.0f} s"
            print(f"\r{spent}" if live else spent, end="" if live else "\n", file=sys.stderr)
            sys.stderr.flush()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        spent = f"{what}: {time.monotonic() - start:.0f} s"
        print(f"\r{spent}  " if live else spent, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
