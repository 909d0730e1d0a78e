"""A model as an ONNX file for inputs of any size, by jax2onnx from the function itself.

jax2onnx wants another orbax-checkpoint than training does, and an older JAX: export from a bundle
in an environment of its own (docs/estimator.md). Running the file needs onnxruntime only.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from acae_jax.bundles import onnx_backend
from acae_jax.models import depthwise
from acae_jax.models.depthwise import DepthwiseConv
from acae_jax.models.layers import fixed_padding
from acae_jax.packaging import forms, signature

FILES = (onnx_backend.FILE,)
MISSING = (
    "ONNX needs jax2onnx: in an environment of its own, pip install jax2onnx jax==0.10.2 "
    "flax==0.12.8 onnxruntime and export from a bundle"
)


def write(place: Path, model: forms.Model) -> None:
    """Write model.onnx."""
    try:
        import jax2onnx  # pyright: ignore[reportMissingImports]
        import onnx
    except ImportError:
        raise ImportError(MISSING) from None
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # warns of every shape it infers itself
    weights = {name: jnp.asarray(w, jnp.float32) for name, w in model.weights.items()}

    def whole(*arrays):
        with nn.intercept_methods(_grouped):
            return model.function(weights, *arrays)

    converted = jax2onnx.to_onnx(
        whole,
        signature.shapes(model.signature.inputs),
        model_name="acae_jax",
        input_names=[one.name for one in model.signature.inputs],
        output_names=[one.name for one in model.signature.outputs],
    )
    onnx.save(converted, str(place / onnx_backend.FILE))


def _grouped(call: Callable[..., Any], args: tuple, kwargs: dict, context: Any) -> Any:
    """Depthwise convolutions as ONNX knows them: it has no choice by platform."""
    module = context.module
    if not isinstance(module, DepthwiseConv) or context.method_name != "__call__":
        return call(*args, **kwargs)
    kernel = module.get_variable("params", "kernel").astype(module.dtype)
    padding = fixed_padding(module.kernel_size, module.shift)
    return depthwise.grouped(args[0].astype(module.dtype), kernel, module.stride, padding)


def load(folder: Path, of: signature.Signature) -> forms.Run:
    """The function, run by onnxruntime on the CPU."""
    names = [one.name for one in of.inputs]
    return onnx_backend.session(folder, (folder / onnx_backend.FILE).read_bytes(), names)
