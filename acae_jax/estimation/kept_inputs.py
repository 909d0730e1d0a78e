"""What a run took from the runs before it, kept in its own folder.

A run that is continued then needs nothing but its folder, and goes on with what it began with, even
if the earlier run has been trained further or is gone.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from acae_jax.files import numpy_files
from acae_jax.training import checkpoints

LIMIT_BYTES = 2**34


def write(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and facts to an .npz file, whole or not at all; by the first process only."""
    if jax.process_index() != 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)
    part.replace(path)


def read(path: Path, *names: str) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The facts and the named arrays of such a file; a ValueError of one line if it is damaged."""
    try:
        facts, *arrays = numpy_files.arrays(path, ("facts", *names), LIMIT_BYTES)
        return json.loads(str(facts)), arrays
    except ValueError as error:
        raise ValueError(f"{path} is damaged: delete it, and it is made again ({error})") from error


def origin(run: str) -> dict[str, Any]:
    """Which state of an earlier run is its newest one: {} if the run is not there any more."""
    steps = checkpoints.complete_steps(run)
    if not steps:
        return {}
    return {"run": run, "step": steps[-1], "crc32": checkpoints.newest_metadata(run)["crc32"]}


def has_changed(facts: Mapping[str, Any], run: str) -> bool:
    """Whether the earlier run is there with another newest state than the one of these facts."""
    now = origin(run)
    return bool(now) and now["crc32"] != facts.get("crc32")
