"""Copies of what a run takes from earlier runs, in its own folder.

So a continued run needs nothing but its folder. It uses the same inputs as before, even if the
earlier run has been trained further or was deleted.
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


def write(path: Path, state_of: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and their `origin` to an .npz file, completely or not at all; only the first
    process writes.
    """
    if jax.process_index() != 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, facts=np.array(json.dumps(state_of)), **arrays)
    part.replace(path)


def read(path: Path, *names: str) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The `origin` and the named arrays of such a file; a one-line ValueError if it is damaged."""
    try:
        text, *arrays = numpy_files.arrays(path, ("facts", *names), LIMIT_BYTES)
        return json.loads(str(text)), arrays
    except ValueError as error:
        raise ValueError(f"{path} is damaged: delete it, and it is made again ({error})") from error


def origin(run: str) -> dict[str, Any]:
    """The newest state of an earlier run: its folder, step and checksum; {} if it was deleted."""
    steps = checkpoints.complete_steps(run)
    if not steps:
        return {}
    return {"run": run, "step": steps[-1], "crc32": checkpoints.newest_metadata(run)["crc32"]}


def has_changed(before: Mapping[str, Any], run: str) -> bool:
    """Whether the earlier run exists and its newest state is not the `origin` from before."""
    now = origin(run)
    return bool(now) and now["crc32"] != before.get("crc32")
