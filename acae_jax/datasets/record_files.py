"""ArrayRecord files of serialised examples, which are complete or absent."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

READ_AT_ONCE = 64


def write(path: Path, examples: Iterable[bytes]) -> None:
    """Write a file; OSError if the disk is full."""
    # Imported late: there is no array_record on Windows.
    from array_record.python import array_record_module  # pyright: ignore

    with _completed(path) as temporary:
        try:
            file = array_record_module.ArrayRecordWriter(str(temporary), "group_size:1")
            try:
                for example in examples:
                    file.write(example)
            finally:
                file.close()
        except RuntimeError as error:  # the type of all errors of ArrayRecord
            if "No space left" not in str(error):
                raise
            raise OSError(errno.ENOSPC, f"no space left in {path.parent}") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file, likewise."""
    with _completed(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read(path: Path, count: int) -> Iterator[bytes]:
    """The `count` examples of a file, of which few are in memory."""
    from array_record.python import array_record_module  # pyright: ignore

    if not count:
        return
    reader = array_record_module.ArrayRecordReader(str(path))
    for start in range(0, count, READ_AT_ONCE):
        yield from reader.read(start, min(start + READ_AT_ONCE, count))
    reader.close()


@contextlib.contextmanager
def _completed(path: Path) -> Iterator[Path]:
    """A name for a file, which gets its own name when nothing has gone wrong."""
    # Other machines may be at the same work.
    temporary = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
