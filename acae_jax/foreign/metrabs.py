"""Published MeTRAbs models (Sárándi et al. 2021, 2023) in their PyTorch layout: what the folder
holds, and where its crop model computes otherwise than ours.

    ckpt.pt                     the state dict of backbone and heat map head
    config.yaml                 settings by name
    joint_info.npz              joint_names, and joint_edges between them
    joint_transform_matrix.npy  optional: (J, J'), from the head's joints to those that come out
    skeleton_infos.pkl          for each skeleton: indices into J', names, edges within it

Nothing of them is run: see `pickled`; NumPy's files are read without objects, YAML by its safe
loader.
"""

import re
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import yaml
from jaxtyping import Array, Float

from acae_jax.foreign import conversion, layouts, pickled, pickled_arrays, torch_file
from acae_jax.geometry import absolute
from acae_jax.models import efficientnet

STRIDE = 32
HEAD = "heatmap_heads.conv_final"
BORDER_PX = 0.75 * STRIDE
LIMIT_BYTES = 64 << 20
_DAMAGED = (ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, RecursionError)


class Settings(NamedTuple):
    """What config.yaml says of the crop model. `legacy` is its legacy_centered_stride_bug."""

    size: str
    side_px: int
    centred: bool
    legacy: bool
    depth_bins: int
    box_mm: float
    mix_3d: float


class Skeleton(NamedTuple):
    """A choice of the joints that come out; edges count within it."""

    indices: tuple[int, ...]
    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]


class Published(NamedTuple):
    """A published folder; `matrix` gives the joints that come out from those of the head."""

    settings: Settings
    points: int
    joint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    skeletons: dict[str, Skeleton]
    matrix: Float[np.ndarray, "k j"] | None
    state: dict[str, np.ndarray]


def read(folder: str | Path) -> Published:
    """Everything in a published folder, checked.

    An OSError if a file is missing; a ValueError of one line, which names the file, if one is
    damaged or asks for what is not supported.
    """
    folder = Path(folder)
    settings = _in_file(folder / "config.yaml", _settings)
    names, edges = _in_file(folder / "joint_info.npz", _joint_info)
    state = torch_file.read(folder / "ckpt.pt")
    points = len(state.get(f"{HEAD}.bias", ())) // (1 + settings.depth_bins)
    matrix = None
    if (folder / "joint_transform_matrix.npy").exists():
        matrix = _in_file(folder / "joint_transform_matrix.npy", _matrix)
        if matrix.shape[1] != points:
            raise ValueError(
                f"{folder / 'joint_transform_matrix.npy'} takes {matrix.shape[1]} joints, but the "
                f"head in ckpt.pt gives {points}"
            )
    count = points if matrix is None else len(matrix)
    skeletons = _in_file(folder / "skeleton_infos.pkl", lambda path: _skeletons(path, count))
    if len(names) not in (points, count) or max(np.ravel(edges), default=0) >= len(names):
        raise ValueError(
            f"{folder / 'joint_info.npz'} names {len(names)} joints, but the head in ckpt.pt gives "
            f"{points}"
        )
    joint_names = _all_names(names, skeletons, count)
    return Published(settings, points, joint_names, edges, skeletons, matrix, state)


def variables(published: Published, like: Any) -> Any:
    """The weights in the structure of our pose network, which `like` gives as shapes.

    A ValueError, which names the first array that does not fit.
    """
    return conversion.variables(published.state, layers(published.settings.size), like)


def layers(size: str) -> layouts.Layers:
    """Which of their layers is which of our pose network's."""
    backbone = layouts.layers(f"efficientnetv2_{size}", "torchvision")
    renamed = {
        f"backbone/{ours}": theirs.replace("features.", "backbone.1.", 1)
        for ours, theirs in backbone.items()
    }
    return {**renamed, "head": HEAD}


def shifted(
    px: Float[Array, "b j 2"], relative_mm: Float[Array, "b j 3"], settings: Settings
) -> tuple[Float[Array, "b j 2"], Float[Array, "b j 3"]]:
    """Pixels and metric positions of the head as these models mean them: with `legacy` half a
    stride further right and down.
    """
    by_px = STRIDE / 2 if settings.legacy else 0.0
    by_mm = by_px * settings.box_mm / settings.side_px
    return px + by_px, relative_mm + jnp.array([[[by_mm, by_mm, 0.0]]])


def locate(
    px: Float[Array, "b j 2"],
    relative_mm: Float[Array, "b j 3"],
    intrinsics: Float[Array, "b 3 3"],
    settings: Settings,
) -> Float[Array, "b j 3"]:
    """Absolute joints in mm from what `shifted` gives.

    Otherwise than in `geometry.absolute.reconstruct` the image's edges are at 0 and its side (at
    half a stride less, if strides are not centred), rows of the least squares are weighted and not
    their squares, and the third column's root mean square is that of all joints.
    """
    first = BORDER_PX - (0 if settings.centred else STRIDE / 2)
    last = settings.side_px - BORDER_PX - (0 if settings.centred else STRIDE / 2)
    visible = ((px >= first) & (px <= last)).all(-1)
    weights = jnp.square(visible + absolute.OUT_OF_VIEW_WEIGHT)
    alike = jnp.ones_like(weights)
    translation = absolute.full_perspective(px, relative_mm, intrinsics, weights, alike)
    moved = relative_mm + translation[:, None]
    return absolute.mixed(px, moved, intrinsics, visible, 1 - settings.mix_3d)


def _in_file(path: Path, read: Any) -> Any:
    """What `read` makes of a file, whose name stands before its errors."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: give the whole folder of a published PyTorch model "
            "(TensorFlow SavedModels are another layout)"
        )
    if path.stat().st_size > LIMIT_BYTES:
        raise ValueError(f"{path} has more than {LIMIT_BYTES} bytes")
    try:
        return read(path)
    except (
        ValueError,
        KeyError,
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
        RecursionError,
    ) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise ValueError(f"{path}: {what}") from error


def _settings(path: Path) -> Settings:
    try:
        config = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        reason = str(error).replace("\n", " ")
        raise ValueError(f"it is not plain YAML: {reason}") from error
    if not isinstance(config, dict):
        raise ValueError("it is not a list of settings by name")
    for name in ("transform_coords", "predict_all_and_latents", "weak_perspective"):
        if config.get(name):
            raise ValueError(f"{name} is set: models with this setting cannot be imported")
    for name in ("stride_train", "stride_test"):
        if config.get(name, STRIDE) != STRIDE:
            raise ValueError(f"{name} is {config[name]!r}; only {STRIDE} can be imported")
    mix = config["mix_3d_inside_fov"]
    settings = Settings(
        size=config["efficientnet_size"],
        side_px=config["proc_side"],
        centred=config["centered_stride"],
        legacy=config.get("legacy_centered_stride_bug", False),
        depth_bins=config["depth"],
        box_mm=config["box_size_mm"],
        mix_3d=0.0 if mix is None else mix,
    )
    kinds = (str, int, bool, bool, int, int | float, int | float)
    for value, kind, name in zip(settings, kinds, Settings._fields, strict=True):
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"its value {value!r} for {name} is of the wrong type")
    if settings.size not in efficientnet.STAGES:
        raise ValueError(f"efficientnet_size is {settings.size!r}; it must be s, m or l")
    side_px, bins = settings.side_px, settings.depth_bins
    if side_px < STRIDE or side_px > 4096 or side_px % STRIDE or not 1 <= bins <= 256:
        raise ValueError(f"a side of {side_px} px with {bins} depths makes no sense")
    return settings


def _joint_info(path: Path) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LIMIT_BYTES:
            raise ValueError(f"it expands to more than {LIMIT_BYTES} bytes")
    with np.load(path, allow_pickle=False) as file:
        names, edges = file["joint_names"], file["joint_edges"]
    return _texts(names), _pairs(edges)


def _matrix(path: Path) -> Float[np.ndarray, "k j"]:
    matrix = np.load(path, mmap_mode="r", allow_pickle=False)  # maps no more than is there
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or not np.isfinite(matrix).all():
        raise ValueError("it must hold a matrix of finite numbers")
    return np.ascontiguousarray(matrix.T, np.float32)


def _skeletons(path: Path, count: int) -> dict[str, Skeleton]:
    content = pickled.read(path.read_bytes(), pickled_arrays.MAKERS)
    if not isinstance(content, dict) or not content:
        raise ValueError("it is not a dict of skeletons by name")
    found = {}
    for name, info in content.items():
        if not isinstance(info, dict) or not {"indices", "names", "edges"} <= info.keys():
            raise ValueError(f"skeleton {str(name)[:40]!r} lacks indices, names or edges")
        indices = pickled_arrays.array_of(info["indices"])
        names = _texts(pickled_arrays.array_of(info["names"]))
        edges = _pairs(pickled_arrays.array_of(info["edges"]))
        if indices.dtype.kind not in "iu" or indices.shape != (len(names),) or not len(names):
            raise ValueError(f"skeleton {str(name)[:40]!r} must have an index for each name")
        if indices.min() < 0 or indices.max() >= count:
            raise ValueError(f"skeleton {str(name)[:40]!r} takes joints beyond the {count}")
        if max(np.ravel(edges), default=0) >= len(names):
            raise ValueError(f"skeleton {str(name)[:40]!r} has edges beyond its joints")
        found[str(name)] = Skeleton(tuple(indices.tolist()), names, edges)
    return found


def _all_names(
    names: tuple[str, ...], skeletons: dict[str, Skeleton], count: int
) -> tuple[str, ...]:
    """A name for each joint that comes out: those beyond the head's are called as in the first
    skeleton that has them, with its name for a suffix (kinectv2_25: head_kinectv2).
    """
    found = dict(enumerate(names))
    for skeleton_name, skeleton in skeletons.items():
        suffix = re.sub(r"_\d+$", "", skeleton_name)
        for index, name in zip(skeleton.indices, skeleton.names, strict=True):
            found.setdefault(index, f"{name}_{suffix}")
    return tuple(found.get(index, f"joint{index}") for index in range(count))


def _texts(names: np.ndarray) -> tuple[str, ...]:
    if names.dtype.kind != "U" or names.ndim != 1:
        raise ValueError("joint names must be a list of texts")
    return tuple(names.tolist())


def _pairs(edges: np.ndarray) -> tuple[tuple[int, int], ...]:
    edges = edges.reshape(-1, 2) if edges.size == 0 else edges
    if (edges.size and edges.dtype.kind not in "iu") or edges.ndim != 2 or edges.shape[1] != 2:
        raise ValueError("edges must be pairs of whole numbers")
    if edges.size and edges.min() < 0:
        raise ValueError("edges must be pairs of joints")
    return tuple((int(a), int(b)) for a, b in edges)
