"""BlazePose with its packaged weights against the published network.

blazepose_reference.npz holds a rendered person as PNG bytes, and what ai-edge-litert 2.3.0 gives
for it and for `noise()` from the published pose_landmark_full.tflite: landmarks, world points and
the person's probability whole, mask and heat maps at every 8th cell of both axes.
tests/launch/launch_landmark_asset_test.py compares with litert itself, and all variants.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file, save_file

from acae_jax.foreign import blazepose_weights
from acae_jax.images import decoding
from acae_jax.models.blazepose import BlazePose, Trunk

REFERENCE = np.load(Path(__file__).parent / "blazepose_reference.npz")
CROPS = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)


def noise():
    """Pixels in random colours."""
    return np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)


@pytest.fixture(scope="module")
def packaged():
    return blazepose_weights.load()


@pytest.fixture(scope="module")
def crops():
    person = decoding.decode(REFERENCE["person_png"].tobytes())
    return np.stack([person, noise()]).astype(np.float32) / 255


@pytest.fixture(scope="module")
def output(packaged, crops):
    network, variables = packaged
    return jax.tree.map(np.asarray, jax.jit(network.apply)(variables, crops))


def test_landmarks_are_those_of_the_published_network(output):
    points = REFERENCE["landmarks"].reshape(2, 39, 5)
    np.testing.assert_allclose(output.landmarks_px, points[..., :3], rtol=0, atol=0.05)
    np.testing.assert_allclose(output.visibility_logits, points[..., 3], rtol=0, atol=0.01)
    np.testing.assert_allclose(output.presence_logits, points[..., 4], rtol=0, atol=0.01)
    world = REFERENCE["world"].reshape(2, 39, 3)
    np.testing.assert_allclose(output.world_m, world, rtol=0, atol=1e-4)


def test_the_person_is_found_and_in_noise_there_is_none(output):
    np.testing.assert_allclose(output.probability, REFERENCE["probability"], rtol=0, atol=1e-3)
    assert output.probability[0] > 0.99 and output.probability[1] < 0.2


def test_mask_and_heat_maps_are_those_of_the_published_network(output):
    """Logits of the mask reach ±1600."""
    mask = output.mask_logits[:, ::8, ::8]
    np.testing.assert_allclose(mask, REFERENCE["mask"], rtol=0, atol=3)
    heatmaps = output.heatmaps[:, ::8, ::8]
    np.testing.assert_allclose(heatmaps, REFERENCE["heatmaps"], rtol=0, atol=0.01)


def test_the_mask_covers_the_landmarks_of_the_person(output):
    hips_and_shoulders = np.round(output.landmarks_px[0, [11, 12, 23, 24], :2]).astype(int)
    x, y = hips_and_shoulders.T
    assert (output.mask_logits[0, y, x] > 0).all()
    assert 0.02 < (output.mask_logits[0] > 0).mean() < 0.3


def test_the_trunk_alone_gives_the_features(packaged, crops, output):
    network, variables = packaged
    trunk = {"params": variables["params"]["trunk"]}
    *maps, features = jax.jit(Trunk(network.variant).apply)(trunk, crops[:1])
    assert [m.shape[1] for m in maps] == [128, 64, 32, 16]
    assert features.shape == (1, 8, 8, 864)
    np.testing.assert_allclose(features, output.features[:1], atol=1e-4)
    assert sum(leaf.size for leaf in jax.tree.leaves(trunk)) == 1_541_192


def test_what_only_unused_outputs_need_is_not_computed(packaged):
    network, variables = packaged

    def operations(*names):
        def some(variables, crops):
            person = network.apply(variables, crops)
            return [getattr(person, name) for name in names]

        return jax.jit(some).lower(variables, CROPS).cost_analysis()["flops"]

    assert operations("landmarks_px") < 0.9 * operations("landmarks_px", "mask_logits")


@pytest.mark.parametrize(
    "variant, count, channels",
    [("lite", 1_363_089, 576), ("full", 3_169_489, 864), ("heavy", 13_751_073, 1632)],
)
def test_variants_have_the_published_sizes(variant, count, channels):
    crops = jax.ShapeDtypeStruct((3, 256, 256, 3), jnp.float32)
    init = BlazePose(variant).init_with_output
    person, variables = jax.eval_shape(init, jax.random.key(0), crops)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count
    assert person.landmarks_px.shape == (3, 39, 3)
    assert person.mask_logits.shape == (3, 256, 256)
    assert person.heatmaps.shape == (3, 64, 64, 39)
    assert person.features.shape == (3, 8, 8, channels)


def test_the_packaged_weights_are_the_published_ones_and_small(packaged):
    network, _ = packaged
    weights = load_file(blazepose_weights.PACKAGED)
    shapes = jax.eval_shape(network.init, jax.random.key(0), CROPS)["params"]
    expected = {name: leaf.shape for name, leaf in flatten_dict(shapes, sep="/").items()}
    assert {name: array.shape for name, array in weights.items()} == expected
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float16)}
    assert blazepose_weights.PACKAGED.stat().st_size < 6.5e6
    licence = blazepose_weights.PACKAGED.with_name("LICENSE.txt").read_text()
    assert "Apache License" in licence and "MediaPipe" in licence


def test_what_cannot_be_computed_is_refused(packaged):
    network, variables = packaged
    with pytest.raises(ValueError, match=r"crops are 256 × 256 RGB, not \(1, 128, 128, 3\)"):
        network.apply(variables, jnp.zeros((1, 128, 128, 3)))
    with pytest.raises(ValueError, match="unknown variant 'heavi'; did you mean 'heavy'"):
        Trunk("heavi").apply(variables, jnp.zeros((1, 256, 256, 3)))


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"kernel": np.zeros(3, np.float32)}, path)
    with pytest.raises(ValueError, match=r"was not written by launch/make_landmark_asset\.py"):
        blazepose_weights.load(path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        blazepose_weights.load(tmp_path / "none.safetensors")
