"""NumPy's arrays in pickles (see `pickled`): what they are made of, checked, as arrays again.

Numbers, truth values and text of fixed length; the forms that NumPy 1 and 2 write in the pickle
protocols 0 to 5.
"""

import re
from typing import Any

import numpy as np

from acae_jax.foreign import pickled

_CODE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|U\d{1,4})$")
_ENCODINGS = ("latin1", "latin-1")
_LONGEST = (100_000, 16)
"""Items of a list and of the lists in it: one and the same list may stand in it many times."""


class PickledType(pickled.Stateful):
    """An element type; its state, where one follows, holds the byte order."""

    def __init__(self, code: str):
        self._code = code

    def dtype(self) -> np.dtype:
        """NumPy's type; a ValueError if it is none of numbers or text."""
        match = _CODE.match(self._code)
        if match is None:
            raise ValueError(f"it holds an array of type {self._code[:20]!r}, not numbers or text")
        order = self.state[1] if self.state else "="
        if order not in ("<", ">", "|", "="):
            raise ValueError("it holds an array of unknown byte order")
        return np.dtype(self._code).newbyteorder(order)


class PickledArray(pickled.Stateful):
    """An array whose shape, type and bytes follow as its state."""

    def array(self) -> np.ndarray:
        """The array; a ValueError if its bytes are not as many as shape and type say."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise ValueError("it holds an array without content")
        _, shape, kind, fortran, content = self.state
        return _array(content, kind, shape, "F" if fortran else "C")


def array_of(value: Any) -> np.ndarray:
    """A list or array of a pickle as an array of numbers or text; a ValueError otherwise."""
    if isinstance(value, PickledArray):
        return value.array()
    plain = _plain(value, depth=0)
    try:
        found = np.array(plain)
    except ValueError:
        found = np.array(None)
    if found.dtype.kind not in "biufU":
        raise ValueError("it holds a list of something other than numbers or text")
    return found


def _plain(value: Any, depth: int) -> Any:
    """Lists with the arrays in them, such as NumPy's own numbers, taken out of their shells."""
    if isinstance(value, PickledArray):
        return value.array()
    if isinstance(value, list | tuple):
        if depth == len(_LONGEST) or len(value) > _LONGEST[depth]:
            raise ValueError("it holds lists that are longer or deeper than any array here")
        return [_plain(item, depth + 1) for item in value]
    return value


def _array(content: Any, kind: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(kind, PickledType) or not isinstance(content, bytes | bytearray):
        raise ValueError("it holds an array of objects, not of numbers or text")
    dtype = kind.dtype()
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError("it holds an array without a shape")
    if int(np.prod(shape, dtype=object)) * dtype.itemsize != len(content) or len(shape) > 8:
        raise ValueError(f"it holds an array of {len(content)} bytes that do not fill its shape")
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


def _encode(text: Any, encoding: Any = "") -> bytes:
    if not isinstance(text, str) or encoding not in _ENCODINGS:
        raise ValueError("it encodes something other than the bytes of an array")
    return text.encode("latin-1")


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
"""What `pickled.read` needs to read arrays."""
