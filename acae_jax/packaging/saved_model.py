"""A model as a TensorFlow SavedModel, through jax2tf's native serialisation.

Needs the extra `savedmodel` (TensorFlow for CPUs is enough). The signature `serving_default` takes
`images` and `intrinsics` of any number of crops and gives `poses_mm` and `spread_mm`; it runs
on CPUs, GPUs and TPUs.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from acae_jax.bundles import bundle
from acae_jax.bundles.bundle import Contents
from acae_jax.packaging import forms

MISSING = (
    "a SavedModel needs TensorFlow: pip install -e '.[savedmodel]', best in an environment of "
    "its own, which can export from a bundle"
)


def write(folder: Path, contents: Contents) -> None:
    """Write a SavedModel; its weights are variables."""
    tf = _tensorflow()
    from jax.experimental import jax2tf

    exported = bundle.network(Path(bundle.NETWORK), contents.network)
    side_px = contents.facts.side_px

    def whole(weights, images, intrinsics):
        poses_mm, spread_mm = exported.call(weights, images, intrinsics)
        final = forms.final_joints(contents.matrix, poses_mm)
        return {"poses_mm": final, "spread_mm": spread_mm}

    converted = jax2tf.convert(
        whole,
        polymorphic_shapes=[None, f"(b, {side_px}, {side_px}, 3)", "(b, 3, 3)"],
        native_serialization_platforms=exported.platforms,
        with_gradient=False,
    )
    model: Any = tf.Module()
    names = list(contents.weights)
    model.weights = [
        tf.Variable(contents.weights[name].astype(np.float32), name=name) for name in names
    ]
    signature = {
        "images": tf.TensorSpec((None, side_px, side_px, 3), tf.uint8, "images"),
        "intrinsics": tf.TensorSpec((None, 3, 3), tf.float32, "intrinsics"),
    }

    @partial(tf.function, autograph=False, input_signature=list(signature.values()))
    def call(images, intrinsics):
        return converted(dict(zip(names, model.weights, strict=True)), images, intrinsics)

    model.call = call
    with forms.new(folder, "savedmodel", contents) as place:
        tf.saved_model.save(model, str(place), signatures={"serving_default": call})


def load(folder: Path) -> forms.Model:
    """The function of images and intrinsics, run by TensorFlow."""
    tf = _tensorflow()
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["serving_default"]

    def model(images: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # The loaded object must outlive its signature, which holds no variables.
        found = signature(images=tf.constant(images), intrinsics=tf.constant(intrinsics))
        return found["poses_mm"].numpy(), found["spread_mm"].numpy()

    model.kept = loaded  # pyright: ignore[reportFunctionMemberAccess]
    return model


def _tensorflow() -> Any:
    try:
        import tensorflow  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ImportError(MISSING) from None
    return tensorflow
