"""What goes into a function and what comes out, by name; and its program for any XLA."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.export
import numpy as np

PLATFORMS = ("cpu", "cuda", "tpu")
DTYPES = ("bool", "uint8", "int32", "float16", "float32")
NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)

Function = Callable[..., tuple[Any, ...]]
"""From weights by name and the inputs in order to the outputs in order."""


class Tensor(NamedTuple):
    """An input or output: a number in the shape is a fixed size, a name stands for any size.

    `meaning` is for the card. An output differs from what it was if any number of it does by more
    than `tolerance`.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    meaning: str = ""
    tolerance: float = 0.0


class Signature(NamedTuple):
    """A function's inputs and outputs, in order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def shapes(tensors: Sequence[Tensor]) -> list[jax.ShapeDtypeStruct]:
    """Shapes and types for tracing, with symbols for the sizes that have names."""
    names = sorted({size for one in tensors for size in one.shape if isinstance(size, str)})
    symbols = dict(zip(names, jax.export.symbolic_shape(",".join(names)), strict=True))
    return [
        jax.ShapeDtypeStruct(tuple(symbols.get(size, size) for size in one.shape), one.dtype)  # pyright: ignore
        for one in tensors
    ]


def stablehlo(
    function: Function, weights: Mapping[str, np.ndarray], inputs: Sequence[Tensor]
) -> bytes:
    """The serialised program of (weights, inputs…) for all PLATFORMS; weights count as float32.

    It does not say where the source files lie, so every machine writes the same bytes.
    """
    weight_shapes = {n: jax.ShapeDtypeStruct(w.shape, np.float32) for n, w in weights.items()}
    export = jax.export.export(jax.jit(function), platforms=PLATFORMS)
    frames = jax.config.values["jax_traceback_in_locations_limit"]
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        return bytes(export(weight_shapes, *shapes(inputs)).serialize())
    finally:
        jax.config.update("jax_traceback_in_locations_limit", frames)


def to_json(signature: Signature) -> dict[str, Any]:
    """As JSON's types, for `of_json`."""
    return {
        side: [{**one._asdict(), "shape": list(one.shape)} for one in tensors]
        for side, tensors in signature._asdict().items()
    }


def of_json(content: Any) -> Signature:
    """The signature in decoded JSON, which may come from anywhere; a ValueError of one line."""
    if content is None:
        raise ValueError("it has no signature, as acae_jax 0.1 wrote it: export the model again")
    if not isinstance(content, dict) or set(content) != set(Signature._fields):
        raise ValueError("signature must have inputs and outputs")
    return Signature(*(_tensors(content[side], side) for side in Signature._fields))


def _tensors(content: Any, side: str) -> tuple[Tensor, ...]:
    is_list = isinstance(content, list) and content
    if not is_list or not all(isinstance(one, dict) for one in content):
        raise ValueError(f"signature.{side} must be a list of objects")
    tensors = []
    for one in content:
        if set(one) != set(Tensor._fields) or not isinstance(one["shape"], list):
            raise ValueError(f"each of signature.{side} must have {', '.join(Tensor._fields)}")
        tensor = Tensor(**{**one, "shape": tuple(one["shape"])})
        is_named = isinstance(tensor.name, str) and NAME.fullmatch(tensor.name)
        if not is_named or tensor.dtype not in DTYPES or not all(map(_is_size, tensor.shape)):
            raise ValueError(f"signature.{side}: {tensor.name!r} has a wrong name, shape or dtype")
        if type(tensor.tolerance) not in (int, float) or not 0 <= tensor.tolerance < np.inf:
            raise ValueError(f"signature.{side}: {tensor.name} needs a tolerance of 0 or more")
        tensors.append(tensor)
    return tuple(tensors)


def _is_size(size: Any) -> bool:
    if isinstance(size, str):
        return NAME.fullmatch(size) is not None
    return type(size) is int and size > 0
