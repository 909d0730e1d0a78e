"""The layout of checkpoints: today it is that of `TrainState`; in version 0.1 it was another.

In 0.1 a state had `batch_stats` in place of `collections`, and no `extra`.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from acae_jax.training.state import TrainState


class FirstState(NamedTuple):
    """A state as version 0.1 stored it."""

    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any = ()


def stored(state: TrainState, names: Collection[str]) -> TrainState | FirstState:
    """The state in the layout of a checkpoint whose top-level names are `names`."""
    if not is_first(names):
        return state
    statistics = state.collections.get("batch_stats", {})
    return FirstState(state.step, state.params, statistics, state.opt_state, state.average)


def restored(state: TrainState | FirstState) -> TrainState:
    """The `TrainState` of a state in either layout."""
    if isinstance(state, TrainState):
        return state
    collections = {"batch_stats": state.batch_stats} if state.batch_stats else {}
    return TrainState(state.step, state.params, collections, state.opt_state, state.average)


def network_names(names: Collection[str]) -> tuple[str, str]:
    """The top-level names under which a checkpoint holds its network's newest variables."""
    return ("params", "batch_stats" if is_first(names) else "collections")


def network(parts: Mapping[str, Any]) -> dict[str, Any]:
    """{"params": …} and the other collections, from the trees under `network_names`."""
    if is_first(parts):
        return {name: tree for name, tree in parts.items() if tree}
    return {"params": parts["params"], **parts["collections"]}


def is_first(names: Collection[str]) -> bool:
    """Whether these top-level names are those of version 0.1."""
    return "batch_stats" in names
