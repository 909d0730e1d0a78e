"""A trained model as one folder that needs nothing of what trained it.

    bundle.json          facts, format version, size and SHA-256 of the other files
    network.stablehlo    crop_model(weights, images, intrinsics) by jax.export, for any batch size,
                         on cpu, cuda and tpu
    weights.safetensors  its weights; stored float16 or float32, used as float32
    joints.safetensors   optional: `matrix`, further joints as affine combinations of the network's
    reference.npz        an input and what came out for it, for `verify`
    README.md            the model card

A bundle may come from anywhere. It holds no python, sizes are bounded before anything is read, and
a program that would call out of XLA is refused; what is wrong with one is an error of one line.
"""

import hashlib
import io
import json
import re
import secrets
import shutil
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.export
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Array, Float, Float32, UInt8

from acae_jax.inference import facts as facts_files
from acae_jax.inference.facts import Facts, Selection

__all__ = ["Bundle", "Contents", "Difference", "Facts", "Selection", "load", "read", "verify"]

FORMAT, VERSION = "acae_jax bundle", 1
HEADER, NETWORK, WEIGHTS = "bundle.json", "network.stablehlo", "weights.safetensors"
JOINTS, REFERENCE, CARD = "joints.safetensors", "reference.npz", "README.md"
MEBI = 1 << 20
LARGEST = {
    HEADER: 64 * MEBI,
    NETWORK: 256 * MEBI,
    WEIGHTS: 8192 * MEBI,
    JOINTS: 256 * MEBI,
    REFERENCE: 256 * MEBI,
    CARD: 4 * MEBI,
}
OPTIONAL = (JOINTS,)
CALLS_ALLOWED = ("shape_assertion",)  # what jax.export makes of a symbolic batch

CropModel = Callable[
    [UInt8[np.ndarray, "b s s 3"], Float32[np.ndarray, "b 3 3"]],
    tuple[Float[Array, "b j 3"], Float[Array, "b j"]],
]
Arrays = dict[str, np.ndarray]


class Contents(NamedTuple):
    """All that a bundle holds, as it is stored: weights perhaps in float16."""

    facts: Facts
    network: bytes
    weights: Arrays
    matrix: Float[np.ndarray, "k j"] | None
    reference: Arrays
    card: str


class Bundle(NamedTuple):
    """An opened bundle.

    `crop_model` takes RGB crops and their intrinsics (pixel centres at integers, principal point
    (side − 1) / 2) and gives the network's joints in mm in the crop camera's space, and the spread
    of their heat maps in mm, which `inference.uncertainty` turns into the error to expect. It is
    compiled once for each batch size.
    """

    folder: Path
    facts: Facts
    matrix: Float[np.ndarray, "k j"] | None
    crop_model: CropModel


class Difference(NamedTuple):
    """The largest differences of what a model gives here from what it gave where it was made."""

    poses_mm: float
    spread_mm: float


def load(folder: str | Path) -> Bundle:
    """Open a bundle; a ValueError or OSError of one line if it cannot be used."""
    contents = read(folder)
    return Bundle(Path(folder), contents.facts, contents.matrix, _crop_model(folder, contents))


def read(folder: str | Path) -> Contents:
    """Everything in a bundle, checked against its sums but not opened as a network."""
    folder = Path(folder)
    if not (folder / HEADER).is_file():
        raise FileNotFoundError(f"{folder} is no bundle: it holds no {HEADER}")
    try:
        header = json.loads(_bytes(folder / HEADER))
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise ValueError(f"it does not say that its format is '{FORMAT}'")
        if header.get("version") != VERSION:
            raise ValueError(
                f"it has version {header.get('version')!r} and this acae_jax reads version "
                f"{VERSION}: install the acae_jax that wrote it, or export it again"
            )
        facts = facts_files.of_json(header.get("facts"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / HEADER}: {error}") from None
    files = _checked_files(folder, header.get("files"))
    matrix = _matrix(folder / JOINTS, files[JOINTS]) if JOINTS in files else None
    return Contents(
        facts,
        files[NETWORK],
        _tensors(folder / WEIGHTS, files[WEIGHTS]),
        matrix,
        _arrays(folder / REFERENCE, files[REFERENCE]),
        files[CARD].decode(errors="replace"),
    )


def write(folder: str | Path, contents: Contents) -> None:
    """Write a bundle; complete or not at all. A FileExistsError if the folder exists."""
    folder = Path(folder)
    files = {
        NETWORK: contents.network,
        WEIGHTS: safetensors.numpy.save(contents.weights),
        REFERENCE: _npz(contents.reference),
        CARD: contents.card.encode(),
    }
    if contents.matrix is not None:
        matrix = np.ascontiguousarray(contents.matrix, np.float32)
        files[JOINTS] = safetensors.numpy.save({"matrix": matrix})
    header = {
        "format": FORMAT,
        "version": VERSION,
        "facts": facts_files.to_json(contents.facts),
        "files": {name: _sum(data) for name, data in files.items()},
    }
    write_folder(folder, {HEADER: json.dumps(header, indent=1).encode(), **files})


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """A new folder of these files; complete or not at all. A FileExistsError if it exists."""
    if folder.exists():
        raise FileExistsError(f"{folder} exists: choose another folder, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        unfinished.mkdir()
        for name, data in files.items():
            (unfinished / name).write_bytes(data)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def verify(folder: str | Path) -> Difference:
    """Compute the bundle's reference again, and say by how much at most it differs."""
    contents = read(folder)
    reference = contents.reference
    poses_mm, spread_mm = _crop_model(folder, contents)(
        reference["images"], reference["intrinsics"]
    )
    return difference(reference, np.asarray(poses_mm), np.asarray(spread_mm))


def difference(
    reference: Mapping[str, np.ndarray],
    poses_mm: Float[np.ndarray, "b j 3"],
    spread_mm: Float[np.ndarray, "b j"],
) -> Difference:
    """How far a model's output is from that of a reference.npz at most."""
    apart_mm = np.linalg.norm(poses_mm - reference["poses_mm"], axis=-1)
    return Difference(
        float(apart_mm.max()), float(np.abs(spread_mm - reference["spread_mm"]).max())
    )


def opened_network(where: Path, network: bytes) -> jax.export.Exported:
    """The serialised network, ready to be called; a ValueError if this JAX cannot or should not."""
    try:
        exported = jax.export.deserialize(bytearray(network))
        program = exported.mlir_module()
    except Exception as error:  # JAX raises many types for damaged files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ValueError(
            f"{where} cannot be opened by JAX {jax.__version__}; it is damaged, or was exported by "
            f"a newer JAX ({reason})"
        ) from None
    called = re.findall(r"custom_call(?: @([\w.$-]+))?", program)
    foreign = [name or "?" for name in called if name not in CALLS_ALLOWED]
    if foreign:
        raise ValueError(f"{where} calls {foreign[0]}, which is outside of XLA: refused")
    return exported


def _crop_model(folder: str | Path, contents: Contents) -> CropModel:
    path = Path(folder) / NETWORK
    exported = opened_network(path, contents.network)
    side_px = contents.facts.side_px
    expected = {name: (w.shape, np.dtype(np.float32)) for name, w in contents.weights.items()}
    arguments = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    try:
        (weights, images, intrinsics), _ = arguments
        found = {name: (w.shape, w.dtype) for name, w in weights.items()}
        fits = images.shape[1:] == (side_px, side_px, 3) and intrinsics.shape[1:] == (3, 3)
        poses_mm, _ = jax.tree.unflatten(exported.out_tree, exported.out_avals)
        joints = poses_mm.shape[1]
    except (ValueError, TypeError, AttributeError, IndexError):
        raise ValueError(f"{path} is not the network of a bundle") from None
    if found != expected or not fits:
        raise ValueError(f"{path} does not take {WEIGHTS} and crops of {side_px} px")
    produced = joints if contents.matrix is None else len(contents.matrix)
    takes = joints if contents.matrix is None else contents.matrix.shape[1]
    named = len(contents.facts.joint_names)
    if takes != joints or produced != named:
        raise ValueError(
            f"{path} gives {joints} joints, {produced} with {JOINTS}; {HEADER} names {named}"
        )
    weights = {name: jax.device_put(w.astype(np.float32)) for name, w in contents.weights.items()}
    return partial(jax.jit(exported.call), weights)


def _checked_files(folder: Path, sums: Any) -> dict[str, bytes]:
    """The files that the header lists, read once and as it says."""
    known = [name for name in LARGEST if name != HEADER]
    required = [name for name in known if name not in OPTIONAL]
    if not isinstance(sums, dict) or not set(required) <= set(sums) <= set(known):
        raise ValueError(
            f"{folder / HEADER}: files must be {', '.join(known)} (or without {JOINTS})"
        )
    files = {}
    for name, expected in sums.items():
        data = _bytes(folder / name)
        if _sum(data) != expected:
            raise ValueError(
                f"{folder / name} is not the file that {HEADER} was written with (its size or "
                "SHA-256 differs): copy or download the bundle again"
            )
        files[name] = data
    return files


def _sum(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _bytes(path: Path) -> bytes:
    """A file of the bundle, if it is no larger than such a file may be."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: copy or download the bundle again")
    largest, size = LARGEST[path.name], path.stat().st_size
    if size > largest:
        raise ValueError(f"{path} has {size} bytes; a bundle's may have {largest}")
    return path.read_bytes()


def _tensors(path: Path, data: bytes) -> Arrays:
    try:
        found = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no safetensors file of numbers: {error}") from None
    for name, values in found.items():
        if values.dtype not in (np.float16, np.float32):
            raise ValueError(f"{path}: {name} is {values.dtype}; it must be float16 or float32")
    return found


def _matrix(path: Path, data: bytes) -> Float[np.ndarray, "k j"]:
    found = _tensors(path, data)
    if set(found) != {"matrix"} or found["matrix"].ndim != 2:
        raise ValueError(f"{path} must hold one tensor, 'matrix', of two axes")
    if not np.allclose(found["matrix"].sum(axis=1, dtype=np.float64), 1, atol=1e-3):
        raise ValueError(f"{path}: every row of the matrix must sum to 1")
    return found["matrix"].astype(np.float32)


def _npz(arrays: Arrays) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _arrays(path: Path, data: bytes) -> Arrays:
    """The arrays of an npz file, whose expanded size is bounded too."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            expanded = sum(entry.file_size for entry in archive.infolist())
        if expanded > LARGEST[REFERENCE]:
            raise ValueError(f"it expands to {expanded} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        missing = {"images", "intrinsics", "poses_mm", "spread_mm"} - set(arrays)
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no reference: {error}") from None
    return arrays
