"""MATLAB's files as plain data: version 5 (by scipy) and version 7.3, which is HDF5 (by h5py).

A number, array or truth value is an array of MATLAB's shape and type, with at least two axes. Text
is a str, or a list of them if it has more rows. A struct is a dict. A cell array or an array of
structs is a list where it has one row or one column, an empty one too, and a list of rows
otherwise; an array of one struct cannot be told from a struct, for which there is `listed`. What
belongs to a class or is a function is None.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse

from acae_jax import messages

LIMIT_BYTES = 4 << 30
_DEEPEST = 32
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_AT = (0, 512)  # after MATLAB's own header, or without one
_OF_CODE = (
    scipy.io.matlab.MatlabFunction,
    scipy.io.matlab.MatlabObject,
    scipy.io.matlab.MatlabOpaque,
)
_COMPRESSED = 15  # the type of an element that holds another one, by zlib


def read(path: str | Path, limit_bytes: int = LIMIT_BYTES) -> dict[str, Any]:
    """The variables of a .mat file by name.

    Raises FileNotFoundError; ValueError, in one line, for a file that is damaged or expands to more
    than `limit_bytes`; and ImportError if it is of version 7.3 and h5py is missing.
    """
    if is_hdf5(path):
        return _with_hdf5(path, lambda root: _Hdf5(root, limit_bytes).struct(root))
    return _version_5(Path(path), limit_bytes)


def cells(
    path: str | Path,
    name: str,
    limit_bytes: int = LIMIT_BYTES,
    indices: Iterable[int] | None = None,
) -> Iterator[Any]:
    """The items of a cell array in MATLAB's order, of version 7.3 one by one; errors as `read`.

    All items, or those with `indices`. `limit_bytes` is for one item. Of version 5, the variable
    must be one row or one column.
    """
    if not is_hdf5(path):
        items = listed(_variable(read(path, limit_bytes), name, path))
        yield from items if indices is None else (items[index] for index in indices)
        return
    with _opened(path) as root:
        for index in range(cell_count(path, name)) if indices is None else indices:
            yield _guarded(
                path, lambda i=index: _Hdf5(root, limit_bytes).item(_references(root, name), i)
            )


def cell_count(path: str | Path, name: str) -> int:
    """How many items a cell array has; errors as `read`, and limits of `cells`."""
    if not is_hdf5(path):
        return len(listed(_variable(read(path), name, path)))
    return _with_hdf5(path, lambda root: _references(root, name).size)


def listed(value: Any) -> list[Any]:
    """A list as it is, a struct as a list of one, an empty array as an empty list.

    MATLAB does not tell a struct from an array of one struct, nor an empty cell array from another
    empty array.
    """
    if isinstance(value, list):
        return value
    return [] if isinstance(value, np.ndarray) and not value.size else [value]


def is_hdf5(path: str | Path) -> bool:
    """Whether the file is HDF5, as those of version 7.3 are; FileNotFoundError if it is absent."""
    with Path(path).open("rb") as file:
        head = file.read(_HDF5_AT[-1] + len(_HDF5))
    return any(head[at : at + len(_HDF5)] == _HDF5 for at in _HDF5_AT)


def _variable(variables: dict[str, Any], name: str, path: str | Path) -> Any:
    if name not in variables:
        raise ValueError(
            f"{path} has no variable {name!r}; {messages.near_misses(name, variables)}"
        )
    return variables[name]


def _arranged(shape: tuple[int, ...], item: Callable[[tuple[int, ...]], Any]) -> list[Any]:
    """The items of a cell array or an array of structs as a list, or as a list of rows."""
    if len(shape) != 2:
        raise ValueError(f"it holds a cell or struct array of {len(shape)} axes; 2 are read")
    rows, columns = shape
    if rows == 1 or columns == 1 or not rows * columns:
        places = [(row, column) for row in range(rows) for column in range(columns)]
        return [item(place) for place in places]
    return [[item((row, column)) for column in range(columns)] for row in range(rows)]


def _text(rows: list[str]) -> str | list[str]:
    return "".join(rows) if len(rows) < 2 else rows


# -------------------------------------------------------------------------------------- version 5


def _version_5(path: Path, limit_bytes: int) -> dict[str, Any]:
    try:
        expanded = _expanded_bytes(path)
        if expanded > limit_bytes:
            raise ValueError(
                f"it expands to {expanded} bytes, more than allowed ({limit_bytes} bytes)"
            )
        variables = scipy.io.loadmat(path, mat_dtype=True, chars_as_strings=False)
        return {
            name: _plain(value, 0)
            for name, value in variables.items()
            if not (name.startswith("__") and name.endswith("__"))
        }
    except Exception as error:  # scipy's parser stumbles in a dozen ways
        raise ValueError(f"{path} is no readable .mat file: {messages.one_line(error)}") from error


def _expanded_bytes(path: Path) -> int:
    """How many bytes the variables of a file of version 5 say that they have."""
    total = 0
    with path.open("rb") as file:
        header = file.read(128)
        if len(header) < 128 or header[126:] not in (b"IM", b"MI"):
            return path.stat().st_size  # version 4, which compresses nothing
        order = "little" if header[126:] == b"IM" else "big"
        while len(tag := file.read(8)) == 8:
            kind, size = (int.from_bytes(tag[at : at + 4], order) for at in (0, 4))
            start = file.tell()
            if kind == _COMPRESSED:
                inner = zlib.decompressobj().decompress(file.read(min(size, 256)), 8)
                total += int.from_bytes(inner[4:8], order)
            else:
                total += size
            file.seek(start + size)
    return total


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    if scipy.sparse.issparse(value):
        return value.toarray()
    if not isinstance(value, np.ndarray) or isinstance(value, _OF_CODE):
        return None
    if value.dtype.names is not None or value.dtype == object:
        return _plain_items(value, depth)
    if value.dtype.kind in "US":
        rows = value.reshape(-1, value.shape[-1]).tolist() if value.size else []
        return _text(["".join(row) for row in rows])
    return value


def _plain_items(value: np.ndarray, depth: int) -> Any:
    names = value.dtype.names
    if names is None:
        return _arranged(value.shape, lambda place: _plain(value[place], depth + 1))

    def struct(place: tuple[int, ...]) -> dict[str, Any]:
        return {name: _plain(value[place][name], depth + 1) for name in names}

    return struct((0, 0)) if value.shape == (1, 1) else _arranged(value.shape, struct)


# ------------------------------------------------------------------------------------ version 7.3


def _opened(path: str | Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise ImportError(
            f"{path} is of MATLAB's version 7.3, which needs h5py: pip install -e '.[datasets]'"
        ) from None
    return _guarded(path, lambda: h5py.File(path, "r"))


def _with_hdf5(path: str | Path, function: Callable[[Any], Any]) -> Any:
    with _opened(path) as root:
        return _guarded(path, lambda: function(root))


def _guarded(path: str | Path, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:  # h5py has errors of every kind for damaged files
        raise ValueError(f"{path} is no readable .mat file: {messages.one_line(error)}") from error


def _references(root: Any, name: str) -> Any:
    if name not in root:
        raise ValueError(f"it has no variable {name!r}; {messages.near_misses(name, root)}")
    if not _is_references(root[name]):
        raise ValueError(f"its variable {name!r} is no cell array")
    return root[name]


def _is_references(node: Any) -> bool:
    return hasattr(node, "dtype") and node.dtype == object  # of HDF5's types, only references


class _Hdf5:
    """The conversion of a file's parts; it counts the bytes that it has read."""

    def __init__(self, root: Any, limit_bytes: int):
        self._root = root
        self._left = self._limit = limit_bytes

    def struct(self, group: Any, depth: int = 0) -> dict[str, Any]:
        """The members of a group by name, without MATLAB's own store of cells."""
        return {
            name: self.value(node, depth)
            for name, node in group.items()
            if not name.startswith("#")
        }

    def value(self, node: Any, depth: int) -> Any:
        """A variable, field or cell."""
        if depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep")
        kind = _decoded(node.attrs.get("MATLAB_class", b""))
        if not hasattr(node, "dtype"):
            return self._group(node, kind, depth)
        if node.attrs.get("MATLAB_empty"):
            return _empty(kind, node)
        if _is_references(node):
            shape = node.shape[::-1]
            return _arranged(shape, lambda place: self._cell(node, place[::-1], depth))
        numbers = self._numbers(node)
        if kind == "char":
            return _text(["".join(map(chr, row)) for row in numbers.tolist()])
        if kind == "logical":
            return numbers.astype(bool)
        return numbers if numbers.dtype.kind in "biufc" and kind not in _CLASSES else None

    def item(self, references: Any, index: int) -> Any:
        """The cell of this number in MATLAB's order, which goes down the columns."""
        return self._cell(references, np.unravel_index(index, references.shape), 0)

    def _cell(self, node: Any, place: tuple[Any, ...], depth: int) -> Any:
        return self.value(self._root[node[place]], depth + 1)

    def _group(self, group: Any, kind: str, depth: int) -> Any:
        if "MATLAB_sparse" in group.attrs:
            return self._sparse(group)
        if kind in _CLASSES:
            return None
        parts = list(group.values())
        # An array of structs is a group whose fields are arrays of references; a cell array as the
        # only field looks the same except for its class.
        if parts and all(_is_references(p) and "MATLAB_class" not in p.attrs for p in parts):
            shape = parts[0].shape[::-1]
            if any(part.shape[::-1] != shape for part in parts):
                raise ValueError("it has an array of structs whose fields differ in shape")
            return _arranged(
                shape,
                lambda place: {n: self._cell(p, place[::-1], depth) for n, p in group.items()},
            )
        return self.struct(group, depth + 1)

    def _sparse(self, group: Any) -> np.ndarray:
        ends = self._numbers(group["jc"]).astype(np.int64).ravel()
        result_shape = (int(group.attrs["MATLAB_sparse"]), len(ends) - 1)
        self._spend(8 * result_shape[0] * result_shape[1])
        result = np.zeros(result_shape)
        if "ir" in group:
            rows = self._numbers(group["ir"]).astype(np.int64).ravel()
            columns = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
            result[rows, columns] = self._numbers(group["data"]).ravel()
        return result

    def _numbers(self, dataset: Any) -> np.ndarray:
        self._spend(dataset.size * dataset.dtype.itemsize)
        numbers = np.asarray(dataset[()])
        if numbers.dtype.names == ("real", "imag"):
            numbers = numbers["real"] + 1j * numbers["imag"]
        return np.atleast_2d(numbers).T

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ValueError(f"it expands to more than allowed ({self._limit} bytes)")


_CLASSES = ("function_handle", "table", "string", "datetime", "categorical", "containers.Map")


def _decoded(text: Any) -> str:
    return text.decode("latin-1") if isinstance(text, bytes) else str(text)


def _empty(kind: str, node: Any) -> Any:
    if kind == "char":
        return ""
    if kind == "cell":
        return []
    shape = tuple(int(length) for length in np.asarray(node[()]).ravel()[:8])
    if 0 not in shape:
        raise ValueError("it has an empty array of a shape that is not empty")
    if kind == "struct":
        return []
    return np.zeros(shape, {"logical": bool, "": float, "double": float}.get(kind, kind))
