"""Files as torch.save writes them, made without torch: the stand-ins have torch's names."""

import collections
import contextlib
import io
import pickle
import sys
import types
import zipfile
from unittest import mock

import numpy as np

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "bool": "BoolStorage",
}


class Call:
    """Something that is pickled as a call of a global with these arguments, whatever they are."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments, *([] if state is None else [state]))

    def __reduce__(self):
        return self.call

    def __call__(self):
        """Only for pickle, which wants what it writes as a function to be callable."""


class Storage:
    """The numbers of one storage, which `Window`s may share."""

    def __init__(self, numbers):
        self.numbers = np.asarray(numbers)


class Window:
    """A tensor: an offset, a shape and strides in elements of a storage."""

    def __init__(self, storage, offset, shape, strides):
        self.storage = storage
        self.arguments = (offset, tuple(shape), tuple(strides))


def window(array):
    """An array as a contiguous tensor with a storage of its own."""
    flat = np.ascontiguousarray(array).reshape(-1)
    strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
    return Window(Storage(flat), 0, array.shape, strides)


def pickled(content):
    """The data.pkl of a content with arrays and Windows for tensors, and its storages."""
    file, storages = io.BytesIO(), []

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            if value not in storages:
                storages.append(value)
            kind = stand_in(f"torch.{STORAGES[value.numbers.dtype.name]}")
            return ("storage", kind, str(storages.index(value)), "cpu", len(value.numbers))

        def reducer_override(self, value):
            if isinstance(value, np.ndarray):
                value = window(value)
            if not isinstance(value, Window):
                return NotImplemented
            arguments = (value.storage, *value.arguments, False, collections.OrderedDict())
            return stand_in("torch._utils._rebuild_tensor_v2"), arguments

    with _modules():
        Pickler(file, protocol=2).dump(content)
    return file.getvalue(), storages


def save(path, content, compression=zipfile.ZIP_STORED, extra=()):
    """Write a file in the zip format; `extra` are names of further, empty entries."""
    data, storages = pickled(content)
    write(path, data, storages, compression, extra)


def write(path, data, storages=(), compression=zipfile.ZIP_STORED, extra=(), order=b"little"):
    """Write a file around a data.pkl that is given as bytes."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", order)
        for key, storage in enumerate(storages):
            archive.writestr(f"archive/data/{key}", storage.numbers.tobytes())
        archive.writestr("archive/version", b"3\n")
        for name in extra:
            archive.writestr(f"archive/{name}", b"")


def stand_in(name):
    """The class that pickle writes as this global of torch."""
    return _STAND_INS[name]


def _class(full_name):
    module, _, name = full_name.rpartition(".")
    return type(name, (), {"__module__": module})


_CALLS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_qtensor")
_NAMES = (*_CALLS, *(f"torch.{name}" for name in STORAGES.values()))
_STAND_INS = {name: _class(name) for name in _NAMES}


@contextlib.contextmanager
def _modules():
    """Modules in which pickle finds the stand-ins, for as long as it writes."""
    modules = {}
    for one in _STAND_INS.values():
        modules.setdefault(one.__module__, types.ModuleType(one.__module__))
        setattr(modules[one.__module__], one.__name__, one)
    with mock.patch.dict(sys.modules, modules):
        yield
