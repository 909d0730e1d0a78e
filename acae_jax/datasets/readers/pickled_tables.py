"""Pickles of official releases as plain data: none of their code is run (`foreign.pickled`).

Dicts, lists, numbers, text and arrays come as they are, in every protocol, also from Python 2,
whose text is read as Latin-1. Of objects, these are understood:

* a table of pandas (DataFrame, from 0.2x to 3) is a dict of its columns, arrays or lists;
* an array of chumpy, as SMPL's models have them, and a matrix of scipy.sparse are arrays;
* an ordered dict is a dict.

What only code could make stays a `pickled.Opaque` in its place: it does not matter where nobody
needs it, and `numbers` refuses it. A large file is mapped, and its arrays are views of it.
"""

import io
import math
import mmap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from acae_jax import messages
from acae_jax.foreign import pickled, pickled_arrays

LIMIT_BYTES = 16 << 30
_SPARSE = tuple(f"{kind}_{form}" for kind in ("csc", "csr", "coo") for form in ("matrix", "array"))
_LARGEST_DENSE = 1 << 27  # numbers in a sparse matrix with its zeros
_DEEPEST = 100


def read(path: str | Path, limit_bytes: int = LIMIT_BYTES) -> Any:
    """The plain data of a pickle.

    Raises FileNotFoundError, and ValueError, in one line, if the file is damaged or has more than
    `limit_bytes`.
    """
    path = Path(path)
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise ValueError(f"{path} is empty")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return _plain(data, limit_bytes)
    except ValueError as error:
        raise ValueError(f"{path} is no readable pickle: {error}") from error


def member(path: Path, name: str, limit_bytes: int) -> Any:
    """The plain data of the array of objects of this name in a .npz file, which NumPy pickles.

    ValueError, in one line, if it is damaged or expands to more than `limit_bytes`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(f"{name}.npy").file_size > limit_bytes:
                raise ValueError(f"it expands to more than {limit_bytes} bytes")
            file = io.BytesIO(archive.read(f"{name}.npy"))
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        _, _, dtype = read_header[version](file)
        if dtype != np.dtype(object):
            raise ValueError(f"it is an array of {dtype}, not of objects")
        return _plain(file.read(), limit_bytes)
    except Exception as error:  # zipfile, zlib and numpy's parser stumble in a dozen ways
        raise ValueError(f"{name} cannot be read: {messages.one_line(error)}") from error


def _plain(data: bytes | mmap.mmap, limit_bytes: int) -> Any:
    try:
        return _Plain().of(pickled.read(data, _MAKERS, limit_bytes=limit_bytes), 0)
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(messages.one_line(error)) from error


def numbers(content: Any, name: str) -> np.ndarray:
    """The array or list of numbers of this name in a dict; ValueError if there is none."""
    if not isinstance(content, dict) or name not in content:
        names = content if isinstance(content, dict) else ()
        raise ValueError(f"it lacks {name!r}; {messages.near_misses(name, map(str, names))}")
    value = content[name]
    if isinstance(value, pickled.Opaque):
        raise ValueError(f"{name!r} cannot be read: {value.refusal()}")
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name!r} holds something other than numbers")
    return array


def _reconstructed(called: Any, *_: Any) -> pickled.Opaque:
    """An object without its state, as the protocols 0 and 1 make it."""
    return pickled.Opaque(str(called) if isinstance(called, pickled.Name) else "object")


def _ordered(pairs: Any = ()) -> dict:
    """An ordered dict; protocols differ in whether its items are arguments or follow."""
    result = {}
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str | int):
            result[pair[0]] = pair[1]
    return result


_MAKERS: pickled.Makers = {
    **pickled_arrays.MAKERS,
    "collections.OrderedDict": _ordered,
    "collections.defaultdict": lambda *_: {},
    "copy_reg._reconstructor": _reconstructed,
    "copyreg._reconstructor": _reconstructed,
}


class _Plain:
    """The conversion to plain data, each object once, however often it occurs."""

    def __init__(self):
        self._done: dict[int, Any] = {}
        self._begun: set[int] = set()

    def of(self, value: Any, depth: int) -> Any:
        """The plain form of a value."""
        containers = (dict, list, tuple, pickled.Opaque, pickled.Stateful)
        if not isinstance(value, containers) or isinstance(value, pickled.Name):
            return value
        key = id(value)
        if key in self._done:
            return self._done[key]
        if key in self._begun or depth > _DEEPEST:
            raise ValueError(f"it contains itself, or is nested more than {_DEEPEST} deep")
        self._begun.add(key)
        self._done[key] = self._converted(value, depth + 1)
        return self._done[key]

    def _converted(self, value: Any, depth: int) -> Any:
        if isinstance(value, pickled_arrays.PickledArray):
            return self._array(value, depth)
        if isinstance(value, pickled.Opaque):
            return self._object(value, depth)
        if isinstance(value, dict):
            return {key: self.of(one, depth) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.of(one, depth) for one in value)
        return pickled.Opaque("numpy.dtype")

    def _array(self, shell: pickled_arrays.PickledArray, depth: int) -> Any:
        """An array, a number, or for an array of objects a list."""
        if not isinstance(shell.state, tuple) or len(shell.state) != 5:
            raise ValueError("it holds an array without content")
        _, shape, kind, _, content = shell.state
        if isinstance(content, list):
            return self._objects(content, shape, depth)
        try:
            kind.dtype()
        except (ValueError, AttributeError):  # dates, for example, which nobody needs
            return pickled.Opaque("numpy.ndarray")
        array = shell.array()
        return array if array.ndim else array.item()

    def _objects(self, content: list, shape: Any, depth: int) -> Any:
        """An array of objects, which are listed row by row, whatever their order in memory; the
        object itself if the array has no axes.
        """
        if not isinstance(shape, tuple) or not all(pickled.is_size(length) for length in shape):
            raise ValueError("it holds an array without a shape")
        if len(shape) > 8 or math.prod(shape) != len(content):
            raise ValueError("it holds an array whose objects do not fill its shape")
        array = np.empty(len(content), object)
        for index, one in enumerate(content):  # at once, NumPy would look into lists
            array[index] = self.of(one, depth)
        return array.reshape(shape).tolist()

    def _object(self, value: pickled.Opaque, depth: int) -> Any:
        """What an object of one of the known classes holds; others stay as they are."""
        module, _, name = value.call.rpartition(".")
        if module.startswith("pandas") and name == "DataFrame":
            return self._table(value, depth)
        if module.startswith("pandas") and name in ("_new_Index", "StringArray"):
            return self._labels(value, depth)
        if name == "__pyx_unpickle_NDArrayBacked":
            return self._labels(value, depth)
        if module.startswith("scipy.sparse") and name in _SPARSE:
            return _dense(name, self.of(value.state, depth))
        if module.startswith("chumpy"):
            return self._chumpy(value, name, depth)
        return value

    # ------------------------------------------------------------------------------------- pandas

    def _table(self, frame: pickled.Opaque, depth: int) -> dict[str, Any]:
        state = frame.state
        if isinstance(state, dict):
            state = state.get("_mgr", state.get("_data"))
        if not isinstance(state, pickled.Opaque) or not state.call.endswith("BlockManager"):
            raise ValueError("it holds a table of pandas in an unknown form")
        blocks, axes = _manager(state)
        names = [str(name) for name in self.of(axes[0], depth)]
        columns: dict[int, Any] = {}
        for values, places in blocks:
            rows = self.of(values, depth)
            place = self._places(places, len(names), depth)
            if isinstance(values, pickled.Opaque):  # one column, of a class of pandas' own
                rows = [rows] * len(place)
            columns.update(zip(place, rows, strict=True))
        return {name: columns[i] for i, name in enumerate(names) if i in columns}

    def _places(self, places: Any, count: int, depth: int) -> list[int]:
        """The numbers of the columns that a block holds."""
        if isinstance(places, pickled.Opaque) and places.call.endswith(".slice"):
            limits = places.arguments
            if len(limits) != 3 or not all(isinstance(one, int) for one in limits):
                raise ValueError("it holds a table of pandas with unknown columns")
            return list(range(count)[slice(*limits)])
        return np.asarray(self.of(places, depth)).ravel().tolist()

    def _labels(self, value: pickled.Opaque, depth: int) -> Any:
        """The values of an index or of a column of text."""
        parts: Any = value.state
        if value.call.endswith("_new_Index") and len(value.arguments) == 2:
            parts = value.arguments[1]
            parts = parts.get("data") if isinstance(parts, dict) else ()
        for part in parts if isinstance(parts, tuple) else (parts,):
            plain = self.of(part, depth)
            if isinstance(plain, list | np.ndarray):
                return plain
        return value

    # ------------------------------------------------------------------------------------- chumpy

    def _chumpy(self, value: pickled.Opaque, name: str, depth: int) -> Any:
        state = value.state if isinstance(value.state, dict) else {}
        if name == "Ch" and "x" in state:
            return self.of(state["x"], depth)
        inner = self.of(state.get("a"), depth)
        if name == "Reshape" and isinstance(inner, np.ndarray):
            return inner.reshape(self._shape(state.get("newshape"), depth))
        if name == "Select" and isinstance(inner, np.ndarray):
            chosen = inner.ravel()[np.asarray(self.of(state.get("idxs"), depth))]
            if "preferred_shape" in state:
                return chosen.reshape(self._shape(state["preferred_shape"], depth))
            return chosen
        return value

    def _shape(self, value: Any, depth: int) -> tuple[int, ...]:
        return tuple(np.atleast_1d(np.asarray(self.of(value, depth))).tolist())


def _manager(manager: pickled.Opaque) -> tuple[list[tuple[Any, Any]], Any]:
    """The blocks of a table, as values and places, and its axes."""
    if isinstance(manager.state, tuple) and len(manager.state) == 4:  # before pandas 1.3
        newest = manager.state[3]["0.14.1"]
        return [(one["values"], one["mgr_locs"]) for one in newest["blocks"]], newest["axes"]
    blocks, axes = manager.arguments
    return [one.arguments[:2] for one in blocks], axes


def _dense(kind: str, state: Any) -> np.ndarray:
    """A sparse matrix with its zeros."""
    if not isinstance(state, dict):
        raise ValueError("it holds a sparse matrix without content")
    shape = tuple(state.get("_shape", state.get("shape", ())))
    if len(shape) != 2 or not all(pickled.is_size(length) for length in shape):
        raise ValueError("it holds a sparse matrix without a shape")
    if math.prod(shape) > _LARGEST_DENSE:
        raise ValueError(f"it holds a sparse matrix of {shape[0]} x {shape[1]}, which is too large")
    result = np.zeros(shape)
    if kind.startswith("coo"):
        rows, columns = state["coords"] if "coords" in state else (state["row"], state["col"])
    else:
        counts = np.diff(state["indptr"])
        if counts.min(initial=0) < 0 or counts.sum() != len(state["indices"]):
            raise ValueError("it holds a sparse matrix whose parts do not fit")
        major = np.repeat(np.arange(len(counts)), counts)
        rows, columns = (major, state["indices"])[:: 1 if kind.startswith("csr") else -1]
    if min(np.min(rows, initial=0), np.min(columns, initial=0)) < 0:
        raise ValueError("it holds a sparse matrix with negative places")
    np.add.at(result, (rows, columns), state["data"])
    return result
