"""JSON files that people write by hand or with any program."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acae_jax import messages


def read(path: str | Path) -> Any:
    """What a JSON file holds, in UTF-8, UTF-16 or UTF-32, with a byte-order mark or without.

    An OSError if it cannot be read, a ValueError of one line if it is no JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except RecursionError:
        raise ValueError(f"{path} is not JSON (it is nested too deeply)") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); mend it there") from None


def read_object(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file; errors as of `read`, and a ValueError if it is something else."""
    content = read(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold one JSON object, in braces")
    return content


def check_keys(
    content: Any, where: str, required: Sequence[str] = (), optional: Sequence[str] = ()
) -> None:
    """Raise ValueError, in one line, unless it is an object with these keys and no others."""
    if not isinstance(content, dict):
        raise ValueError(f"{where} must be an object")
    for key in content:
        if key not in (*required, *optional):
            hint = messages.near_misses(str(key), (*required, *optional))
            raise ValueError(f"{where} has an unknown key '{key}'; {hint}")
    for key in required:
        if key not in content:
            raise ValueError(f"{where} lacks the key '{key}'")


def numbers(content: Any, where: str, shape: tuple[int, ...]) -> np.ndarray:
    """The finite numbers of this shape in float64; ValueError, in one line, for all else."""
    try:
        values = np.array(content, np.float64)
    except (ValueError, TypeError, OverflowError):
        values = np.zeros(0)
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{where} must be {' × '.join(map(str, shape))} finite numbers")
    return values
