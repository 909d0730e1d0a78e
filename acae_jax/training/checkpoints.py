"""Checkpoints: a restored state equals the saved one, to the bit.

A checkpoint holds the whole `TrainState` and metadata of the run (seed, steps). It needs no
separate data position: the batch of step t is a pure function of (seed, t), so `state.step` *is*
the position in the data. Checkpoints are written in the background to `WORKDIR/checkpoints/STEP`. A
folder gets its final name only when it is complete, and the previous checkpoint stays beside it. A
checksum detects flipped bits inside an array, which the file format does not. Nothing is ever
unpickled.
"""

import errno
import json
import logging
import time
import zlib
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import Sharding

from acae_jax.files import paths, plain_names
from acae_jax.training import layout, parallel
from acae_jax.training.state import TrainState

FOLDER = "checkpoints"
BEST = "best"
KEEP = 2
ATTEMPTS, PAUSE_SECONDS = 2, 1.0  # when reading a checkpoint


class Checkpoints:
    """The newest `keep` checkpoints of one run. Use it as a context; leaving it waits for the last
    save.

    `metadata` are stored with each checkpoint: what stays the same during a run, such as the seed
    and the config.
    """

    def __init__(
        self,
        workdir: str | Path,
        metadata: Mapping[str, Any],
        folder: str = FOLDER,
        keep: int = KEEP,
    ):
        self._folder = Path(workdir).absolute() / folder
        self._metadata = dict(metadata)
        self._manager = _manager(self._folder, keep)

    def save(self, state: TrainState, wait: bool = False, **metadata: float) -> None:
        """Save in the background, with more metadata; with `wait`, return when it is on the disk.

        Raises OSError, in one line, if the disk was full for this save or for the one before.
        """
        step = int(state.step)
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.PyTreeSave(state),
                    facts=ocp.args.JsonSave(self._metadata | metadata | {"crc32": checksum(state)}),
                ),
                force=True,
            )
            if wait:
                self._manager.wait_until_finished()
        except Exception as error:
            raise self._explained(error) from error

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def forget_from(self, step: int) -> None:
        """Delete the checkpoints of this step and later ones."""
        for later in self._manager.all_steps():
            if later >= step:
                self._manager.delete(later)

    def restore(self, like: TrainState, sharding: Sharding) -> TrainState | None:
        """The newest readable checkpoint, placed by `sharding`; None if there is none at all.

        `like` gives structure, shapes and types. If the newest checkpoint is damaged, it is moved
        away with a warning, and the one before is used; all processes agree on that. Raises
        ValueError if no checkpoint can be read, or if the run had another seed.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        failures: dict[int, Exception] = {}
        for step in steps:
            content = self._read_by_all(step, like, sharding)
            if isinstance(content, Exception):
                failures[step] = content
                continue
            state, metadata = content
            self._check_seed(metadata)
            for damaged, error in failures.items():
                self._set_aside(damaged, step, error)
            return state
        if steps:
            first_line = str(failures[steps[0]]).strip().splitlines()[0][:300]
            raise ValueError(
                f"no checkpoint in {self._folder} can be read as this task's state; if the config "
                f"has changed, use another --workdir. Step {steps[0]}: {first_line}"
            ) from failures[steps[0]]
        return None

    def close(self) -> None:
        """Wait for the last save and release the files."""
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._explained(error) from error
        finally:
            self._manager.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OSError:
            if error is None:  # otherwise the first error is shown
                raise

    def _read_by_all(
        self, step: int, like: TrainState, sharding: Sharding
    ) -> tuple[TrainState, Mapping[str, Any]] | Exception:
        """State and metadata of a checkpoint, or an error in all processes if one cannot read it.

        Errors may pass, such as those of a network, so there is a second attempt.
        """
        error: Exception | None = None
        for attempt in range(ATTEMPTS):
            time.sleep(PAUSE_SECONDS if attempt else 0)
            content = None
            try:
                content = self._read(step, like, sharding)
            except Exception as failure:  # orbax raises many types for damaged files
                error = failure
            can_read = parallel.gathered(np.array(content is not None))
            if content is not None and can_read.all():
                return content
        return error or OSError("another process of this run cannot read it")

    def _read(
        self, step: int, like: TrainState, sharding: Sharding
    ) -> tuple[TrainState, Mapping[str, Any]]:
        """Read in this process alone, so that no other process waits if this one fails."""
        folder: Any = self._folder / f"{step}"  # orbax declares a path class of its own
        with closing(ocp.PyTreeCheckpointHandler()) as handler:
            names = handler.metadata(folder / "state").tree
            expected = layout.stored(like, names)
            _check_structure(names, expected)
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), expected)
            reading = ocp.args.PyTreeRestore(expected, restore_args=as_numpy)
            state: Any = handler.restore(folder / "state", args=reading)
        metadata = _metadata(folder)
        if checksum(state) != metadata["crc32"]:
            raise ValueError("its numbers do not match their checksum")
        return layout.restored(parallel.placed(state, sharding)), metadata

    def _check_seed(self, metadata: Mapping[str, Any]) -> None:
        theirs, ours = metadata["seed"], self._metadata["seed"]
        if theirs != ours:
            raise ValueError(
                f"{self._folder} was begun with seed {theirs}, not {ours}: "
                "use that seed or another --workdir"
            )

    def _set_aside(self, damaged: int, used: int, error: Exception) -> None:
        aside = self._folder.with_name("checkpoints_damaged")
        multihost_utils.sync_global_devices("every process has read it")
        if jax.process_index() == 0:
            aside.mkdir(exist_ok=True)
            (self._folder / f"{damaged}").rename(_unused(aside / f"{damaged}"))
        multihost_utils.sync_global_devices("it has been moved")
        self._manager.reload()
        logging.warning(
            "checkpoint %d is damaged (%s); it is now in %s, training continues from step %d",
            damaged,
            str(error).strip().splitlines()[0][:200],
            aside,
            used,
        )

    def _explained(self, error: Exception) -> Exception:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if not full and "No space left on device" not in str(error):
            return error
        step = self._manager.latest_step()
        safe = "nothing was saved yet" if step is None else f"the checkpoint of step {step} is safe"
        return OSError(
            errno.ENOSPC,
            f"the disk of {self._folder} is full, so the newest checkpoint could not be written; "
            f"{safe}: free some space and start the same command again",
        )


def checksum(tree: Any) -> int:
    """CRC-32 of all numbers of the tree, in the order of its leaves; 0.2 s for a GB."""
    total = 0
    for leaf in jax.tree.leaves(jax.device_get(tree)):
        numbers = np.ascontiguousarray(leaf).reshape(-1)
        total = zlib.crc32(numbers.view(np.uint8).data, total)
    return total


def load_params(path: str | Path, step: int | None = None, folder: str = FOLDER) -> dict[str, Any]:
    """The network of a finished or running run, as host arrays: {"params": …} and the other
    collections of `TrainState`, or their moving average if the run has one.

    `path` is the run's workdir, `folder` is "checkpoints" or "best" in it. Without `step`, the
    newest checkpoint is read. Raises FileNotFoundError if there is none.
    """
    folder_path = Path(path).absolute() / folder
    steps = complete_steps(path, folder)
    step = max(steps, default=None) if step is None else step
    if step is None or step not in steps:
        raise FileNotFoundError(
            f"{path} holds no complete checkpoint{'' if step is None else f' of step {step}'}: "
            "train that stage first"
        )
    plain_names.check_utf8(folder_path)
    options = ocp.CheckpointManagerOptions(create=False, enable_async_checkpointing=False)
    with ocp.CheckpointManager(folder_path, options=options, item_handlers=_handlers()) as manager:
        stored = manager.item_metadata(step)["state"].tree
        names = ("average",) if stored.get("average") else layout.network_names(stored)
        part = {name: stored[name] for name in names}
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), part)
        reading = ocp.args.PyTreeRestore(part, restore_args=as_numpy, partial_restore=True)
        restored = manager.restore(step, args=ocp.args.Composite(state=reading))["state"]
        return restored.get("average") or layout.network(restored)


def complete_steps(path: str | Path, folder: str = FOLDER) -> list[int]:
    """The steps of a run's complete checkpoints; `folder` as in `load_params`."""
    folder_path = paths.local(path).absolute() / folder
    return sorted(ocp.utils.checkpoint_steps(folder_path)) if folder_path.is_dir() else []


def newest_metadata(path: str | Path, folder: str = FOLDER) -> dict[str, Any]:
    """The metadata of the newest checkpoint of a finished or running run, such as its version;
    empty if there is none. Uses no device. `folder` is as in `load_params`.
    """
    steps = complete_steps(path, folder)
    if not steps:
        return {}
    return _metadata(Path(path).absolute() / folder / f"{steps[-1]}")


def init_from(
    fresh: Mapping[str, Any], loaded: Mapping[str, Any], without: Collection[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """The variables `fresh` with the values of `loaded`, and the names of those that stayed fresh.

    Both are {"params": …} and other collections. Parts whose name is in `without`, such as "head",
    stay fresh. Raises ValueError if any other variable is missing or has another shape.
    """
    source = {_name(path): leaf for path, leaf in _leaves(loaded)}
    stayed: list[str] = []
    wrong: list[str] = []

    def choose(path: tuple, leaf: Any) -> Any:
        name = _name(path)
        if not set(without).isdisjoint(name.split("/")):
            stayed.append(name)
            return leaf
        if name not in source or source[name].shape != leaf.shape:
            wrong.append(name)
            return leaf
        return source[name].astype(leaf.dtype)

    merged = jax.tree_util.tree_map_with_path(choose, dict(fresh))
    if wrong:
        raise ValueError(
            f"{len(wrong)} variables are missing in the loaded weights or have another shape, "
            f"first '{wrong[0]}': load a run of the same network, or fewer of its parts"
        )
    return merged, stayed


def _manager(folder: Path, keep: int) -> ocp.CheckpointManager:
    plain_names.check_utf8(folder)
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, create=True, cleanup_tmp_directories=True
    )
    return ocp.CheckpointManager(folder, options=options, item_handlers=_handlers())


def _handlers() -> dict[str, ocp.CheckpointHandler]:
    return {"state": ocp.PyTreeCheckpointHandler(), "facts": ocp.JsonCheckpointHandler()}


def _metadata(checkpoint: Path) -> dict[str, Any]:
    return json.loads((checkpoint / "facts" / "metadata").read_text("utf-8"))


def _check_structure(stored: Any, like: Any) -> None:
    """Raise ValueError naming the first array that differs in name, shape or type."""
    held, needed = (
        {_name(path): (leaf.shape, leaf.dtype) for path, leaf in _leaves(tree)}
        for tree in (stored, like)
    )
    for name in sorted(held.keys() | needed.keys()):
        if held.get(name) != needed.get(name):
            raise ValueError(f"{name} is {held.get(name)}, expected {needed.get(name)}")


def _leaves(tree: Any) -> list[tuple[tuple, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree)


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _unused(path: Path) -> Path:
    """This path, with a number at the end if it exists already."""
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}_{number}")
    return free
