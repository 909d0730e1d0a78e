"""A model as an ONNX file for a dynamic number of crops, by jax2onnx from the network itself.

jax2onnx wants another orbax-checkpoint than training does: export from a bundle in an environment
of its own (README, "Leaving as a file"). Running the file needs onnxruntime only.
"""

import logging
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from acae_jax.inference.bundle import Contents
from acae_jax.packaging import architecture, forms, program

FILE = "model.onnx"
MISSING = (
    "ONNX needs {}: in an environment of its own, pip install jax2onnx onnxruntime and export from "
    "a bundle"
)


def write(folder: Path, contents: Contents) -> None:
    """Write model.onnx."""
    try:
        import jax2onnx  # pyright: ignore[reportMissingImports]
        import onnx  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ImportError(MISSING.format("jax2onnx")) from None
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # warns of every shape it infers itself
    built = architecture.of(contents.facts)
    model = program.crop_model(architecture.network(built))
    weights = {name: jnp.asarray(w, jnp.float32) for name, w in contents.weights.items()}
    side_px = built.side_px

    def whole(images, intrinsics):
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
        onnx.save(converted, str(place / FILE))


def load(folder: Path) -> forms.Model:
    """The function of images and intrinsics, run by onnxruntime on the CPU."""
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ImportError(MISSING.format("onnxruntime")) from None
    session = onnxruntime.InferenceSession(str(folder / FILE), providers=["CPUExecutionProvider"])

    def model(images: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        poses_mm, spread_mm = session.run(None, {"images": images, "intrinsics": intrinsics})
        return poses_mm, spread_mm

    return model
