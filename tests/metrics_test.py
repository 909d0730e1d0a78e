"""Metrics on poses whose errors are known by construction."""

import numpy as np
import pytest

from acae_jax import metrics

NAMES = ("pelv", "lhip", "rhip", "lkne", "rkne", "neck")


def poses(count=20, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, len(NAMES), 3)) * 300 + [0, 0, 3000]).astype(np.float32)


def test_root_is_the_pelvis_or_the_middle_of_the_hips_or_the_mean():
    np.testing.assert_array_equal(metrics.root_weights(NAMES), [1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(
        metrics.root_weights(["lhip_a", "neck_a", "rhip_a"]), [0.5, 0, 0.5]
    )
    np.testing.assert_allclose(metrics.root_weights(["lwri", "rwri"]), [0.5, 0.5])
    for names in (["neck", "Hips", "LeftUpLeg", "RightUpLeg"], ["left_hip", "pelvis", "right_hip"]):
        np.testing.assert_array_equal(metrics.root_weights(names), np.eye(len(names))[1])
    weights = metrics.root_weights(["nose", "left_hip", "right_hip", "left_knee", "right_knee"])
    np.testing.assert_array_equal(weights, [0, 0.5, 0.5, 0, 0])


def test_mpjpe_ignores_translation_and_pa_mpjpe_any_similarity():
    true = poses()
    angle = 0.7
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]],
        np.float32,
    )
    root, valid = metrics.root_weights(NAMES), np.ones(true.shape[:2], bool)
    moved = metrics.pose_metrics(true + np.float32(70), true, valid, root)
    assert moved["mpjpe_mm"] == pytest.approx(0, abs=1e-2)
    assert moved["absolute_mpjpe_mm"] == pytest.approx(70 * 3**0.5, rel=1e-3)
    turned = metrics.pose_metrics(1.3 * true @ turn.T, true, valid, root)
    assert turned["pa_mpjpe_mm"] == pytest.approx(0, abs=0.5)
    assert turned["mpjpe_mm"] > 100


def test_pck_and_auc_of_a_known_error():
    true = poses()
    wrong = true.copy()
    wrong[:, 1] += np.array([75, 0, 0], np.float32)
    wrong[:, 2] += np.array([0, 150, 0], np.float32)  # not strictly below the threshold
    root, valid = metrics.root_weights(NAMES), np.ones(true.shape[:2], bool)
    found = metrics.pose_metrics(wrong, true, valid, root)
    assert found["pck150"] == pytest.approx(100 * 5 / 6, abs=1)
    assert found["auc150"] == pytest.approx(100 * 4.5 / 6, abs=0.2)


def test_unlabelled_joints_do_not_count():
    true = poses()
    wrong, valid = true.copy(), np.ones(true.shape[:2], bool)
    wrong[:, 4] += 500
    valid[:, 4] = False
    found = metrics.pose_metrics(wrong, true, valid, metrics.root_weights(NAMES))
    assert found["mpjpe_mm"] == pytest.approx(0, abs=1e-2)
    assert found["pa_mpjpe_mm"] == pytest.approx(0, abs=0.5)


def two_formats(count=50):
    """Joints 0-2 of format a; 3-5 of format b, of which 3 and 4 stay near 0 and 1."""
    true = poses(count)
    true[:, 3] = true[:, 0] + np.array([0, 30, 0], np.float32)
    true[:, 4] = true[:, 1] + np.array([0, 0, 59], np.float32)
    true[:, 5] = true[:, 2] + np.array([61, 0, 0], np.float32)
    return true, {"a": (0, 1, 2), "b": (3, 4, 5)}


def test_neighbours_are_near_joints_of_different_formats():
    true, members = two_formats()
    assert metrics.neighbour_pairs(true, members, 60.0).tolist() == [[0, 3], [1, 4]]


def test_disagreement_separates_depth_from_the_plane_and_ignores_common_errors():
    true, members = two_formats()
    pairs = metrics.neighbour_pairs(true, members, 60.0)
    common = true + np.array([100, 100, 100], np.float32)
    assert metrics.disagreement(common, true, pairs) == pytest.approx(
        {"disagreement_depth_mm": 0, "disagreement_plane_mm": 0}, abs=1e-2
    )
    drifted = true.copy()
    drifted[:, 3] += np.array([3, 4, 40], np.float32)
    found = metrics.disagreement(drifted, true, pairs)
    assert found["disagreement_depth_mm"] == pytest.approx(20, rel=1e-3)
    assert found["disagreement_plane_mm"] == pytest.approx(2.5, rel=1e-3)
