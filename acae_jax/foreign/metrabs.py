"""Published MeTRAbs models (Sárándi et al. 2021, 2023) in their PyTorch layout: reading the folder,
and the steps of the crop model that differ from ours.

    ckpt.pt                     the state dict of backbone and heat map head
    config.yaml                 settings by name
    joint_info.npz              joint_names, and joint_edges between them
    joint_transform_matrix.npy  optional: (J, J'), from the head's joints to the output joints
    skeleton_infos.pkl          for each skeleton: indices into J', names, edges within it

No code of these files is run: `pickled` reads the pickle; NumPy files are read without objects,
and YAML with its safe loader and without aliases.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import yaml
from jaxtyping import Array, Float

from acae_jax import messages
from acae_jax.files import numpy_files
from acae_jax.foreign import (
    conversion,
    layouts,
    pickled,
    pickled_arrays,
    torch_file,
)
from acae_jax.geometry import absolute
from acae_jax.models import efficientnet

STRIDE = 32
HEAD = "heatmap_heads.conv_final"
BORDER_PX = 0.75 * STRIDE
LIMIT_BYTES = 64 << 20
LIMIT_SETTINGS_BYTES = 64 << 10
LARGEST = pickled_arrays.LARGEST
"""The largest number of joints or edges of all skeletons together; published models have 1/100."""
LONGEST_TEXT = pickled_arrays.LONGEST_TEXT
OFF_AFFINE = 1e-3
"""The largest deviation of the sum of a joint's weights from 1."""


class PublishedSettings(NamedTuple):
    """The settings of the crop model in config.yaml; `legacy` is legacy_centered_stride_bug."""

    size: str
    side_px: int
    centred: bool
    legacy: bool
    depth_bins: int
    box_mm: float
    mix_3d: float


class Skeleton(NamedTuple):
    """A selection of the output joints; edges are indices within the selection."""

    indices: tuple[int, ...]
    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]


class Published(NamedTuple):
    """The content of a published folder; `matrix` leads from the head's joints to the output."""

    settings: PublishedSettings
    points: int
    joint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    skeletons: dict[str, Skeleton]
    matrix: Float[np.ndarray, "k j"] | None
    state: dict[str, np.ndarray]


def read(folder: str | Path) -> Published:
    """Read and check everything in a published folder.

    Raises OSError if a file is missing; ValueError, in one line that names the file, if a file is
    damaged or needs something that is not supported.
    """
    folder = Path(folder)
    settings = _in_file(folder / "config.yaml", _settings)
    names, edges = _in_file(folder / "joint_info.npz", _joint_info)
    state = conversion.without_prefix(torch_file.read(folder / "ckpt.pt"), f"{HEAD}.bias")
    points = np.size(state.get(f"{HEAD}.bias", ())) // (1 + settings.depth_bins)
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
    """The weights in the structure of our pose network; `like` are its shapes.

    Raises ValueError naming the first array that does not fit.
    """
    return conversion.variables(published.state, layers(published.settings.size), like)


def layers(size: str) -> layouts.Layers:
    """Which layer of theirs is which of our pose network."""
    backbone = layouts.layers(f"efficientnetv2_{size}", "torchvision")
    renamed = {
        f"backbone/{ours}": theirs.replace("features.", "backbone.1.", 1)
        for ours, theirs in backbone.items()
    }
    return {**renamed, "head": HEAD}


def shifted(
    px: Float[Array, "b j 2"], relative_mm: Float[Array, "b j 3"], settings: PublishedSettings
) -> tuple[Float[Array, "b j 2"], Float[Array, "b j 3"]]:
    """Change the head's pixels and metric positions to the convention of these models.

    With `legacy` they lie half a stride further right and down.
    """
    by_px = STRIDE / 2 if settings.legacy else 0.0
    by_mm = by_px * settings.box_mm / settings.side_px
    return px + by_px, relative_mm + jnp.array([[[by_mm, by_mm, 0.0]]])


def locate(
    px: Float[Array, "b j 2"],
    relative_mm: Float[Array, "b j 3"],
    intrinsics: Float[Array, "b 3 3"],
    settings: PublishedSettings,
) -> Float[Array, "b j 3"]:
    """Absolute joints in mm, from the result of `shifted`.

    This differs from `geometry.absolute.reconstruct` in three ways. The edges of the image are at 0
    and its side (minus half a stride, if strides are not centred). The weights multiply the rows of
    the least squares, not their squares. The root mean square of the third column is over all
    joints.
    """
    first = BORDER_PX - (0 if settings.centred else STRIDE / 2)
    last = settings.side_px - BORDER_PX - (0 if settings.centred else STRIDE / 2)
    visible = ((px >= first) & (px <= last)).all(-1)
    weights = jnp.square(visible + absolute.OUT_OF_VIEW_WEIGHT)
    alike = jnp.ones_like(weights)
    translation = absolute.full_perspective(px, relative_mm, intrinsics, weights, alike)
    poses_mm = relative_mm + translation[:, None]
    return absolute.mixed(px, poses_mm, intrinsics, visible, 1 - settings.mix_3d)


def _in_file(path: Path, read: Any) -> Any:
    """Call `read` with a file, and put the file's path before its errors."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: give the whole folder of a published PyTorch model "
            "(TensorFlow SavedModels are another layout)"
        )
    if path.stat().st_size > LIMIT_BYTES:
        raise ValueError(f"{path} has more than {LIMIT_BYTES} bytes")
    try:
        return read(path)
    except (ValueError, KeyError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else messages.one_line(error)
        raise ValueError(f"{path}: {what}") from error


class _Loader(yaml.SafeLoader):
    """YAML without aliases, because with them a small file can need any amount of memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node; an error if it is an alias."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has an alias (*), which settings do not need")
        return super().compose_node(parent, index)


def _yaml(path: Path) -> Any:
    if path.stat().st_size > LIMIT_SETTINGS_BYTES:
        raise ValueError(f"it has more than {LIMIT_SETTINGS_BYTES} bytes")
    try:
        return yaml.load(path.read_bytes(), _Loader)
    except Exception as error:  # values with a wrong type tag can raise any exception
        raise ValueError(f"it is not plain YAML: {messages.one_line(error)}") from error


def _shown(value: Any) -> str:
    """A value as text for a message; only the type of containers and long texts."""
    text = repr(value) if value is None or isinstance(value, bool | float | str) else ""
    if isinstance(value, int) and abs(value) < 2**63:
        text = str(value)
    return text if 0 < len(text) <= 80 else f"a {type(value).__name__}"


def _settings(path: Path) -> PublishedSettings:
    config = _yaml(path)
    if not isinstance(config, dict):
        raise ValueError("it is not a list of settings by name")
    for name in ("transform_coords", "predict_all_and_latents", "weak_perspective"):
        if config.get(name):
            raise ValueError(f"{name} is set: models with this setting cannot be imported")
    for name in ("stride_train", "stride_test"):
        if config.get(name, STRIDE) != STRIDE:
            raise ValueError(f"{name} is {_shown(config[name])}; only {STRIDE} can be imported")
    mix = config["mix_3d_inside_fov"]
    settings = PublishedSettings(
        size=config["efficientnet_size"],
        side_px=config["proc_side"],
        centred=config["centered_stride"],
        legacy=config.get("legacy_centered_stride_bug", False),
        depth_bins=config["depth"],
        box_mm=config["box_size_mm"],
        mix_3d=0.0 if mix is None else mix,
    )
    kinds = (str, int, bool, bool, int, int | float, int | float)
    for value, kind, name in zip(settings, kinds, PublishedSettings._fields, strict=True):
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"its value {_shown(value)} for {name} is of the wrong type")
    if settings.size not in efficientnet.STAGES:
        raise ValueError(f"efficientnet_size is {_shown(settings.size)}; it must be s, m or l")
    side_px, bins = settings.side_px, settings.depth_bins
    if side_px < STRIDE or side_px > 4096 or side_px % STRIDE or not 1 <= bins <= 256:
        raise ValueError(
            f"a side of {_shown(side_px)} px with {_shown(bins)} depths makes no sense"
        )
    if not 0 < settings.box_mm < 1e6 or not 0 <= settings.mix_3d <= 1:
        raise ValueError(
            f"a box of {_shown(settings.box_mm)} mm with {_shown(settings.mix_3d)} for "
            "mix_3d_inside_fov makes no sense"
        )
    return settings


def _joint_info(path: Path) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    names, edges = numpy_files.arrays(path, ("joint_names", "joint_edges"), LIMIT_BYTES)
    return _texts(names), _pairs(edges)


def _matrix(path: Path) -> Float[np.ndarray, "k j"]:
    matrix = numpy_files.matrix(path)
    finite = matrix.dtype.kind == "f" and np.isfinite(matrix).all()
    if matrix.ndim != 2 or not matrix.size or not finite:
        raise ValueError("it must hold a matrix of finite numbers")
    sums = matrix.sum(axis=0, dtype=np.float64)
    worst = int(np.argmax(np.abs(sums - 1)))
    if abs(sums[worst] - 1) > OFF_AFFINE:
        raise ValueError(
            f"the weights in column {worst} of its (J, J') sum to {sums[worst]:.6g}; they must sum "
            "to 1, because output joints are weighted averages"
        )
    return np.ascontiguousarray(matrix.T, np.float32)


def _skeletons(path: Path, count: int) -> dict[str, Skeleton]:
    content = pickled.read(path.read_bytes(), pickled_arrays.MAKERS)
    if isinstance(content, pickled.Opaque):
        raise content.refusal()
    if not isinstance(content, dict) or not content:
        raise ValueError("it is not a dict of skeletons by name")
    skeletons, room = {}, LARGEST
    for name, info in content.items():
        if not isinstance(name, str) or len(name) > LONGEST_TEXT:
            raise ValueError(f"names of skeletons must have at most {LONGEST_TEXT} characters")
        if isinstance(info, pickled.Opaque):
            raise info.refusal()
        if not isinstance(info, dict) or not {"indices", "names", "edges"} <= info.keys():
            raise ValueError(f"skeleton {name[:40]!r} lacks indices, names or edges")
        indices = pickled_arrays.array_of(info["indices"])
        names = _texts(pickled_arrays.array_of(info["names"]))
        edges = _pairs(pickled_arrays.array_of(info["edges"]))
        if indices.dtype.kind not in "iu" or indices.shape != (len(names),) or not len(names):
            raise ValueError(f"skeleton {name[:40]!r} must have an index for each name")
        if indices.min() < 0 or indices.max() >= count:
            raise ValueError(f"skeleton {name[:40]!r} takes joints beyond the {count}")
        if max(np.ravel(edges), default=0) >= len(names):
            raise ValueError(f"skeleton {name[:40]!r} has edges beyond its joints")
        room -= len(names) + len(edges)
        if room < 0:
            raise ValueError(f"its skeletons have more than {LARGEST} joints and edges together")
        skeletons[name] = Skeleton(tuple(indices.tolist()), names, edges)
    return skeletons


def _all_names(
    names: tuple[str, ...], skeletons: dict[str, Skeleton], count: int
) -> tuple[str, ...]:
    """A name for each output joint.

    Joints beyond the head's get their name in the first skeleton that has them, with this
    skeleton's name as suffix (head of kinectv2_25: head_kinectv2).
    """
    names_at = dict(enumerate(names))
    for skeleton_name, skeleton in skeletons.items():
        suffix = re.sub(r"_\d+$", "", skeleton_name)
        for index, name in zip(skeleton.indices, skeleton.names, strict=True):
            names_at.setdefault(index, f"{name}_{suffix}")
    return tuple(names_at.get(index, f"joint{index}") for index in range(count))


def _texts(names: np.ndarray) -> tuple[str, ...]:
    if names.dtype.kind != "U" or names.ndim != 1:
        raise ValueError("joint names must be a list of texts")
    if names.size > LARGEST or names.itemsize > 4 * LONGEST_TEXT:
        raise ValueError(
            f"there must be at most {LARGEST} joint names of at most {LONGEST_TEXT} characters"
        )
    return tuple(names.tolist())


def _pairs(edges: np.ndarray) -> tuple[tuple[int, int], ...]:
    edges = edges.reshape(-1, 2) if edges.size == 0 else edges
    if len(edges) > LARGEST:
        raise ValueError(f"there must be at most {LARGEST} edges")
    if (edges.size and edges.dtype.kind not in "iu") or edges.ndim != 2 or edges.shape[1] != 2:
        raise ValueError("edges must be pairs of whole numbers")
    if edges.size and edges.min() < 0:
        raise ValueError("edges must be pairs of joints")
    return tuple((int(a), int(b)) for a, b in edges)
