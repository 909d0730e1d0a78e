"""Messages during long work."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Print what is being done, and for how long."""
    done, start = threading.Event(), time.monotonic()
    live = sys.stderr.isatty()

    def show() -> None:
        print(f"{what} …", end="" if live else "\n", file=sys.stderr, flush=True)
        while not done.wait(1 if live else 60):
            spent = f"{what} … {time.monotonic() - start:.0f} s"
            print(f"\r{spent}" if live else spent, end="" if live else "\n", file=sys.stderr)
            sys.stderr.flush()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        spent = f"{what}: {time.monotonic() - start:.0f} s"
        print(f"\r{spent}  " if live else spent, file=sys.stderr, flush=True)
