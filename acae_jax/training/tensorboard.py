"""The rows of a run's log as TensorBoard's event files.

metrics.jsonl remains the log. When a run is continued, its earlier rows are written again, to a new
file. So no row is there twice, and no row is from after the checkpoint.
"""

import time
from pathlib import Path
from typing import Any

from acae_jax.training.logs import ABOUT, Row

FOLDER = "tensorboard"
FILES = "events.out.tfevents."
FLUSH_SECONDS = 10.0  # the library waits for the disk at each flush


class Events:
    """A listener of `logs.Log` that writes event files to `folder`; use it as a context.

    Nothing in the folder changes before the first row. Raises ValueError if the extra
    [tensorboard] is not installed.
    """

    def __init__(self, folder: Path):
        try:
            import tensorboardX
            from tensorboardX.proto import event_pb2, summary_pb2
        except ModuleNotFoundError as error:
            raise ValueError(
                f"event files need the extra [tensorboard], as {error.name} is missing: "
                "pip install 'acae_jax[tensorboard]'"
            ) from error
        self._folder = folder
        self._open_file = tensorboardX.RecordWriter  # its SummaryWriter hangs when the disk is full
        self._event: Any = event_pb2
        self._summary: Any = summary_pb2
        self._file: Any = None
        self._flushed = 0.0

    def __call__(self, row: Row) -> None:
        """Write the row's metrics with its step and time; values that are not finite become NaN."""
        self._file = self._file or self._start(row["time"])
        values = [
            self._summary.Summary.Value(tag=tag, simple_value=float("nan") if y is None else y)
            for tag, y in row.items()
            if tag == "seconds" or tag not in ABOUT
        ]
        summary = self._summary.Summary(value=values)
        self._write(self._file, step=row["step"], wall_time=row["time"], summary=summary)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._file.flush()
            self._flushed = time.monotonic()

    def _start(self, wall_time: float) -> Any:
        """A new file in place of the existing ones."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for earlier in self._folder.glob(f"{FILES}*"):
            earlier.unlink()
        file = self._open_file(str(self._folder / f"{FILES}{time.time_ns()}"))
        self._write(file, wall_time=wall_time, file_version="brain.Event:2")
        # This makes a running TensorBoard drop what it has read from the earlier files.
        start = self._event.SessionLog(status=self._event.SessionLog.START)
        self._write(file, step=0, wall_time=wall_time, session_log=start)
        return file

    def _write(self, file: Any, **fields: Any) -> None:
        file.write(self._event.Event(**fields).SerializeToString())

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
