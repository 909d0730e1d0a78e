"""Pickles as data: containers, numbers, text, and objects for which the caller has a function.

A pickle is a program for a small stack machine, and Python's Unpickler runs it: it imports the
names in the program, calls them, and hashes, copies and sets attributes as the program says. To
restrict the imports is not enough: attributes of the permitted functions can be overwritten, a memo
index of 2³¹ allocates 16 GB, and nested tuples as keys take exponential time or overflow the stack.

So nothing is unpickled here. `pickletools` of the standard library splits the bytes into
operations, and the interpreter below carries out those that build data. A global is only its name.
To "call" it, the interpreter looks the name up in the caller's table, whose functions get plain
data. Any other call gives an `Opaque`, which holds only the name of the called function, and the
data that are meant for it: a file may hold settings and histories of any kind beside the weights.
Code that needs such a value refuses it.

Every operation takes time and memory in proportion to its bytes, which are limited. But a value can
be referred to many times: a few bytes may describe a list of a trillion items, or a thousand copies
of a number as long as the file. So code that gets plain data checks types, lengths and sizes first,
and never prints or copies all of it.
"""

import codecs
import io
import mmap
import pickletools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from acae_jax import messages

LIMIT_BYTES = 32 << 20
"""The pickle that describes all tensors of a model has about 1 MB; each MB takes a second."""
_SHORT_BYTES = 4096  # longer bytes are not copied


class Name(NamedTuple):
    """The name of a global that a pickle refers to, such as collections.OrderedDict."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Opaque:
    """A value that only code could make; `call` is the name of the function that would make it.

    `arguments` and `state` are the data that the pickle passes to it, and `items` the keys and
    values that it sets in it, as for a subclass of dict.
    """

    def __init__(self, call: str, arguments: tuple = ()):
        self.call = call
        self.arguments = arguments
        self.state: Any = None
        self.items: dict[str | int, Any] = {}

    def refusal(self) -> ValueError:
        """The error for code that needs the value."""
        return ValueError(
            f"it calls {self.call}, which is code and not data: nothing was run. Do not open this "
            "file with torch or pickle unless you trust its source"
        )


class Stateful:
    """An object whose state follows in the pickle (the operation BUILD)."""

    state: Any = None


Makers = Mapping[str, Callable[..., Any]]

_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING")
_TEXTS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_LENGTH_BYTES = {"SHORT_BINBYTES": 1, "BINBYTES": 4, "BINBYTES8": 8, "BYTEARRAY8": 8}
_PUSHED = frozenset((*_NUMBERS, *_STRINGS, *_TEXTS, *_LENGTH_BYTES))
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NEW_OBJECTS = {"NEWOBJ": 2, "NEWOBJ_EX": 3}
_OPERATIONS = {operation.code.encode("latin-1"): operation for operation in pickletools.opcodes}
_WITH_MARKED = frozenset(
    ("TUPLE", "LIST", "DICT", "POP_MARK", "APPENDS", "SETITEMS", "OBJ", "FROZENSET", "ADDITEMS")
)
_STORED = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_FETCHED = frozenset(("GET", "BINGET", "LONG_BINGET"))


def read(
    data: bytes | mmap.mmap,
    makers: Makers,
    persistent: Callable[[Any], Any] | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> Any:
    """The data that a pickle describes; none of its code is run.

    Args:
        data: the pickle, at most `limit_bytes`; bytes after its end are ignored. Of a mapped file,
            long bytes stay in the file: they are views of the map. LIMIT_BYTES is also the largest
            number of operations, so a larger pickle must consist of long bytes mostly.
        makers: functions by full name, such as "collections.OrderedDict". Each gets the arguments
            that the pickle passes to this name. It must be harmless for any arguments, and may
            raise ValueError or TypeError. Calls of other names become `Opaque`.
        persistent: the function from a persistent id to its object; without it, such ids are an
            error.

    Raises:
        ValueError: for operations that data do not need, and for damaged data.
    """
    if len(data) > limit_bytes:
        raise ValueError(f"its pickle has {len(data)} bytes; at most {limit_bytes} are read")
    machine = _Machine(makers, persistent)
    try:
        for name, argument in _operations(data):
            if name == "STOP":
                return machine.stack.pop()
            machine.run(name, argument)
    except (LookupError, TypeError, UnicodeError) as error:
        raise ValueError(f"its pickle is damaged ({messages.one_line(error)})") from error
    raise ValueError("its pickle has no end")


def is_size(number: Any) -> bool:
    """Whether it is a whole number from 0 to 2⁴⁸: enough for any offset, size or stride, and small
    enough to compute with at no cost.
    """
    return type(number) is int and 0 <= number < 1 << 48


def _operations(data: bytes | mmap.mmap) -> Iterator[tuple[str, Any]]:
    """The operations by name with their arguments.

    As pickletools.genops, but long bytes are not copied, and the text of Python 2, in which arrays
    hold their numbers, need not be ASCII.
    """
    file: Any = io.BytesIO(data) if isinstance(data, bytes) else data
    file.seek(0)
    for _ in range(LIMIT_BYTES):
        code = file.read(1)
        operation = _OPERATIONS.get(code)
        if operation is None:
            raise ValueError("its pickle has no end" if not code else "it is no pickle")
        if operation.name in _LENGTH_BYTES:
            length = int.from_bytes(file.read(_LENGTH_BYTES[operation.name]), "little")
            yield operation.name, _bytes(data, file, length)
        elif operation.name == "STRING":
            quoted = pickletools.read_stringnl(file, decode=False)
            yield operation.name, codecs.escape_decode(quoted)[0].decode("latin-1")
        else:
            yield operation.name, operation.arg and operation.arg.reader(file)
    raise ValueError(f"its pickle has more than {LIMIT_BYTES} operations")


def _bytes(data: bytes | mmap.mmap, file: Any, length: int) -> bytes | memoryview:
    """The next bytes: a view if they are many."""
    start = file.tell()
    if start + length > len(data):
        raise ValueError(f"its pickle ends within {length} bytes")
    if length <= _SHORT_BYTES:
        return file.read(length)
    file.seek(start + length)
    return memoryview(data)[start : start + length]


class _Machine:
    """The stack, the marks and the memo of one pickle."""

    def __init__(self, makers: Makers, persistent: Callable[[Any], Any] | None):
        self.stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._makers = makers
        self._persistent = persistent

    def run(self, name: str, argument: Any) -> None:
        """Carry out one operation."""
        stack = self.stack
        if name in _PUSHED:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("PROTO", "FRAME"):
            pass
        elif name in _STORED:
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in _FETCHED:
            stack.append(self._memo[argument])
        elif name in _TUPLES:
            stack.append(tuple(self._popped(_TUPLES[name])))
        elif name == "MARK":
            self._marks.append(stack)
            self.stack = []
        elif name == "POP":
            stack.pop()
        elif name in _WITH_MARKED:
            self._with_marked(name)
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_SET":
            stack.append(Opaque("set"))
        elif name == "APPEND":
            _extend(stack[-2], self._popped(1))
        elif name == "SETITEM":
            _update(stack[-3], self._popped(2))
        else:
            self._name(name, argument)

    def _name(self, name: str, argument: Any) -> None:
        """Carry out an operation by which an Unpickler would import, call or change something."""
        stack = self.stack
        if name == "GLOBAL":
            stack.append(_named(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_named(*self._popped(2)))
        elif name == "REDUCE":
            called, arguments = self._popped(2)
            stack.append(self._made(called, arguments))
        elif name in _NEW_OBJECTS:
            called, arguments, *_ = self._popped(_NEW_OBJECTS[name])
            stack.append(_opaque(called, arguments))
        elif name == "INST":
            arguments = tuple(self._marked())
            self.stack.append(_opaque(_named(*argument.split(" ", 1)), arguments))
        elif name == "BUILD":
            (state,) = self._popped(1)
            if isinstance(stack[-1], Stateful | Opaque):
                stack[-1].state = state
            elif not isinstance(stack[-1], dict):  # torch sets notes on ordered dicts
                raise ValueError("it sets attributes of an object, which weights do not need")
        elif name == "BINPERSID" and self._persistent is not None:
            stack.append(self._persistent(stack.pop()))
        else:
            raise ValueError(f"its pickle uses {name}, which weights do not need")

    def _made(self, called: Any, arguments: Any) -> Any:
        if not isinstance(arguments, tuple):
            raise ValueError("it calls something without a tuple of arguments")
        maker = self._makers.get(str(called)) if isinstance(called, Name) else None
        return _opaque(called, arguments) if maker is None else maker(*arguments)

    def _marked(self) -> list[Any]:
        """Take everything above the last mark off the stack."""
        marked, self.stack = self.stack, self._marks.pop()
        return marked

    def _with_marked(self, name: str) -> None:
        """Carry out an operation on everything above the last mark."""
        marked = self._marked()
        if name == "TUPLE":
            self.stack.append(tuple(marked))
        elif name == "LIST":
            self.stack.append(marked)
        elif name == "APPENDS":
            _extend(self.stack[-1], marked)
        elif name == "DICT":
            self.stack.append({})
            _update(self.stack[-1], marked)
        elif name == "SETITEMS":
            _update(self.stack[-1], marked)
        elif name == "OBJ":
            self.stack.append(_opaque(marked[0], tuple(marked[1:])))
        elif name == "FROZENSET":
            self.stack.append(Opaque("frozenset"))
        elif name == "ADDITEMS" and not isinstance(self.stack[-1], Opaque):
            raise ValueError("it adds to something that is not a set")

    def _popped(self, count: int) -> list[Any]:
        """Take the last values off the stack."""
        if count > len(self.stack):
            raise IndexError("too few values on the stack")
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return values


def _named(module: Any, attribute: Any) -> Name:
    name = Name(module, attribute)
    short = all(isinstance(part, str) and len(part) <= 100 for part in name)
    if not short or not all(part.isidentifier() for part in str(name).split(".")):
        raise ValueError("it imports by something that is not a name")
    return name


def _opaque(called: Any, arguments: Any) -> Opaque:
    if not isinstance(called, Name | Opaque):
        raise ValueError("it calls something that is not a name")
    name = str(called) if isinstance(called, Name) else called.call
    return Opaque(name, arguments if isinstance(arguments, tuple) else ())


def _extend(target: Any, values: list[Any]) -> None:
    if isinstance(target, Opaque):
        return
    if type(target) is not list:
        raise ValueError("it appends to something that is not a list")
    target.extend(values)


def _update(target: Any, flat: list[Any]) -> None:
    """Set the items whose keys are text or small numbers.

    Others are left out, because their hashes could collide on purpose or take forever.
    """
    keys, values = flat[::2], flat[1::2]
    items = target.items if isinstance(target, Opaque) else target
    if type(items) is not dict or len(keys) != len(values):
        raise ValueError("it sets items of something that is not a dict")
    pairs = zip(keys, values, strict=True)
    items.update((key, value) for key, value in pairs if _is_plain_key(key))


def _is_plain_key(key: Any) -> bool:
    return isinstance(key, str) or (isinstance(key, int) and -(2**31) < key < 2**31)
