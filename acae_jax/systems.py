"""The functions of a system that a config names by dotted paths: `config.task`, `config.report` and
`config.export`.

task     (config, …) → what to train, see `acae_jax.train`
report   (folder of a workflow, seconds that it took) → text to print; writes the report there
export   (folder of a run, form, folder to write, options) → None, see `acae_jax.export`

An empty path means that the system has no such function.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_collections import ConfigDict

# The tasks of version 0.1, whose configs name only their task: name in the config → name today.
OF_VERSION_0_1 = {
    "acae_jax.estimation.initial.task": "acae_jax.estimation.initial.task",
    "acae_jax.estimation.bottleneck.task": "acae_jax.estimation.autoencoder_stage.task",
    "acae_jax.estimation.consistency.task": "acae_jax.estimation.consistency.task",
}
PATHS = {
    "report": "acae_jax.estimation.reporting.workflow.report",
    "export": "acae_jax.estimation.packing.runs.export",
}


def path(config: "ConfigDict", what: str) -> str:
    """The dotted path of a config's "report" or "export"; "" if it has none."""
    if what in config:
        return config[what] or ""
    ours = today(config.get("task", "")) in OF_VERSION_0_1.values()
    return PATHS.get(what, "") if ours else ""


def today(task: str) -> str:
    """The dotted path of a task today, which may differ from that in a config of version 0.1."""
    return OF_VERSION_0_1.get(task, task)


def function(dotted: str, what: str) -> Callable[..., Any]:
    """The function at a dotted path; ValueError, which names `what`, if there is none."""
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        raise ValueError(f"config.{what} = '{dotted}' names no function: {error}") from error
