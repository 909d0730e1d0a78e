"""Pickles as Python 2 wrote them, whose text and bytes are one type, and objects of old libraries.

For the tests of what reads them: the classes and their modules need not be there.
"""

import contextlib
import io
import pickle
import struct
import sys
import types
from typing import ClassVar


class Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 writes its str; `protocol` is 0 or 2."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_str(self, value):
        data = value if isinstance(value, bytes) else value.encode("latin-1")
        if self.bin:
            self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        else:
            self.write(pickle.STRING + repr(data)[1:].encode() + b"\n")
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_str


def dumps(value, protocol):
    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return file.getvalue()


@contextlib.contextmanager
def foreign_classes(*names):
    """Classes of these full names inside the context; an instance pickles as its attributes.

    One that has `reduced` pickles as a call with arguments.
    """
    parts = [name.rpartition(".")[::2] for name in names]
    made = [type(short, (Foreign,), {"__module__": module}) for module, short in parts]
    tops = [module.partition(".")[0] for module, _ in parts]  # without these, no import
    absent = [top for top in tops if top not in sys.modules]
    before = {name: sys.modules.get(name) for name in (*absent, *(module for module, _ in parts))}
    sys.modules.update({name: types.ModuleType(name) for name in before})
    for (module, short), one in zip(parts, made, strict=True):
        setattr(sys.modules[module], short, one)
    try:
        yield made
    finally:
        for name, old in before.items():
            sys.modules.pop(name) if old is None else sys.modules.update({name: old})


class Foreign:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __reduce_ex__(self, protocol):
        return getattr(self, "reduced", None) or super().__reduce_ex__(protocol)
