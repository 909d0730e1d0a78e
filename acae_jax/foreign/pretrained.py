"""Published image classifiers as backbones for stage 1.

These can be imported: ResNet-18 to -152 (v1.5, as in both libraries; timm's resnetv2_* are other
networks), EfficientNetV2-S, -M and -L, MobileNetV3 small and large of full width. The classifiers
themselves are left out. Features equal torch's if the backbone is not `centred`. timm's tf_* models
pad as TensorFlow does, which moves the sampling grid by some pixels: with our padding, their
weights compute the same function on another grid.

The result is a folder with one file, backbone.safetensors: the variables by path, such as
"params/stem/conv/kernel", and metadata that say which backbone it is.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from acae_jax import messages
from acae_jax.foreign import conversion, layouts, safetensors_file, torch_file
from acae_jax.models import backbones, efficientnet, mobilenet, resnet

FILE = "backbone.safetensors"
KIND = "acae_jax backbone"
HEADS = ("fc.", "classifier.", "conv_head.")
SUFFIXES = (".pth", ".pth.tar", ".pt", ".bin", ".safetensors")


class Model(NamedTuple):
    """A published model: the backbone that takes its weights, and two settings of its authors."""

    backbone: str
    pixels: str  # a key of layers.PIXELS
    epsilon: float  # its norms add this to the variance


class Backbone(NamedTuple):
    """An imported backbone: its variables, and the settings that a config needs for them."""

    name: str
    pixels: str
    source: str
    variables: dict[str, Any]


def models(library: str) -> dict[str, Model]:
    """The models that can be imported from "torchvision" or "timm", by their names there."""
    result = {f"resnet{n}": Model(f"resnet{n}", "imagenet", 1e-5) for n in resnet.BLOCKS_PER_STAGE}
    for size in efficientnet.STAGES:
        ours = f"efficientnetv2_{size}"
        if library == "torchvision":
            pixels = "symmetric" if size == "l" else "imagenet"
            result[f"efficientnet_v2_{size}"] = Model(ours, pixels, 1e-3)
        else:
            result[ours] = Model(ours, "imagenet", 1e-5)
            result[f"tf_{ours}"] = Model(ours, "symmetric", 1e-3)
    for size in mobilenet.BLOCKS:
        ours = f"mobilenetv3_{size}"
        if library == "torchvision":
            result[f"mobilenet_v3_{size}"] = Model(ours, "imagenet", 1e-3)
        else:
            result[f"{ours}_100"] = Model(ours, "imagenet", 1e-5)
            result[f"tf_{ours}_100"] = Model(ours, "symmetric", 1e-3)
    return result


def model(library: str, name: str) -> Model:
    """The published model of this name, with or without underscores and timm's tag (".in1k").

    Raises ValueError with suggestions if there is none.
    """
    by_name = models(library)
    base, _, tag = name.partition(".")
    plain = {key.replace("_", ""): key for key in by_name}
    plain_name = base.lower().replace("_", "")
    if plain_name not in plain:
        hint = messages.near_misses(base.lower(), by_name)
        raise ValueError(f"no model {name!r} of {library} can be imported; {hint}")
    published = by_name[plain[plain_name]]
    if tag.startswith("miil"):
        raise ValueError(f"{name} takes pixels from 0 to 1, which no backbone here does")
    return published._replace(pixels="symmetric") if tag.startswith("ra4_") else published


def read_state(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a .pth, .pth.tar, .pt, .bin or .safetensors file by name; no code of it is run.

    Raises ValueError or OSError, in one line, if it cannot be read.
    """
    path = Path(path)
    if not path.name.endswith(SUFFIXES):
        raise ValueError(f"{path} must be a file of weights: {', '.join(SUFFIXES)}")
    if path.suffix != ".safetensors":
        return torch_file.read(path)
    return safetensors_file.read(path)[0]


def convert(state: Mapping[str, np.ndarray], library: str, name: str, source: str) -> Backbone:
    """Convert a published model's state dict to our backbone; ValueError if it does not fit."""
    published = model(library, name)
    layers = layouts.layers(published.backbone, library)
    arrays = conversion.variables(state, layers, shapes(published.backbone), HEADS)
    ours = 1e-5 if published.backbone.startswith("resnet") else 1e-3
    if published.epsilon != ours:
        arrays = conversion.with_epsilon(arrays, published.epsilon, ours)
    return Backbone(published.backbone, published.pixels, f"{library} {name} {source}", arrays)


def write(folder: str | Path, backbone: Backbone) -> None:
    """Write backbone.safetensors to the folder; FileExistsError if it exists."""
    folder = Path(folder)
    if (folder / FILE).exists():
        raise FileExistsError(f"{folder / FILE} exists: choose another folder, or remove it first")
    folder.mkdir(parents=True, exist_ok=True)
    leaves = jax.tree_util.tree_leaves_with_path(backbone.variables)
    arrays = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    metadata = {
        "kind": KIND,
        "backbone": backbone.name,
        "pixels": backbone.pixels,
        "source": backbone.source,
    }
    unfinished = folder / f"{FILE}.tmp"
    safetensors.numpy.save_file(arrays, unfinished, metadata)
    unfinished.replace(folder / FILE)


def is_import(folder: str | Path) -> bool:
    """Whether `write` wrote this folder."""
    return (Path(folder) / FILE).is_file()


def read(folder: str | Path) -> Backbone:
    """Read what `write` wrote; ValueError if the file is something else or damaged."""
    path = Path(folder) / FILE
    arrays, metadata = safetensors_file.read(path)
    if metadata.get("kind") != KIND or not {"backbone", "pixels", "source"} <= metadata.keys():
        raise ValueError(f"{path} was not written by acae_jax.import_weights")
    variables: dict[str, Any] = {}
    for name, array in arrays.items():
        *modules, leaf = name.split("/")
        place = variables
        for module in modules:
            place = place.setdefault(module, {})
        place[leaf] = array
    return Backbone(metadata["backbone"], metadata["pixels"], metadata["source"], variables)


def usual_pixels(name: str) -> str:
    """How a backbone normalises pixels if its config does not say it."""
    return getattr(backbones.create(name, ghost_size=1), "pixels", "")


def shapes(name: str) -> dict[str, Any]:
    """The shapes of a backbone's variables; nothing is computed."""
    module = backbones.create(name, ghost_size=1)
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    return jax.eval_shape(partial(module.init, train=False), jax.random.key(0), images)
