"""Collectives, temporaries and memory traffic of a compiled program, read from its text.

The text is XLA's optimised and scheduled HLO (`compiled.as_text()`), one instruction a line:

    %name = bf16[16,32,32,64]{3,0,2,1:T(8,128)(2,1)S(1)} opcode(%operand, …), attribute=…

The layout follows the dimensions: the axes from the fastest on, then T(…), the tile to which the
fastest axes are padded, then S(n), the memory space. Without S it is the device's main memory.
Arrays in on-chip memory (S(1) on a TPU) cost no bandwidth.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
)
_BITS = {"pred": 8, "bf16": 16}  # others end in their number of bits: f32, s8, u4, f8e4m3 is 8
_SHAPE = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,<= ]*)\](?:\{([^{}]*)\})?")
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z\-]*)\(([^)]*)\)(.*)$")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "partition-id"),
    *("replica-id", "after-all", "opt-barrier", "iota"),
}
_CALLS = {"while", "conditional", "call"}


class Buffer(NamedTuple):
    """An array: its shape as in the text, its bytes with the layout's padding, its memory space."""

    shape: str
    bytes: int
    space: int


class Instruction(NamedTuple):
    """One line of a program."""

    name: str
    opcode: str
    results: tuple[Buffer, ...]
    operands: tuple[str, ...]
    attributes: str

    @property
    def source(self) -> str:
        """The name of the operation in the Python program, if the compiler kept it."""
        match = re.search(r'op_name="([^"]*)"', self.attributes)
        return match[1] if match else ""


class Collective(NamedTuple):
    """An exchange between devices: the number of arrays that it moves, and their bytes on each
    device.
    """

    kind: str
    arrays: int
    bytes: int


Computations = dict[str, list[Instruction]]  # by name; "ENTRY" is where it begins


def parse(text: str) -> Computations:
    """The instructions of each computation of an HLO text."""
    program: Computations = {}
    current: list[Instruction] = []
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            current = program.setdefault("ENTRY" if head[1] else head[2], [])
            continue
        match = _LINE.match(line)
        if match:
            name, shape, opcode, operands, attributes = match.groups()
            names = tuple(re.findall(r"%([\w.\-]+)", operands)) or (operands,)
            current.append(Instruction(name, opcode, _buffers(shape), names, attributes))
    if "ENTRY" not in program:
        raise ValueError("this is not the text of a compiled program: it has no ENTRY")
    return program


def collectives(program: Computations) -> list[Collective]:
    """Every exchange between devices, in the order of the text."""
    exchanges = []
    for instructions in program.values():
        for one in instructions:
            kind = one.opcode.removesuffix("-start")
            if kind in COLLECTIVES:
                moved = _written(one, {other.name: other for other in instructions})
                moved = [buffer for buffer in moved if buffer.shape != "u32[]"]
                size = sum(buffer.bytes for buffer in moved)
                exchanges.append(Collective(kind, len(moved), size))
    return exchanges


def temporaries(program: Computations, count: int = 5) -> list[tuple[Buffer, str]]:
    """The largest arrays that the program writes to main memory, each with the name of its source.

    Arrays with the same shape and source count once. Results of the program do not count.
    """
    returned = _returned(program["ENTRY"])
    by_name = {one.name: one for one in program["ENTRY"]}
    buffers: dict[tuple[str, str], Buffer] = {}
    for one in _run(program, "ENTRY"):
        if one.opcode in _FREE | _CALLS or one.name in returned or one.opcode.endswith("-done"):
            continue
        for buffer in one.results[:1] if one.opcode.endswith("-start") else one.results:
            if buffer.space == 0:
                buffers.setdefault((buffer.shape, _origin(one, by_name)), buffer)
    largest = sorted(buffers.items(), key=lambda item: -item[1].bytes)[:count]
    return [(buffer, source) for (_, source), buffer in largest]


def traffic(program: Computations, computation: str = "ENTRY") -> int:
    """The bytes that one run reads from and writes to main memory.

    Every instruction reads its operands and writes its results once. The body of a loop counts as
    often as it runs, if that is known.
    """
    total = 0
    instructions = program[computation]
    by_name = {one.name: one for one in instructions}
    for one in instructions:
        if one.opcode in _FREE or one.opcode.endswith(("-done", "-update")):
            continue
        inner = _called(one)
        if one.opcode in _CALLS:
            turns = re.search(r'known_trip_count"?:\{"?n"?:"?(\d+)', one.attributes)
            repeated = int(turns[1]) if turns else 1
            total += repeated * sum(traffic(program, name) for name in inner if name in program)
            continue
        total += _bytes_of(one, by_name, program.get(inner[0], []) if inner else [])
    return total


def _origin(one: Instruction, by_name: dict[str, Instruction]) -> str:
    """The name of an instruction's source; copies have none, so theirs is that of their operand."""
    while not one.source and one.operands and one.operands[0] in by_name:
        one = by_name[one.operands[0]]
    return one.source


def _bytes_of(one: Instruction, by_name: dict[str, Instruction], fused: list[Instruction]) -> int:
    """The main-memory bytes of an instruction; `fused` are the instructions inside a fusion."""
    in_main = [b for name in one.operands for b in _resolve(name, by_name) if b.space == 0]
    moved = {"copy-start": one.results[:1], "slice-start": one.results[1:2]}.get(one.opcode)
    if one.opcode in ("slice", "dynamic-slice", "gather"):
        moved = one.results
    if moved is not None:  # it reads as much as it writes, though the operand may be larger
        return sum(buffer.bytes * ((buffer.space == 0) + bool(in_main)) for buffer in moved)
    written = sum(buffer.bytes for buffer in _written(one, by_name) if buffer.space == 0)
    inner = {int(i.operands[0]): i.name for i in fused if i.opcode == "parameter"}
    read = 0
    for position, name in enumerate(one.operands):
        whole = sum(b.bytes for b in _resolve(name, by_name) if b.space == 0)
        users = [i for i in fused if inner.get(position) in i.operands]
        if whole and users and all(i.opcode in ("slice", "dynamic-slice") for i in users):
            whole = min(whole, sum(b.bytes for i in users for b in i.results))
        read += whole
    return written + read


def _written(one: Instruction, by_name: dict[str, Instruction]) -> tuple[Buffer, ...]:
    """The arrays that an instruction writes; the start of an exchange lists its operands first."""
    operands = sum(len(_resolve(name, by_name)) for name in one.operands)
    ahead = one.opcode.endswith("-start") and len(one.results) > operands
    return one.results[operands:] if ahead else one.results


def _resolve(name: str, by_name: dict[str, Instruction]) -> tuple[Buffer, ...]:
    """The arrays of an operand."""
    return by_name[name].results if name in by_name else ()


def _run(program: Computations, computation: str) -> Iterator[Instruction]:
    """The instructions that are executed one by one, so not those inside fusions."""
    for one in program[computation]:
        yield one
        if one.opcode in _CALLS:
            for name in _called(one):
                if name in program:
                    yield from _run(program, name)


def _called(one: Instruction) -> list[str]:
    """The names of the computations that an instruction runs."""
    called = re.findall(r"(?:calls|body|condition|to_apply)=%([\w.\-]+)", one.attributes)
    branches = re.search(r"branch_computations=\{([^}]*)\}", one.attributes)
    return called + (re.findall(r"%([\w.\-]+)", branches[1]) if branches else [])


def _returned(entry: list[Instruction]) -> set[str]:
    """The names of the instructions whose results the program returns."""
    by_name = {one.name: one for one in entry}
    names: set[str] = set()
    waiting = [entry[-1].name] if entry else []
    while waiting:
        name = waiting.pop()
        names.add(name)
        if name in by_name and (
            by_name[name].opcode in _FREE or by_name[name].opcode.endswith("-done")
        ):
            waiting += by_name[name].operands
    return names


def _buffers(text: str) -> tuple[Buffer, ...]:
    """The arrays of a shape, which may be a tuple."""
    return tuple(_buffer(*match.groups()) for match in _SHAPE.finditer(text))


def _buffer(kind: str, dimensions: str, layout: str | None) -> Buffer:
    sizes = [int(size.lstrip("<= ")) for size in dimensions.split(",") if size.strip()]
    order, _, details = (layout or "").partition(":")
    padded = list(sizes)
    tile = re.match(r"T\(([\d,]+)\)", details)
    if tile and sizes:
        axes = [int(axis) for axis in order.split(",")]
        for axis, size in zip(axes, reversed(tile[1].split(",")), strict=False):
            padded[axis] = -(-padded[axis] // int(size)) * int(size)
    space = re.search(r"S\((\d+)\)", details)
    bits = _BITS.get(kind) or int((re.findall(r"\d+", kind) or ["0"])[0])
    shape = f"{kind}[{','.join(map(str, sizes))}]"
    return Buffer(shape, math.prod(padded) * bits // 8, int(space[1]) if space else 0)
