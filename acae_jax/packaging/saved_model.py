"""A model as a TensorFlow SavedModel, through jax2tf's native serialisation.

Needs the extra `savedmodel` (TensorFlow for CPUs is enough). The signature `serving_default` takes
the inputs by name and gives the outputs by name; it runs on CPUs, GPUs and TPUs. What TensorFlow
loads may hold operations that read and write files: load only folders that you trust.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from acae_jax.packaging import forms
from acae_jax.packaging.signature import PLATFORMS, Signature

FILES = ("saved_model.pb",)
MISSING = (
    "a SavedModel needs TensorFlow: pip install -e '.[savedmodel]', best in an environment of "
    "its own, which can export from a bundle"
)


def write(place: Path, model: forms.Model) -> None:
    """Write a SavedModel; its weights are variables."""
    tf = _tensorflow()
    from jax.experimental import jax2tf

    inputs = model.signature.inputs
    output_names = [one.name for one in model.signature.outputs]

    def whole(weights, *arrays):
        return dict(zip(output_names, model.function(weights, *arrays), strict=True))

    shapes = [f"({', '.join(map(str, one.shape))},)" for one in inputs]
    converted = jax2tf.convert(
        whole,
        polymorphic_shapes=[None, *shapes],
        native_serialization_platforms=PLATFORMS,
        with_gradient=False,
    )
    module: Any = tf.Module()
    names = list(model.weights)
    module.weights = [
        tf.Variable(model.weights[name].astype(np.float32), name=name) for name in names
    ]
    specs = [
        tf.TensorSpec(
            [None if isinstance(size, str) else size for size in one.shape], one.dtype, one.name
        )
        for one in inputs
    ]

    @partial(tf.function, autograph=False, input_signature=specs)
    def call(*arrays):
        return converted(dict(zip(names, module.weights, strict=True)), *arrays)

    module.call = call
    tf.saved_model.save(module, str(place), signatures={"serving_default": call})


def load(folder: Path, of: Signature) -> forms.Run:
    """The function, run by TensorFlow."""
    tf = _tensorflow()
    loaded = tf.saved_model.load(str(folder))
    serving = loaded.signatures["serving_default"]

    def run(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        named = {one.name: tf.constant(array) for one, array in zip(of.inputs, arrays, strict=True)}
        outputs = serving(**named)
        return tuple(outputs[one.name].numpy() for one in of.outputs)

    # The loaded object must outlive its signature, which holds no variables.
    run.kept = loaded  # pyright: ignore[reportFunctionMemberAccess]
    return run


def _tensorflow() -> Any:
    try:
        import tensorflow  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ImportError(MISSING) from None
    return tensorflow
