"""NanoDet with its packaged weights against the published network.

nanodet_reference.npz holds what the published TensorFlow.js graph gives for `blocks()`, executed
operation by operation in float64 with NumPy, at every 71st cell: scores of all classes, and boxes
by the rule of the generalised focal loss.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import load_file

from acae_jax.inference import detection
from acae_jax.models.nanodet import NanoDet

REFERENCE = Path(__file__).parent / "nanodet_reference.npz"


def blocks():
    """Squares of 32 px in random colours."""
    colours = np.random.default_rng(0).integers(0, 256, (13, 13, 3), np.uint8)
    return np.kron(colours, np.ones((32, 32, 1), np.uint8))


@pytest.fixture(scope="module")
def outputs():
    weights = load_file(detection.WEIGHTS)
    params = unflatten_dict({k: jnp.asarray(v, jnp.float32) for k, v in weights.items()}, sep="/")
    return jax.jit(NanoDet().apply)({"params": params}, blocks()[None])


def logit(scores):
    return np.log(scores) - np.log1p(-scores)


def test_the_network_gives_what_the_published_graph_gives(outputs):
    scores, boxes = (np.asarray(values)[0] for values in outputs)
    reference = np.load(REFERENCE)
    cells = reference["cells"]
    assert len(scores) == len(boxes) == 52**2 + 26**2 + 13**2
    np.testing.assert_allclose(logit(scores[cells]), logit(reference["scores"]), atol=1e-3)
    np.testing.assert_allclose(boxes[cells], reference["boxes_px"], atol=0.02)


def test_the_weights_are_the_published_ones_and_small():
    """3.8 million parameters without batch norms; the package may grow by 8 MB for them."""
    weights = load_file(detection.WEIGHTS)
    shapes = jax.eval_shape(NanoDet().init, jax.random.key(0), jnp.zeros((1, 32, 32, 3), jnp.uint8))
    expected = {k: v.shape for k, v in flatten_dict(shapes["params"], sep="/").items()}
    assert {name: value.shape for name, value in weights.items()} == expected
    assert sum(value.size for value in weights.values()) == 3_786_068
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float16)}
    assert detection.WEIGHTS.stat().st_size < 8e6
    assert "Apache License" in detection.WEIGHTS.with_name("LICENSE.txt").read_text()


def test_sides_that_are_no_multiples_of_the_coarsest_stride_are_refused():
    with pytest.raises(ValueError, match="400×416 px needs multiples of 32 px"):
        NanoDet().init(jax.random.key(0), jnp.zeros((1, 416, 400, 3), jnp.uint8))
