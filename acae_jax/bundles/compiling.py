"""Compiled programs, kept between processes: a model answers at once the second time, and training
that is continued goes on at once.

JAX's persistent compilation cache lies in the user's cache folder, $XDG_CACHE_HOME/acae_jax (or
~/.cache/acae_jax), in a part for this kind of processor: what was compiled for one with more
instructions does not run on another that shares the home folder. ACAE_JAX_CACHE names another
folder, or switches the cache off with 0. A cache that the process has already chosen is left alone,
and a folder that cannot be written, or that others may write to, is not used: JAX runs what it
finds there.
"""

import hashlib
import os
import platform
import stat
from pathlib import Path

import jax

SWITCH = "ACAE_JAX_CACHE"
SETTING = "jax_compilation_cache_dir"
OFF = ("", "0", "off", "false", "no")


def keep() -> Path | None:
    """Have JAX keep what takes it long to compile; the folder, or None if nothing is kept."""
    value = os.environ.get(SWITCH)
    if value is not None and value.lower() in OFF:
        return None
    if getattr(jax.config, SETTING):
        return None
    try:
        folder = _base(value) / _processor()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        trusted = _is_own(folder)
    except (OSError, RuntimeError):  # the latter: no home folder
        return None
    if not trusted:
        return None
    jax.config.update(SETTING, str(folder))
    return folder


def _base(chosen: str | None) -> Path:
    if chosen is not None:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "acae_jax"


def _is_own(folder: Path) -> bool:
    """Whether this user can write to the folder, and nobody else to it or put another in its place.

    Who may write to a folder above can exchange what is in it, unless it has the sticky bit.
    """
    folder = folder.resolve()
    if not os.access(folder, os.W_OK):
        return False
    if not hasattr(os, "getuid"):
        return True
    for place in (folder, *folder.parents):
        state = place.stat()
        others = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        safe = place != folder and state.st_mode & stat.S_ISVTX
        owners = (os.getuid(),) if place == folder else (os.getuid(), 0)
        if state.st_uid not in owners or (others and not safe):
            return False
    return True


def _processor() -> str:
    """A name for processors that can run the same code."""
    features = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        features += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(features.encode()).hexdigest()[:16]
