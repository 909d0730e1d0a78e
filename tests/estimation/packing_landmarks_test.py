"""The landmark network as a crop model and as a bundle."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import acae_jax
from acae_jax.bundles import bundle
from acae_jax.bundles.facts import Looks, Selection
from acae_jax.estimation.model.landmark_heads import LandmarkHeads, Look
from acae_jax.estimation.packing import landmark_contents, landmarks, leaving
from acae_jax.foreign import blazepose_weights
from acae_jax.geometry import cameras
from acae_jax.images import decoding
from acae_jax.models.blazepose import SIDE_PX

REFERENCE = Path(__file__).parents[1] / "models" / "blazepose_reference.npz"
READOUT = np.zeros((2, 33), np.float32)
READOUT[0, [11, 12]] = 0.5  # the middle of the shoulders
READOUT[1, [23, 24, 11]] = [0.75, 0.75, -0.5]


@pytest.fixture(scope="module")
def person():
    with np.load(REFERENCE) as file:
        return decoding.decode(file["person_png"].tobytes())


@pytest.fixture(scope="module")
def intrinsics():
    middle = (SIDE_PX - 1) / 2
    return np.array([[600, 0, middle], [0, 600, middle], [0, 0, 1]], np.float32)


@pytest.fixture(scope="module")
def seen(person, intrinsics):
    """What the network says, and the crop model: of the same crop."""
    network, variables = blazepose_weights.load()
    says = jax.jit(network.apply)(variables, person[np.newaxis].astype(np.float32) / 255)
    weights = landmarks.weights(variables, np.concatenate([np.eye(33), READOUT]))
    model = jax.jit(landmarks.crop_model(network))
    poses_mm, spread_mm = model(weights, person[np.newaxis], intrinsics[np.newaxis])
    return jax.tree.map(np.asarray, (says, poses_mm[0], spread_mm[0]))


def test_landmarks_lie_on_their_pixels(seen, intrinsics):
    says, poses_mm, _ = seen
    camera = cameras.create(intrinsics)
    at_px = cameras.camera_to_image(camera, poses_mm[:33])
    off_px = np.linalg.norm(at_px - (says.landmarks_px[0, :33, :2] - 0.5), axis=-1)
    assert off_px.mean() < 4  # half of what the network's metres and pixels disagree about


def test_the_region_lies_exactly_on_its_pixels(seen, intrinsics):
    says, poses_mm, _ = seen
    at_px = cameras.camera_to_image(cameras.create(intrinsics), poses_mm[35:37])
    np.testing.assert_allclose(at_px, says.landmarks_px[0, 33:35, :2] - 0.5, atol=1e-2)


def test_the_pose_is_the_networks_and_metric(seen):
    """Distances between landmarks are nearly those in metres, and the person stands in front."""
    says, poses_mm, _ = seen
    world_mm = 1000 * says.world_m[0, :33]
    pairs = np.array([(11, 12), (23, 25), (24, 26), (25, 27), (26, 28)]).T
    ours = np.linalg.norm(poses_mm[pairs[0]] - poses_mm[pairs[1]], axis=-1)
    theirs = np.linalg.norm(world_mm[pairs[0]] - world_mm[pairs[1]], axis=-1)
    np.testing.assert_allclose(ours, theirs, rtol=0.15)
    assert (poses_mm[:, 2] > 1000).all()


def test_further_joints_are_combinations(seen):
    _, poses_mm, spread_mm = seen
    np.testing.assert_allclose(poses_mm[33:35], READOUT @ poses_mm[:33], rtol=1e-4)
    assert spread_mm[33] == pytest.approx(np.hypot(*(spread_mm[[11, 12]] / 2)), rel=1e-5)


def test_what_is_not_there_is_unsure(seen, intrinsics):
    _, _, spread_mm = seen
    network, variables = blazepose_weights.load()
    model = jax.jit(landmarks.crop_model(network))
    nothing = np.zeros((1, SIDE_PX, SIDE_PX, 3), np.uint8)
    weights = landmarks.weights(variables, np.concatenate([np.eye(33), READOUT]))
    _, of_nothing = model(weights, nothing, intrinsics[np.newaxis])
    assert landmarks.CERTAIN_MM <= spread_mm[36] < Looks(0, 1).doubt_mm
    assert of_nothing[0, 36] > 150


@pytest.fixture(scope="module", params=["landmarks", "heads"])
def contents(request):
    """Bundles without heads, and with untrained ones, which hardly change the landmarks."""
    pair = Selection((0, 1), ("neck", "pelv"), ((0, 1),))
    heads, rows = None, READOUT
    if request.param == "heads":
        network = LandmarkHeads(hidden=16, depth_bins=4)
        zeros = [jnp.zeros((1, 33, size)) for size in (2, 3, 2)]
        empty = Look(jnp.zeros((1, 8, 8, 864)), *zeros, jnp.eye(3)[None])
        params = network.init(jax.random.key(0), empty, train=False)["params"]
        heads = landmark_contents.Heads(network, params)
        rows = np.pad(READOUT, ((0, 0), (0, 6)))
    derived = landmark_contents.Derived(
        ("neck_two", "pelv_two"), ((0, 1),), {"two": pair}, rows, ()
    )
    return landmark_contents.contents(blazepose_weights.PACKAGED, derived, heads)


def test_a_bundle_of_it_is_an_estimator(contents, tmp_path, person, intrinsics, seen):
    bundle.write(tmp_path / "model", contents)
    assert bundle.verify(tmp_path / "model").poses_mm < 0.1
    estimator = acae_jax.load(tmp_path / "model")
    assert len(estimator.per_skeleton_joint_names["mediapipe_33"]) == 33
    assert estimator.per_skeleton_joint_names["two"] == ("neck", "pelv")
    whole = [0, 0, SIDE_PX, SIDE_PX]
    people = estimator.estimate_poses(person, [whole], intrinsic_matrix=intrinsics)
    poses_mm = people["poses3d"][0]
    assert poses_mm.shape == (35, 3)
    shoulders = (poses_mm[11] + poses_mm[12]) / 2
    np.testing.assert_allclose(poses_mm[33], shoulders, rtol=1e-3)
    # The last look is nearer than the first, which is what the network saw above.
    says = seen[0].landmarks_px[0, :33, :2] - 0.5
    assert np.median(np.linalg.norm(people["poses2d"][0, :33] - says, axis=-1)) < 6


def test_its_weights_alone_give_the_same(contents, person, intrinsics):
    """safetensors and ONNX rebuild the network from what the facts say."""
    model = leaving.model(contents, "safetensors")
    inputs = [jnp.asarray(contents.reference[name]) for name in ("images", "intrinsics")]
    weights = {name: jnp.asarray(values, jnp.float32) for name, values in model.weights.items()}
    outputs = jax.jit(model.function)(weights, *inputs)
    names = [one.name for one in model.signature.outputs]
    assert names == ["poses_mm", "spread_mm", "points_mm"]
    for name, values in zip(names, outputs, strict=True):
        np.testing.assert_allclose(values, model.reference[name], rtol=1e-3, atol=0.5)


def test_a_packaged_model_is_opened_by_its_name(tmp_path, monkeypatch):
    assert bundle.located(None) == bundle.PHOTOGRAPHS
    assert bundle.located("embedded") == bundle.EMBEDDED
    monkeypatch.chdir(tmp_path)
    (tmp_path / "embedded").mkdir()
    assert bundle.located("embedded") != bundle.EMBEDDED  # a folder of that name is meant
    assert bundle.located("no/embedded") == Path("no/embedded")
