"""Data parallelism; no other module deals with several devices.

The mesh has one axis, 'data'. The state is replicated. A batch is cut into equal contiguous shares
along its first axis, and the compiler inserts the sums over devices. A ghost group is never cut:
its statistics stay on one device, so results do not depend on the number of devices. Every process
passes its own share of the batch. If a batch is computed in parts, they are its first axis, and
each part is cut over the devices.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

Tree = TypeVar("Tree")
AXIS = "data"


def mesh(count: int | None = None) -> Mesh:
    """The mesh over all devices, or over the first `count`.

    Raises ValueError if there are fewer devices, or if several processes would not use all of them.
    """
    devices = jax.devices()
    if count is not None and not (isinstance(count, int) and 1 <= count <= len(devices)):
        raise ValueError(f"{count} devices are asked for, but {len(devices)} are here: {devices}")
    if jax.process_count() > 1 and count not in (None, len(devices)):
        raise ValueError(
            f"{count} devices are asked for, but {jax.process_count()} processes use all of their "
            f"{len(devices)}: leave loop.devices out"
        )
    devices = devices[:count]
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """The placement of the state: a full copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """The tree with a full copy on every device."""
    return jax.device_put(tree, replicated(mesh))


def placed(tree: Tree, sharding: Sharding) -> Tree:
    """Host arrays, equal in every process, placed by `sharding`; no process waits for another."""
    return jax.tree.map(
        lambda x: jax.make_array_from_callback(x.shape, sharding, lambda index: x[index]), tree
    )


def batch_spec(parts: int = 1) -> PartitionSpec:
    """How a batch is cut over the mesh."""
    return PartitionSpec(AXIS) if parts == 1 else PartitionSpec(None, AXIS)


def place_batch(
    batch: Mapping[str, np.ndarray | jax.Array], mesh: Mesh, group_size: int = 1, parts: int = 1
) -> dict[str, jax.Array]:
    """Cut this process's batch over the devices, with whole groups of `group_size` on each.

    If there is more than one part, `parts` becomes a first axis of the arrays. Raises ValueError
    unless every device gets the same number of whole groups in every part.
    """
    sharding = NamedSharding(mesh, batch_spec(parts))
    local = len(sharding.addressable_devices)
    for name, value in batch.items():
        check_division(name, len(value), local, group_size, parts)
    if parts > 1:
        batch = {name: value.reshape(parts, -1, *value.shape[1:]) for name, value in batch.items()}
    return {name: _place(value, sharding) for name, value in batch.items()}


def gathered(tree: Any) -> Any:
    """The host arrays of all processes, stacked; their shapes must be equal."""
    if jax.process_count() == 1:
        return jax.tree.map(lambda value: np.asarray(value)[None], tree)
    return multihost_utils.process_allgather(tree)


def _place(value: np.ndarray | jax.Array, sharding: NamedSharding) -> jax.Array:
    if isinstance(value, jax.Array):
        return jax.device_put(value, sharding)
    return jax.make_array_from_process_local_data(sharding, value)


def check_division(name: str, examples: int, devices: int, group_size: int, parts: int) -> None:
    """Raise ValueError unless every device gets the same number of whole groups in every part."""
    if examples % (devices * group_size * parts):
        groups = f"groups of {group_size} on {devices} devices"
        groups += f" in {parts} parts" if parts > 1 else ""
        raise ValueError(
            f"a batch of {examples} examples ('{name}') cannot be cut into equally many whole "
            f"{groups}: scale the quotas to a multiple of {devices * group_size * parts}, or use "
            "fewer devices or parts"
        )
