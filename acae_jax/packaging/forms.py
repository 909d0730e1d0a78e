"""The forms in which a model leaves other than as a bundle: what they share.

Each is a folder with its model file, reference.npz, README.md, and export.json, which holds the
same facts as a bundle's header and the sums of all files. A form's module has `write(folder,
contents)` and `load(folder)`, and needs packages that others do not.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from acae_jax.bundles import bundle, folders, onnx_backend, reference
from acae_jax.bundles.bundle import Contents
from acae_jax.packaging import card

HEADER = folders.EXPORT_HEADER
MODULES = {"safetensors": "weights_file", "savedmodel": "saved_model", "onnx": "onnx_file"}
FORMATS = tuple(f"acae_jax {form}" for form in MODULES)

Model = onnx_backend.Model


@contextmanager
def new(folder: Path, form: str, contents: Contents) -> Iterator[Path]:
    """A place for a form's model file; what all forms have is put around it."""
    with folders.new(folder) as place:
        yield place
        given = contents.reference
        stored = {**given, "poses_mm": final_joints(contents.matrix, given["poses_mm"])}
        (place / reference.FILE).write_bytes(reference.encoded(stored))
        text = card.text(contents.facts, form, given["poses_mm"].shape[1])
        (place / folders.CARD).write_text(text, encoding="utf-8")
        folders.seal(place, HEADER, f"acae_jax {form}", contents.facts)


def final_joints(matrix, poses_mm):
    """The joints that facts name (NumPy or JAX): the network's, or combinations of them."""
    return poses_mm if matrix is None else matrix @ poses_mm


def write(form: str, folder: Path, contents: Contents) -> None:
    """Write a model in one of the MODULES' forms; an ImportError if it needs what is not here."""
    module(form).write(folder, contents)


def verify(folder: Path) -> reference.Difference:
    """Compute the reference of an export in any form again, after checking all its files."""
    if (folder / bundle.HEADER).is_file():
        return bundle.verify(folder)
    form, _, sums = folders.opened(folder, HEADER, FORMATS)
    files = {name: folders.read(folder, name, sums) for name in sums}
    if reference.FILE not in files:
        raise ValueError(f"{folder / HEADER}: files must have {reference.FILE}")
    given = reference.decoded(folder / reference.FILE, files[reference.FILE])
    model: Model = module(form.removeprefix("acae_jax ")).load(folder)
    return reference.difference(given, *model(given["images"], given["intrinsics"]))


def module(form: str) -> ModuleType:
    """The module of a form, imported only when it is wanted."""
    return importlib.import_module(f"acae_jax.packaging.{MODULES[form]}")
