"""Pickles as data: containers, numbers, text, and what a caller's table makes of a few names.

A pickle is a program for a small stack machine, and Python's Unpickler runs it: it imports what the
program names, calls it, and hashes, copies and sets attributes as told. Restricting what may be
imported leaves the rest open – attributes of the permitted functions can be overwritten, a memo
index of 2³¹ claims 16 GB, nested tuples as keys take exponential time or overflow the stack.
So nothing is unpickled here. `pickletools` of the standard library splits the bytes into
operations, and the interpreter below carries out those that build data. A global is only its name;
"calling" it looks the name up in the table of the caller, whose functions get plain data. What
any other call would make is an `Opaque`, which holds only the name of what was called: settings
and histories of every kind may stand beside weights. Who needs the value itself refuses it.

Every operation takes time and memory in proportion to its bytes, and these are limited. But values
are shared however often they are referred to: a few bytes may be a list of a trillion items, or a
number as long as the file a thousand times. So whoever gets plain data looks at types, lengths and
sizes before anything else, and never prints or copies it whole.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from acae_jax import messages

LIMIT_BYTES = 32 << 20
"""A model's whole table of contents takes 1 MB; each MB takes a second."""


class Name(NamedTuple):
    """A global that a pickle refers to, such as collections.OrderedDict: only its name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Opaque:
    """What only code could make, and nothing runs here: what the pickle calls to make it.

    `items` are the keys and values that the pickle sets in it, as in a subclass of dict.
    """

    def __init__(self, call: str):
        self.call = call
        self.items: dict[str | int, Any] = {}

    def refusal(self) -> ValueError:
        """The error for those who need the value."""
        return ValueError(
            f"it calls {self.call}, which is code and not data: nothing was run. Do not open this "
            "file with torch or pickle unless you trust where it comes from"
        )


class Stateful:
    """What a maker returns of an object whose state follows (the operation BUILD)."""

    state: Any = None


Makers = Mapping[str, Callable[..., Any]]

_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING")
_TEXTS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
_PUSHED = frozenset((*_NUMBERS, *_STRINGS, *_TEXTS, *_BYTES))
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NEW_OBJECTS = {"NEWOBJ": 2, "NEWOBJ_EX": 3}
_WITH_MARKED = frozenset(
    ("TUPLE", "LIST", "DICT", "POP_MARK", "APPENDS", "SETITEMS", "OBJ", "FROZENSET", "ADDITEMS")
)
_STORED = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_FETCHED = frozenset(("GET", "BINGET", "LONG_BINGET"))


def read(
    data: bytes,
    makers: Makers,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The data that a pickle describes, without running anything of it.

    Args:
        data: the pickle, at most LIMIT_BYTES; whatever follows its end is ignored.
        makers: functions by full name, such as "collections.OrderedDict", that get the arguments
            which the pickle passes to this name. They must be harmless whatever these are, and
            their errors should be ValueErrors or TypeErrors. Calls of other names are `Opaque`.
        persistent: gives the object of a persistent id; without it such ids are an error.

    Raises:
        ValueError: for operations that only programs need, and for damaged data.
    """
    if len(data) > LIMIT_BYTES:
        raise ValueError(f"its pickle has {len(data)} bytes; at most {LIMIT_BYTES} are read")
    machine = _Machine(makers, persistent)
    try:
        for operation, argument, _ in pickletools.genops(data):
            if operation.name == "STOP":
                return machine.stack.pop()
            machine.run(operation.name, argument)
    except (LookupError, TypeError, UnicodeError) as error:
        raise ValueError(f"its pickle is damaged ({messages.one_line(error)})") from error
    raise ValueError("its pickle has no end")


def is_size(number: Any) -> bool:
    """Whether it is a whole number from 0 that can be reckoned with at no cost: far above any
    offset, size or stride, but sums and products of a few such numbers are short.
    """
    return type(number) is int and 0 <= number < 1 << 48


class _Machine:
    """The stack, the marks under it and the memo of one pickle."""

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
        """The operations that would import, call or change something."""
        stack = self.stack
        if name == "GLOBAL":
            stack.append(_named(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_named(*self._popped(2)))
        elif name == "REDUCE":
            called, arguments = self._popped(2)
            stack.append(self._made(called, arguments))
        elif name in _NEW_OBJECTS:
            stack.append(_opaque(self._popped(_NEW_OBJECTS[name])[0]))
        elif name == "INST":
            self._marked()
            self.stack.append(_opaque(_named(*argument.split(" ", 1))))
        elif name == "BUILD":
            (state,) = self._popped(1)
            if isinstance(stack[-1], Stateful):
                stack[-1].state = state
            elif not isinstance(stack[-1], dict | Opaque):  # torch hangs notes on ordered dicts
                raise ValueError("it sets attributes of an object, which weights do not need")
        elif name == "BINPERSID" and self._persistent is not None:
            stack.append(self._persistent(stack.pop()))
        else:
            raise ValueError(f"its pickle uses {name}, which weights do not need")

    def _made(self, called: Any, arguments: Any) -> Any:
        if not isinstance(arguments, tuple):
            raise ValueError("it calls something without a tuple of arguments")
        maker = self._makers.get(str(called)) if isinstance(called, Name) else None
        return _opaque(called) if maker is None else maker(*arguments)

    def _marked(self) -> list[Any]:
        """Everything above the last mark, taken off the stack."""
        marked, self.stack = self.stack, self._marks.pop()
        return marked

    def _with_marked(self, name: str) -> None:
        """The operations on everything above the last mark."""
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
            self.stack.append(_opaque(marked[0]))
        elif name == "FROZENSET":
            self.stack.append(Opaque("frozenset"))
        elif name == "ADDITEMS" and not isinstance(self.stack[-1], Opaque):
            raise ValueError("it adds to something that is not a set")

    def _popped(self, count: int) -> list[Any]:
        """The uppermost values, taken off the stack."""
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


def _opaque(called: Any) -> Opaque:
    if not isinstance(called, Name | Opaque):
        raise ValueError("it calls something that is not a name")
    return Opaque(str(called) if isinstance(called, Name) else called.call)


def _extend(target: Any, values: list[Any]) -> None:
    if isinstance(target, Opaque):
        return
    if type(target) is not list:
        raise ValueError("it appends to something that is not a list")
    target.extend(values)


def _update(target: Any, flat: list[Any]) -> None:
    """Set keys that are text or small numbers: others, which can be made to collide or never end,
    are left out with their values.
    """
    keys, values = flat[::2], flat[1::2]
    items = target.items if isinstance(target, Opaque) else target
    if type(items) is not dict or len(keys) != len(values):
        raise ValueError("it sets items of something that is not a dict")
    pairs = zip(keys, values, strict=True)
    items.update((key, value) for key, value in pairs if _is_plain_key(key))


def _is_plain_key(key: Any) -> bool:
    return isinstance(key, str) or (isinstance(key, int) and -(2**31) < key < 2**31)
