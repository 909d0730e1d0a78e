"""NumPy arrays in pickles (see `pickled`), checked.

They may hold numbers, truth values and text of fixed length, in the forms that NumPy 1 and 2 write
in the pickle protocols 0 to 5.
"""

import re
from typing import Any

import numpy as np

from acae_jax.foreign import pickled

LONGEST_TEXT = 200
"""Characters; in an array every text takes as much memory as the longest."""
LARGEST = 100_000
"""The largest number of items of a list, with the items of lists in it (each time they occur)."""
_LONGEST_ROW = 16
_CODE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|U[0-9]{1,3})")
_ENCODINGS = ("latin1", "latin-1")


class PickledType(pickled.Stateful):
    """The type of an array's elements; its state, if there is one, holds the byte order."""

    def __init__(self, code: str):
        self._code = code

    def dtype(self) -> np.dtype:
        """The type in NumPy; ValueError unless it is one of numbers or text."""
        if _CODE.fullmatch(self._code[:20]) is None:
            raise ValueError(f"it holds an array of type {self._code[:20]!r}, not numbers or text")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        if order not in ("<", ">", "|", "="):
            raise ValueError("it holds an array of unknown byte order")
        dtype = np.dtype(self._code)
        if dtype.kind == "U" and not 0 < dtype.itemsize <= 4 * LONGEST_TEXT:
            raise ValueError(f"it holds texts of more than {LONGEST_TEXT} characters, or of none")
        return dtype.newbyteorder(order)


class PickledArray(pickled.Stateful):
    """An array; its state holds its shape, type and bytes."""

    def array(self) -> np.ndarray:
        """The array; ValueError if the number of bytes does not fit shape and type."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise ValueError("it holds an array without content")
        _, shape, kind, fortran, content = self.state
        return _array(content, kind, shape, "F" if fortran else "C")


def array_of(value: Any) -> np.ndarray:
    """A list or array of a pickle as a NumPy array of numbers or text; ValueError for all else."""
    if isinstance(value, PickledArray):
        return value.array()
    if isinstance(value, pickled.Opaque):
        raise value.refusal()
    if not isinstance(value, list | tuple) or len(value) > LARGEST:
        raise ValueError(f"it holds something other than a list of at most {LARGEST} items")
    rows = [_small(row) if isinstance(row, PickledArray) else row for row in value]
    lengths = [len(row) for row in rows if isinstance(row, list | tuple)]
    if max(lengths, default=0) > _LONGEST_ROW:
        raise ValueError("it holds lists that are longer or deeper than any array here")
    if sum(lengths) > LARGEST:
        raise ValueError(f"it holds a list of more than {LARGEST} items")
    rows = [
        [_small(one) if isinstance(one, PickledArray) else one for one in row]
        if isinstance(row, list | tuple)
        else row
        for row in rows
    ]
    _check([one for row in rows for one in (row if isinstance(row, list) else (row,))])
    try:
        return np.array(rows)
    except ValueError:
        raise ValueError("it holds a list of lists that are not of the same length") from None


def _small(shell: PickledArray) -> Any:
    """An array within a list, which may be a number, a text or a short list."""
    array = shell.array()
    if array.ndim > 1 or array.size > _LONGEST_ROW:
        raise ValueError("it holds lists that are longer or deeper than any array here")
    return array.tolist()


def _check(values: list[Any]) -> None:
    """Raise ValueError unless these are numbers or texts of limited length."""
    if any(isinstance(one, list | tuple) for one in values):
        raise ValueError("it holds lists that are longer or deeper than any array here")
    if not all(isinstance(one, bool | int | float | str) for one in values):
        raise ValueError("it holds a list of something other than numbers or text")
    if any(isinstance(one, str) and len(one) > LONGEST_TEXT for one in values):
        raise ValueError(f"it holds a text of more than {LONGEST_TEXT} characters")
    if any(isinstance(one, int) and not -(2**63) <= one < 2**63 for one in values):
        raise ValueError("it holds a number of more than 64 bits")


def _array(content: Any, kind: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(kind, PickledType) or not isinstance(content, bytes | memoryview | str):
        raise ValueError("it holds an array of objects, not of numbers or text")
    dtype = kind.dtype()
    if not isinstance(shape, tuple) or len(shape) > 8 or not all(pickled.is_size(n) for n in shape):
        raise ValueError("it holds an array without a shape")
    if int(np.prod(shape, dtype=object)) * dtype.itemsize != len(content):
        raise ValueError(f"it holds an array of {len(content)} bytes that do not fill its shape")
    content = content.encode("latin-1") if isinstance(content, str) else content
    flat = np.frombuffer(content, dtype) if content else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _shell(*_: Any) -> PickledArray:
    return PickledArray()


def _type(code: Any, *_: Any) -> PickledType:
    if not isinstance(code, str):
        raise ValueError("it holds an array of a structured type, not of numbers or text")
    return PickledType(code)


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> PickledArray:
    shell = PickledArray()
    shell.state = (1, shape, kind, order == "F", content)
    return shell


def _scalar(kind: Any, content: Any) -> PickledArray:
    return _from_buffer(content, kind, (), "C")


def _encode(text: Any, encoding: Any = "") -> str:
    """The text unchanged; `_array` encodes it only when it is needed."""
    if not isinstance(text, str) or encoding not in _ENCODINGS:
        raise ValueError("it encodes something other than the bytes of an array")
    return text


def _no_bytes() -> bytes:
    return b""


def _makers() -> dict[str, Any]:
    result: dict[str, Any] = {"numpy.dtype": _type, "_codecs.encode": _encode}
    result["__builtin__.bytes"] = _no_bytes  # protocol 2 and below
    for core in ("numpy.core", "numpy._core"):
        result[f"{core}.multiarray._reconstruct"] = _shell
        result[f"{core}.multiarray.scalar"] = _scalar
        result[f"{core}.numeric._frombuffer"] = _from_buffer
    return result


MAKERS: pickled.Makers = _makers()
"""The makers with which `pickled.read` reads arrays."""
