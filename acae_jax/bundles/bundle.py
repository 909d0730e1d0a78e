"""A trained model as one folder that needs nothing of what trained it.

    bundle.json          facts, format version, size and SHA-256 of the other files
    network.stablehlo    crop_model(weights, images, intrinsics) by jax.export, for any batch size,
                         on cpu, cuda and tpu
    weights.safetensors  its weights; stored float16 or float32, used as float32
    joints.safetensors   optional: `matrix`, further joints as affine combinations of the network's
    reference.npz        an input and what came out for it, for `verify`
    README.md            the model card

A bundle may come from anywhere: it holds no python, sizes are bounded, the program must take the
weights and crops that the header names, and one that would call out of XLA is refused. To see its
calls, MLIR's parser reads it, which is C++ and not made for hostile files: open bundles of
strangers where nothing can be lost. What is wrong with one is a ValueError or OSError of one line.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.export
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Array, Float, Float32, UInt8

from acae_jax.bundles import compiling, folders, reference
from acae_jax.bundles import facts as facts_files
from acae_jax.bundles.facts import Facts, Selection
from acae_jax.bundles.folders import MEBI
from acae_jax.files import paths

__all__ = ["Bundle", "Contents", "Facts", "Selection", "load", "read", "verify", "write"]

FORMAT = "acae_jax bundle"
HEADER, NETWORK, WEIGHTS = "bundle.json", "network.stablehlo", "weights.safetensors"
JOINTS = "joints.safetensors"
LARGEST = {
    NETWORK: 256 * MEBI,
    WEIGHTS: folders.LARGEST,
    JOINTS: 256 * MEBI,
    reference.FILE: reference.LARGEST,
}
OPTIONAL = (JOINTS,)
PACKAGED = Path(__file__).parent / "packaged"
"""A folder for each of the models that come with the package."""
PHOTOGRAPHS, EMBEDDED = PACKAGED / "blazepose_full", PACKAGED / "embedded"
CALLS_ALLOWED = ("shape_assertion",)  # what jax.export makes of a symbolic batch

T = TypeVar("T")
CropModel = Callable[
    [UInt8[np.ndarray, "b s s 3"], Float32[np.ndarray, "b 3 3"]],
    tuple[Float[Array | np.ndarray, "b j 3"], Float[Array | np.ndarray, "b j"]],
]


class Contents(NamedTuple):
    """All that a bundle holds, as it is stored: weights perhaps in float16."""

    facts: Facts
    network: bytes
    weights: dict[str, np.ndarray]
    matrix: Float[np.ndarray, "k j"] | None
    reference: reference.Arrays
    card: str


class Bundle(NamedTuple):
    """An opened bundle.

    `digest` differs for any two models, whatever their names. `crop_model` takes RGB crops and
    their intrinsics (pixel centres at integers, principal point (side − 1) / 2) and gives the
    network's joints in mm in the crop camera's space, and the spread of their heat maps in mm,
    which `inference.uncertainty` turns into the error to expect. It is compiled once for each batch
    size. `matrix`, if any, makes the joints that `facts` names of the network's.
    """

    folder: Path
    digest: str
    facts: Facts
    matrix: Float[np.ndarray, "k j"] | None
    crop_model: CropModel


def located(folder: str | Path | None) -> Path:
    """The folder of a model: the one given, or of one that comes with the package by its name, or
    by default of the one for photographs.
    """
    if folder is None:
        return PHOTOGRAPHS
    place = paths.local(folder)
    packaged = PACKAGED / place
    return packaged if len(place.parts) == 1 and not place.exists() and packaged.is_dir() else place


def load(folder: str | Path) -> Bundle:
    """Open a bundle, and have JAX keep what it compiles for the next time."""
    compiling.keep()
    contents, digest = read(folder), folders.digest(folder, HEADER)
    model = _crop_model(folder, contents)
    return Bundle(Path(folder), digest, contents.facts, contents.matrix, model)


def read(folder: str | Path) -> Contents:
    """Everything in a bundle, checked against its sums but not opened as a network."""
    folder = Path(folder)
    _, facts, sums = folders.opened(folder, HEADER, (FORMAT,))
    required = set(LARGEST) - set(OPTIONAL)
    if not required <= set(sums) <= set(LARGEST):
        raise ValueError(
            f"{folder / HEADER}: files must be {', '.join(sorted(required))}, and may be "
            f"{', '.join(OPTIONAL)}"
        )
    files = {name: folders.read(folder, name, sums, LARGEST[name]) for name in sums}
    return Contents(
        facts,
        files[NETWORK],
        _tensors(folder / WEIGHTS, files[WEIGHTS]),
        joint_matrix(folder / JOINTS, files[JOINTS]) if JOINTS in files else None,
        reference.decoded(folder / reference.FILE, files[reference.FILE]),
        folders.card(folder),
    )


def write(folder: str | Path, contents: Contents) -> None:
    """Write a bundle; complete or not at all.

    A FileExistsError if the folder exists, a ValueError if `load` would refuse what is in it.
    """
    with folders.new(folder) as place:
        (place / NETWORK).write_bytes(contents.network)
        (place / WEIGHTS).write_bytes(encoded(contents.weights))
        (place / reference.FILE).write_bytes(reference.encoded(contents.reference))
        (place / folders.CARD).write_text(contents.card, encoding="utf-8")
        if contents.matrix is not None:
            (place / JOINTS).write_bytes(encoded_joints(contents.matrix))
        folders.seal(place, HEADER, FORMAT, {"facts": facts_files.to_json(contents.facts)})
        try:
            _network(place, read(place))
        except ValueError as error:
            message = str(error).replace(str(place), str(folder))
            raise ValueError(f"not written, as it could not be opened: {message}") from None


def verify(folder: str | Path) -> reference.Difference:
    """Compute the bundle's reference again, and say by how much at most it differs."""
    contents = read(folder)
    stored = contents.reference
    outputs = _crop_model(folder, contents)(stored["images"], stored["intrinsics"])
    return reference.difference(stored, *(np.asarray(part) for part in outputs))


def encoded(tensors: dict[str, np.ndarray]) -> bytes:
    """The bytes of a safetensors file; the library stores transposed views in the wrong order."""
    return safetensors.numpy.save({n: np.ascontiguousarray(v) for n, v in tensors.items()})


def encoded_joints(matrix: Float[np.ndarray, "k j"]) -> bytes:
    """The bytes of a file of joints, for `joint_matrix`."""
    return encoded({"matrix": matrix.astype(np.float32)})


def joint_matrix(path: Path, data: bytes) -> Float[np.ndarray, "k j"]:
    """The matrix in a file of joints; a ValueError unless its rows sum to 1."""
    tensors = _tensors(path, data)
    if set(tensors) != {"matrix"} or tensors["matrix"].ndim != 2:
        raise ValueError(f"{path} must hold one tensor, 'matrix', of two axes")
    if not np.allclose(tensors["matrix"].sum(axis=1, dtype=np.float64), 1, atol=1e-3):
        raise ValueError(f"{path}: every row of the matrix must sum to 1")
    return tensors["matrix"].astype(np.float32)


def network(
    path: Path, serialised: bytes, check_fit: Callable[[jax.export.Exported], None] | None = None
) -> jax.export.Exported:
    """A bundle's network, ready to be called; a ValueError if this JAX cannot or should not.

    `check_fit` sees its shapes before the parser sees the program.
    """
    exported = _read(path, lambda: jax.export.deserialize(bytearray(serialised)))
    if check_fit:
        check_fit(exported)
    program = _read(path, exported.mlir_module)
    called = re.findall(r"custom_call(?: @([\w.$-]+))?", program)
    foreign = [name or "?" for name in called if name not in CALLS_ALLOWED]
    if foreign:
        raise ValueError(f"{path} calls {foreign[0]}, which is outside of XLA: refused")
    return exported


def _read(path: Path, read: Callable[[], T]) -> T:
    """What JAX reads in a network's file."""
    try:
        return read()
    except Exception as error:  # JAX raises many types for damaged files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ValueError(
            f"{path} cannot be opened by JAX {jax.__version__}: it is damaged, or a newer JAX "
            f"wrote it ({reason})"
        ) from None


def _crop_model(folder: str | Path, contents: Contents) -> CropModel:
    exported = _network(folder, contents)
    weights = {name: jax.device_put(w.astype(np.float32)) for name, w in contents.weights.items()}
    return partial(jax.jit(exported.call), weights)


def _network(folder: str | Path, contents: Contents) -> jax.export.Exported:
    path = Path(folder) / NETWORK
    return network(path, contents.network, lambda exported: _check_fit(path, exported, contents))


def _check_fit(path: Path, exported: jax.export.Exported, contents: Contents) -> None:
    """A ValueError unless network, weights, matrix and facts belong together."""
    side_px, matrix = contents.facts.side_px, contents.matrix
    expected: dict[str, Any] = {
        name: (values.shape, np.dtype(np.float32)) for name, values in contents.weights.items()
    }
    try:
        (weights, images, intrinsics), _ = jax.tree.unflatten(exported.in_tree, exported.in_avals)
        poses_mm, spread_mm = jax.tree.unflatten(exported.out_tree, exported.out_avals)
        shapes = {name: (aval.shape, aval.dtype) for name, aval in weights.items()}
        fits = images.shape[1:] == (side_px, side_px, 3) and intrinsics.shape[1:] == (3, 3)
        joints = poses_mm.shape[1]
        fits &= poses_mm.shape[2:] == (3,) and spread_mm.shape[1:] == (joints,)
    except (ValueError, TypeError, AttributeError, IndexError):
        raise ValueError(f"{path} is not the network of a bundle") from None
    if shapes != expected or not fits:
        raise ValueError(f"{path} does not take {WEIGHTS} and crops of {side_px} px")
    rows, columns = (joints, joints) if matrix is None else matrix.shape
    name_count = len(contents.facts.joint_names)
    if columns != joints or rows != name_count:
        raise ValueError(
            f"{path} gives {joints} joints, {rows} of {columns} with {JOINTS}; {HEADER} names "
            f"{name_count}"
        )
    looks = contents.facts.looks
    if looks and max(looks.middle, looks.top) >= joints:
        raise ValueError(f"{HEADER}: looks names joints beyond the network's {joints}")
    calibration = contents.facts.uncertainty
    if calibration and len(calibration.factors) != joints:
        raise ValueError(
            f"{HEADER} calibrates {len(calibration.factors)} joints of the network's {joints}"
        )


def _tensors(path: Path, data: bytes) -> dict[str, np.ndarray]:
    try:
        tensors = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no safetensors file of numbers: {error}") from None
    for name, values in tensors.items():
        if values.dtype not in (np.float16, np.float32):
            raise ValueError(f"{path}: {name} is {values.dtype}; it must be float16 or float32")
    return tensors
