"""A model as an ONNX file for a dynamic number of crops, by jax2onnx from the network itself.

jax2onnx wants another orbax-checkpoint than training does: export from a bundle in an environment
of its own (README, "Leaving as a file"). Running the file needs onnxruntime only.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp

from acae_jax.bundles import onnx_backend
from acae_jax.bundles.bundle import Contents
from acae_jax.estimation.packing import architecture, program
from acae_jax.models import depthwise
from acae_jax.models.depthwise import DepthwiseConv
from acae_jax.models.layers import fixed_padding
from acae_jax.packaging import forms

MISSING = (
    "ONNX needs jax2onnx: in an environment of its own, pip install jax2onnx onnxruntime and "
    "export from a bundle"
)


def write(folder: Path, contents: Contents) -> None:
    """Write model.onnx."""
    try:
        import jax2onnx  # pyright: ignore[reportMissingImports]
        import onnx
    except ImportError:
        raise ImportError(MISSING) from None
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # warns of every shape it infers itself
    built = architecture.of(contents.facts)
    model = program.crop_model(architecture.network(built))
    weights = {name: jnp.asarray(w, jnp.float32) for name, w in contents.weights.items()}
    side_px = built.side_px

    def whole(images, intrinsics):
        with nn.intercept_methods(_grouped):
            poses_mm, spread_mm = model(weights, images, intrinsics)
        return forms.final_joints(contents.matrix, poses_mm), spread_mm

    (batch,) = jax.export.symbolic_shape("b")
    converted = jax2onnx.to_onnx(
        whole,
        [
            jax.ShapeDtypeStruct((batch, side_px, side_px, 3), jnp.uint8),
            jax.ShapeDtypeStruct((batch, 3, 3), jnp.float32),
        ],
        model_name="acae_jax",
        input_names=["images", "intrinsics"],
        output_names=["poses_mm", "spread_mm"],
    )
    with forms.new(folder, "onnx", contents) as place:
        onnx.save(converted, str(place / onnx_backend.FILE))


def _grouped(call: Callable[..., Any], args: tuple, kwargs: dict, context: Any) -> Any:
    """Depthwise convolutions as ONNX knows them: it has no choice by platform."""
    module = context.module
    if not isinstance(module, DepthwiseConv) or context.method_name != "__call__":
        return call(*args, **kwargs)
    kernel = module.get_variable("params", "kernel").astype(module.dtype)
    padding = fixed_padding(module.kernel_size, module.shift)
    return depthwise.grouped(args[0].astype(module.dtype), kernel, module.stride, padding)


def load(folder: Path) -> forms.Model:
    """The function of images and intrinsics, run by onnxruntime on the CPU."""
    return onnx_backend.session(folder, (folder / onnx_backend.FILE).read_bytes())
