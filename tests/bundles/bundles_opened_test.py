"""`acae_jax.load` of a small bundle: the network that runs is the bundle's, compiled few times."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import acae_jax
from acae_jax.bundles import bundle
from acae_jax.estimation.model import network as networks
from acae_jax.estimation.packing import program
from acae_jax.geometry import cameras
from acae_jax.images import crops
from acae_jax.models import backbones

SIDE_PX = 48
NAMES = ("pelv", "lhip", "rhip", "neck")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    narrow = partial(backbones.create, "narrow", ghost_size=4, stride=16)
    network = networks.PoseNetwork(
        narrow(widths=(8, 16, 16), context=(4, 16)),
        len(NAMES),
        networks.Geometry(SIDE_PX, 16),
        4,
    )
    init = jax.jit(partial(network.init, train=False))
    weights = program.fold(network, init(jax.random.key(0), jnp.zeros((1, SIDE_PX, SIDE_PX, 3))))
    weights["head/kernel"] = 300 * weights["head/kernel"]  # heat maps with peaks
    model = program.crop_model(network)
    everything = bundle.Selection(tuple(range(len(NAMES))), NAMES, ())
    facts = bundle.Facts("small", SIDE_PX, NAMES, (), {"all": everything}, "all", (), None, {})
    exported = program.export(model, weights, SIDE_PX)
    reference = program.reference(model, weights, SIDE_PX)
    path = tmp_path_factory.mktemp("bundles") / "small"
    bundle.write(path, bundle.Contents(facts, exported, weights, None, reference, ""))
    return path


def test_a_plain_pose_is_what_the_network_says_of_the_crop(folder):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    box = np.array([20.0, 10, 30, 40])
    estimator = acae_jax.load(folder)
    found = estimator.estimate_poses(image, box[None], default_fov_degrees=40)
    stored = cameras.create(cameras.field_of_view(np.deg2rad(40), 80, 60).astype(np.float64))
    camera = crops.camera(stored, box, SIDE_PX)
    crop = crops.warp(image, cameras.homography(camera, stored), SIDE_PX)
    intrinsics = camera.intrinsics.astype(np.float32)
    joints_mm, spread_mm = estimator.bundle.crop_model(crop[None], intrinsics[None])
    expected = cameras.camera_to_world(camera, np.asarray(joints_mm[0], np.float64))
    np.testing.assert_allclose(found["poses3d"][0], expected, rtol=1e-4, atol=0.1)
    np.testing.assert_allclose(found["uncertainties"][0], spread_mm[0], rtol=1e-4)
    assert np.ptp(found["poses3d"][0], axis=0).min() > 1  # what is compared is a pose
    averaged = estimator.estimate_poses(image, box[None], num_aug=3)
    apart = estimator.estimate_poses(image, box[None], num_aug=3, average_aug=False)
    for key in ("poses3d", "uncertainties"):
        np.testing.assert_allclose(averaged[key], apart[key].mean(1), rtol=1e-5, atol=1e-2)


def test_the_bundle_is_compiled_for_few_batch_sizes(folder):
    people = [i % 6 for i in range(20)]

    def detector(images, *_):
        boxes = [np.array([10.0 + 5 * i, 5, 20, 40, 0.9]) for i in range(people[len(seen)])]
        seen.append(len(boxes))
        return [np.array(boxes).reshape(-1, 5)] * len(images)

    seen, events = [], []
    estimator = acae_jax.load(folder, detector)
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    estimator.estimate_poses(image, [[10, 5, 20, 40]] * 5)  # calls of 4 and of 1
    listener = lambda event, *_, **__: events.append(event)  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        for count in people:
            found = estimator.detect_poses(image, suppress_implausible_poses=False)
            assert found["poses3d"].shape == (count, len(NAMES), 3)
        assert not [event for event in events if "backend_compile" in event]
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
