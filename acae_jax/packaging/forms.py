"""The forms in which a function leaves: what they share.

Each is a folder with its model file, reference.npz (inputs and what came out for them), README.md,
and export.json, which holds the system's facts, the signature and the sums of all files. A form's
module has `write(place, model)`, which adds the model file, and `load(folder, signature)`, which
gives the function of the inputs; both may need packages that others do not.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from acae_jax.bundles import folders, reference
from acae_jax.packaging import signature as signatures
from acae_jax.packaging.signature import Function, Signature

HEADER = folders.EXPORT_HEADER
MODULES = {
    "stablehlo": "stablehlo_file",
    "safetensors": "weights_file",
    "savedmodel": "saved_model",
    "onnx": "onnx_file",
}
FORMATS = tuple(f"acae_jax {form}" for form in MODULES)

Run = Callable[..., tuple[np.ndarray, ...]]
"""From the inputs to the outputs, both in the signature's order, weights included."""
Rebuild = Callable[[Any], Function]
"""From a system's facts, as JSON, to the function that the weights belong to."""


class Model(NamedTuple):
    """A function that leaves.

    `facts` are JSON of whatever its system needs to know of it again; `reference` has inputs and
    what comes out for them, by name; `beside` has further files, by name.
    """

    signature: Signature
    function: Function
    weights: Mapping[str, np.ndarray]
    facts: Any
    reference: Mapping[str, np.ndarray]
    card: str
    beside: Mapping[str, bytes] = MappingProxyType({})


def with_reference(model: Model, *inputs: np.ndarray) -> Model:
    """The model with these inputs and what comes out for them as its reference."""
    outputs = model.function(model.weights, *inputs)
    names = [one.name for one in (*model.signature.inputs, *model.signature.outputs)]
    arrays = map(np.asarray, (*inputs, *outputs))
    return model._replace(reference=dict(zip(names, arrays, strict=True)))


def write(form: str, folder: Path, model: Model) -> None:
    """Write a model in one of the forms, complete or not at all.

    A FileExistsError if the folder exists, an ImportError if the form needs what is not here.
    """
    with folders.new(folder) as place:
        module(form).write(place, model)
        (place / reference.FILE).write_bytes(reference.encoded(dict(model.reference)))
        (place / folders.CARD).write_text(model.card, encoding="utf-8")
        for name, content in model.beside.items():
            (place / name).write_bytes(content)
        said = {"facts": model.facts, "signature": signatures.to_json(model.signature)}
        folders.seal(place, HEADER, f"acae_jax {form}", said)


class Difference(NamedTuple):
    """By how much an output differs at most from what it was, and by how much it may."""

    largest: float
    tolerance: float


class Header(NamedTuple):
    """What the header of an export says; its files are as it says."""

    form: str
    signature: Signature
    facts: Any
    files: Mapping[str, bytes]


def checked(folder: Path) -> Header:
    """Read an export and check all its files; a ValueError or OSError if something is wrong."""
    name, content, sums = folders.read_header(folder, HEADER, FORMATS)
    form = name.removeprefix("acae_jax ")
    try:
        signature = signatures.of_json(content.get("signature"))
    except ValueError as error:
        raise ValueError(f"{folder / HEADER}: {error}") from None
    files = {name: folders.read(folder, name, sums) for name in sums}
    for needed in (reference.FILE, *module(form).FILES):
        if needed not in files:
            raise ValueError(f"{folder / HEADER}: files must have {needed}")
    return Header(form, signature, content.get("facts"), files)


def verify(folder: Path, rebuild: Rebuild | None = None) -> dict[str, Difference]:
    """Compute the reference again, after checking all files: the difference of each output.

    Weights alone need `rebuild`; a ValueError without.
    """
    header = checked(folder)
    inputs, outputs = header.signature
    names = [one.name for one in (*inputs, *outputs)]
    path = folder / reference.FILE
    arrays = reference.decoded(path, header.files[reference.FILE], names)
    if header.form != "safetensors":
        run = module(header.form).load(folder, header.signature)
    elif rebuild is not None:
        run = module(header.form).load(folder, rebuild(header.facts))
    else:
        raise ValueError(f"{folder} holds weights alone: only the system they are of can verify it")
    results = run(*(arrays[one.name] for one in inputs))
    return {
        one.name: Difference(_apart(result, arrays[one.name]), one.tolerance)
        for one, result in zip(outputs, results, strict=True)
    }


def module(form: str) -> ModuleType:
    """The module of a form, imported only when it is wanted."""
    return importlib.import_module(f"acae_jax.packaging.{MODULES[form]}")


def _apart(output: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference; infinite between other shapes, NaN if one is among the numbers."""
    if output.shape != expected.shape:
        return float("inf")
    return float(np.abs(output.astype(np.float64) - expected.astype(np.float64)).max(initial=0))
