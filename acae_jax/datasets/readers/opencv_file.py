"""Matrices, numbers and text in the files of OpenCV's FileStorage: YAML, XML and JSON.

OpenCV reads them itself: its parser knows numbers, text, matrices, maps and lists, and makes
nothing else.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from acae_jax import messages

LIMIT_BYTES = 64 << 20
_DEEPEST = 32


def read(path: str | Path) -> dict[str, Any]:
    """What the file holds by name: arrays, numbers, text, and dicts and lists of these.

    Raises FileNotFoundError; ValueError, in one line, if it is damaged or has more bytes than
    LIMIT_BYTES.
    """
    size = Path(path).stat().st_size
    if size > LIMIT_BYTES:
        raise ValueError(f"{path} has {size} bytes; at most {LIMIT_BYTES} are read")
    text = Path(path).read_text("utf-8", errors="replace")
    try:
        flags = cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY
        storage = cv2.FileStorage(text, flags)
        try:
            return _value(storage.root(), 0)
        finally:
            storage.release()
    except Exception as error:  # OpenCV's own, and what its bindings make of them
        why = messages.one_line(error.__cause__ or error)
        raise ValueError(f"{path} is no readable file of OpenCV's FileStorage: {why}") from error


def _value(node: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    if node.isMap():
        names = node.keys()
        if {"rows", "cols", "data"} <= set(names):
            return _matrix(node)
        return {name: _value(node.getNode(name), depth + 1) for name in names}
    if node.isSeq():
        return [_value(node.at(index), depth + 1) for index in range(node.size())]
    if node.isString():
        return node.string()
    if node.isInt():
        return int(node.real())
    return float(node.real()) if node.isReal() else None


def _matrix(node: Any) -> np.ndarray:
    """The matrix of a node; its data are counted first, because OpenCV allocates what rows and cols
    claim.
    """
    rows, columns = node.getNode("rows").real(), node.getNode("cols").real()
    if not 0 <= rows * columns <= node.getNode("data").size():
        raise ValueError(f"a matrix of {rows:.0f} x {columns:.0f} has fewer numbers")
    return np.asarray(node.mat()) if rows * columns else np.empty((int(rows), int(columns)))
