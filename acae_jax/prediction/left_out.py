"""What a run leaves out: an input or output that fails is named at once, and the rest goes on."""

import contextlib
import errno
import sys
from collections.abc import Iterator

from tqdm import tqdm

from acae_jax import messages

FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or a quota of it


def is_full(error: Exception) -> bool:
    """Whether the disk is full, so that whatever comes next could not be kept either."""
    return isinstance(error, OSError) and error.errno in FULL


def tell(failures: list[str], line: str) -> None:
    """Print what is left out and why, and keep the line."""
    failures.append(line)
    tqdm.write(f"left out: {line}", file=sys.stderr)


@contextlib.contextmanager
def leaving_out(failures: list[str], output: str) -> Iterator[None]:
    """Leave out one output if it cannot be written for whatever reason, unless the disk is full."""
    try:
        yield
    except Exception as error:  # libraries of files raise errors of all kinds
        if is_full(error):
            raise
        kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
        tell(failures, f"{output}: {kind}{messages.one_line(error)}")
