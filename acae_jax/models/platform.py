"""For which kind of device networks are built where layouts matter: this machine's, unless told.

Single operations choose their form when they are compiled (`depthwise`); how maps are laid out
through several layers is settled earlier, when the network is traced. Parameters do not depend on
it, and results only in their rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

_told: ContextVar[str | None] = ContextVar("platform", default=None)


def is_tpu() -> bool:
    """Whether networks traced now are for TPUs."""
    return (_told.get() or jax.default_backend()) == "tpu"


@contextmanager
def compiling_for(platform: str) -> Iterator[None]:
    """Networks traced within are for "cpu", "gpu" or "tpu", whatever this machine has."""
    token = _told.set(platform)
    try:
        yield
    finally:
        _told.reset(token)
