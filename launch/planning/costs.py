"""What one training step costs on each chip: compiled for a TPU, or counted for a GPU."""

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


def compiled_cost(config: ConfigDict, program: Any, topology: machines.Topology) -> Cost:
    """What the TPU's compiler says of the step."""
    mesh = tpu_mesh(topology)
    state = parallel_shapes(program.shapes(), mesh, PartitionSpec())
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
    amount = _NEEDED.search(str(error))
    if not amount:
        raise ValueError(f"the TPU compiler refused: {str(error).splitlines()[0]}") from error
    return float(amount[1]) * _UNITS[amount[2]]


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
    state = program.shapes()
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
