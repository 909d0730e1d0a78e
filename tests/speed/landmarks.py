"""Side by side: the landmark network here, with grouped convolutions, and in LiteRT.

Run by hand on an otherwise idle machine: `python tests/speed/landmarks.py [ARCHIVE]`. Prints
milliseconds a crop, medians of alternating repetitions: for all outputs, without the mask, for the
landmarks alone, for the trunk's last map alone; all outputs with XLA's grouped convolution in place
of the form for this platform; and the published network in LiteRT with two threads (`pip install
ai-edge-litert`), which takes one crop at a time. Without ARCHIVE, the npm package that
launch/make_landmark_asset.py names, it times `full` and no LiteRT.
"""

import statistics
import sys
import time
from functools import partial
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from acae_jax.foreign import blazepose_weights
from acae_jax.models import depthwise
from acae_jax.models.blazepose import VARIANTS, BlazePose

sys.path.insert(0, str(Path(__file__).parents[2] / "launch"))

import make_landmark_asset

BATCHES = (1, 8)
REPEATS = 15


def everything(network, variables, crops):
    return network.apply(variables, crops)


def without_mask(network, variables, crops):
    return network.apply(variables, crops)._replace(mask_logits=None)


def landmarks(network, variables, crops):
    person = network.apply(variables, crops)
    return person.landmarks_px, person.visibility_logits, person.probability, person.world_m


def features(network, variables, crops):
    return network.apply(variables, crops).features


def compiled(function, network, variables, crops):
    """A call without arguments, compiled."""
    program = jax.jit(partial(function, network)).lower(variables, crops).compile()
    return lambda: jax.block_until_ready(program(variables, crops))


def litert(data, crops):
    """A call without arguments of the published network."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=2)
    interpreter.allocate_tensors()
    (into,) = interpreter.get_input_details()
    outputs = interpreter.get_output_details()

    def call():
        for crop in np.asarray(crops):
            interpreter.set_tensor(into["index"], crop[None])
            interpreter.invoke()
            for output in outputs:
                interpreter.get_tensor(output["index"])

    return call


def compare(network, variables, data):
    """Prints one row for each batch size."""
    for batch in BATCHES:
        crops = jax.random.uniform(jax.random.key(0), (batch, 256, 256, 3))
        calls = {
            function.__name__.replace("_", " "): compiled(function, network, variables, crops)
            for function in (everything, without_mask, landmarks, features)
        }
        with mock.patch.object(depthwise, "convolve", depthwise.grouped):
            calls["grouped"] = compiled(everything, network, variables, crops)
        if data:
            calls["LiteRT"] = litert(data, crops)
        times = {name: [] for name in calls}
        for _ in range(REPEATS + 1):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                times[name].append(1e3 * (time.perf_counter() - start) / batch)
        row = "  ".join(f"{name} {statistics.median(t[1:]):.1f}" for name, t in times.items())
        print(f"{network.variant:5} batch {batch}:  {row}", flush=True)


def main():
    if len(sys.argv) < 2:
        compare(*blazepose_weights.load(), None)
        return
    for variant in VARIANTS:
        data = make_landmark_asset.read_archive(Path(sys.argv[1]), variant)
        arrays = make_landmark_asset.weights(variant, data)
        params = {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
        compare(BlazePose(variant), {"params": unflatten_dict(params, sep="/")}, data)


if __name__ == "__main__":
    main()
