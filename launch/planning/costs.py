"""The cost of a training step on each chip: compiled for a TPU, or counted for a GPU."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from acae_jax.estimation import building
from acae_jax.training import parallel
from planning import compiled, machines, traced
from planning.waiting import progress

# The TPU compiler has two messages for programs that are too large: "Used 18.40G of 15.75G hbm",
# and, before most of its work, "HLO temporaries (57.12G) exceeds available HBM (15.75G)".
_NEEDED = re.compile(r"(?:Used |temporaries \()([\d.]+)([KMG])\b.*(?:hbm|HBM)")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


class Cost(NamedTuple):
    """The cost of a step on each chip: bytes of memory, of traffic and of exchange."""

    state: float
    memory: float
    flops: float
    bytes: float
    exchanged: float
    fits: bool = True
    details: tuple[str, ...] = ()


def compiled_cost(config: ConfigDict, computation: Any, topology: machines.Topology) -> Cost:
    """The cost of the step by the TPU's compiler."""
    mesh = tpu_mesh(topology)
    state = parallel_shapes(computation.shapes(), mesh, PartitionSpec())
    shapes = building.abstract_batch(config.data, computation.union)
    batch = parallel_shapes(shapes, mesh, PartitionSpec(parallel.AXIS))
    held = float(sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)))
    step = jax.jit(partial(computation.update, 0), donate_argnums=0)
    try:
        with progress("compiling for the TPU, which takes minutes"):
            executable = step.lower(state, batch).compile()
    except jax.errors.JaxRuntimeError as error:
        return Cost(held, held + needed_bytes(error), 0, 0, 0, fits=False)
    return cost_of(executable, held)


def needed_bytes(error: Exception) -> float:
    """The bytes that a program needs besides its state, from the error of the TPU compiler.

    Raises ValueError if the program was refused for another reason than its size.
    """
    amount = _NEEDED.search(str(error))
    if not amount:
        raise ValueError(f"the TPU compiler refused: {str(error).splitlines()[0]}") from error
    return float(amount[1]) * _UNITS[amount[2]]


def cost_of(executable: Any, held: float) -> Cost:
    """The cost of a compiled step, whose state has `held` bytes."""
    memory, analysis = executable.memory_analysis(), executable.cost_analysis()
    hlo = compiled.parse(executable.as_text())
    exchanges = compiled.collectives(hlo)
    used = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    used += memory.temp_size_in_bytes + memory.generated_code_size_in_bytes
    estimate = analysis.get("optimal_seconds", -1.0)
    details = [
        f"{'on-chip too':14}{analysis['bytes accessed'] / 1e9:.1f} GB, with traffic that stays in "
        "on-chip memory",
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


def traced_cost(config: ConfigDict, computation: Any, topology: machines.Topology) -> Cost:
    """The cost of the traced step, for chips whose compiler is not here."""
    state = computation.shapes()
    shapes = building.abstract_batch(config.data, computation.union)
    batch = {
        name: jax.ShapeDtypeStruct((x.shape[0] // topology.chips, *x.shape[1:]), x.dtype)
        for name, x in shapes.items()
    }
    with progress("tracing the step"):
        cost = traced.cost(partial(computation.update, 0), state, batch)
    held = float(sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)))
    gradients = sum(x.size for x in jax.tree.leaves(state.params))
    gradients *= np.dtype(computation.network.dtype).itemsize
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
    """Write nothing to stderr, where the TPU's library writes much if there is no TPU."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def parallel_shapes(tree: Any, mesh: Mesh, spec: PartitionSpec) -> Any:
    """Shapes and types with their placement on the mesh."""
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)
