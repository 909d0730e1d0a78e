"""How every main ends: what the user can mend or has asked for is one line and an exit code.

A main imports only Python's own modules when it is imported; all else comes within its work, so
that help, wrong options and an early Ctrl-C are answered at once.
"""

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPED = 128 + signal.SIGINT
IMPORTING, JAX_CALLBACK = "<frozen importlib._bootstrap>", "_xla_gc_callback"
MENDABLE = (ValueError, OSError, ImportError, FloatingPointError)


def exit_code(
    work: Callable[[], int | None], stopped: str = "stopped", hint: Callable[[], str] = str
) -> int:
    """Do a main's work and return its exit code: what the work returns, or 0 for None.

    130 after Ctrl-C, with the line `stopped`; 1 after an error that the user can mend, with its
    text and the `hint` behind it.
    """
    interrupts: list[int] = []
    if isinstance(sys.stdout, io.TextIOWrapper):  # stderr is like this already
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no UTF-8
    try:
        with _interrupts_noted(interrupts):
            return work() or 0
    except KeyboardInterrupt:
        print(f"\n{stopped}", file=sys.stderr)
        return STOPPED
    except Exception as error:
        if interrupts:  # libraries whose import is interrupted raise errors of their own
            print(f"\n{stopped}", file=sys.stderr)
            return STOPPED
        if not isinstance(error, MENDABLE):
            raise
        print(f"error: {_text(error)}{hint()}", file=sys.stderr)
        return 1


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f": {error.filename}" if error.filename else ""
        is_bare = error.strerror == os.strerror(errno.ENOSPC)  # else it says what to do
        advice = "; free space and run the same command again" if is_bare else ""
        return f"disk full: {error.strerror}{where}{advice}"
    return str(error)


@contextmanager
def _interrupts_noted(interrupts: list[int]) -> Iterator[None]:
    """Within, Ctrl-C raises KeyboardInterrupt as usual, is never lost, and is noted."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        if not can_bear_an_interrupt(frame):
            signal.setitimer(signal.ITIMER_REAL, 0.05)  # ask again then
            return
        raise KeyboardInterrupt

    numbers = [signal.SIGINT, *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else [])]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    postponed = False
    try:
        yield
    finally:
        if interrupts and hasattr(signal, "setitimer"):
            postponed = signal.setitimer(signal.ITIMER_REAL, 0)[0] > 0
        for number, handler in before.items():
            signal.signal(number, handler)
    if postponed:
        raise KeyboardInterrupt


def can_bear_an_interrupt(frame: FrameType | None) -> bool:
    """Whether what runs in this frame may be left by an exception.

    Not JAX's callback in Python's garbage collector, where exceptions are dropped, nor an import:
    compiled modules that were left in the middle crash the process at its end. True where there are
    no alarms to ask again, as on Windows.
    """
    if not hasattr(signal, "setitimer"):
        return True
    while frame is not None:
        if frame.f_code.co_name == JAX_CALLBACK or frame.f_code.co_filename == IMPORTING:
            return False
        frame = frame.f_back
    return True
