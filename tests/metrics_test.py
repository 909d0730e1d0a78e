"""Metrics on poses whose errors are known by construction."""

import numpy as np
import pytest

from acae_jax import metrics

NAMES = ("pelv", "lhip", "rhip", "lkne", "rkne", "neck")


def poses(count=20, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, len(NAMES), 3)) * 300 + [0, 0, 3000]).astype(np.float32)


def scored(*poses):
    return metrics.means(metrics.pose_errors(*poses))


def neighbours(true, members, valid=None):
    valid = np.ones(true.shape[:2], bool) if valid is None else valid
    batches = [(true[:7], valid[:7]), (true[7:], valid[7:])]
    return metrics.neighbour_pairs(iter(batches), members, 60.0)


def disagreement(predicted, true, pairs, valid=None):
    valid = np.ones(true.shape[:2], bool) if valid is None else valid
    return metrics.means(metrics.disagreement_errors(predicted, true, valid, pairs))


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
    moved = scored(true + np.float32(70), true, valid, root)
    assert moved["mpjpe_mm"] == pytest.approx(0, abs=1e-2)
    assert moved["absolute_mpjpe_mm"] == pytest.approx(70 * 3**0.5, rel=1e-3)
    turned = scored(1.3 * true @ turn.T, true, valid, root)
    assert turned["pa_mpjpe_mm"] == pytest.approx(0, abs=0.5)
    assert turned["mpjpe_mm"] > 100


def test_pck_and_auc_of_a_known_error():
    true = poses()
    wrong = true.copy()
    wrong[:, 1] += np.array([75, 0, 0], np.float32)
    wrong[:, 2] += np.array([0, 150, 0], np.float32)  # not strictly below the threshold
    root, valid = metrics.root_weights(NAMES), np.ones(true.shape[:2], bool)
    result = scored(wrong, true, valid, root)
    assert result["pck150"] == pytest.approx(100 * 5 / 6, abs=1)
    assert result["auc150"] == pytest.approx(100 * 4.5 / 6, abs=0.2)


def test_unlabelled_joints_do_not_count():
    true = poses()
    wrong, valid = true.copy(), np.ones(true.shape[:2], bool)
    wrong[:, 4] += 500
    valid[:, 4] = False
    result = scored(wrong, true, valid, metrics.root_weights(NAMES))
    assert result["mpjpe_mm"] == pytest.approx(0, abs=1e-2)
    assert result["pa_mpjpe_mm"] == pytest.approx(0, abs=0.5)


def test_sides_are_exchanged_where_the_other_names_fit_better():
    true = poses(4)
    predicted = true + np.float32(20)
    predicted[1] = predicted[1, [0, 2, 1, 4, 3, 5]]
    predicted[2, 3] += np.float32(900)  # far away, but not on the other side
    exchanged = metrics.are_sides_exchanged(predicted, true, NAMES)
    assert exchanged.tolist() == [False, True, False, False]


def two_formats(count=50):
    """Joints 0-2 of format a; 3-5 of format b, of which 3 and 4 stay near 0 and 1."""
    true = poses(count)
    true[:, 3] = true[:, 0] + np.array([0, 30, 0], np.float32)
    true[:, 4] = true[:, 1] + np.array([0, 0, 59], np.float32)
    true[:, 5] = true[:, 2] + np.array([61, 0, 0], np.float32)
    return true, {"a": (0, 1, 2), "b": (3, 4, 5)}


def test_neighbours_are_near_joints_of_different_formats():
    true, members = two_formats()
    assert neighbours(true, members).tolist() == [[0, 3], [1, 4]]


def test_disagreement_separates_depth_from_the_plane_and_ignores_common_errors():
    true, members = two_formats()
    pairs = neighbours(true, members)
    common = true + np.array([100, 100, 100], np.float32)
    assert disagreement(common, true, pairs) == pytest.approx(
        {"disagreement_depth_mm": 0, "disagreement_plane_mm": 0}, abs=1e-2
    )
    drifted = true.copy()
    drifted[:, 3] += np.array([3, 4, 40], np.float32)
    result = disagreement(drifted, true, pairs)
    assert result["disagreement_depth_mm"] == pytest.approx(20, rel=1e-3)
    assert result["disagreement_plane_mm"] == pytest.approx(2.5, rel=1e-3)


@pytest.mark.parametrize("unlabelled", [0.0, np.nan, 1e6])
@pytest.mark.parametrize("names", [NAMES, ("neck", *NAMES[1:5], "nose")])  # root: pelvis, hips
def test_poses_without_a_labelled_root_are_left_out_of_what_is_relative_to_it(names, unlabelled):
    """A perfect prediction has no error, whatever stands where the root is not labelled."""
    true, root = poses(), metrics.root_weights(names)
    valid = np.ones(true.shape[:2], bool)
    valid[::2, np.flatnonzero(root)[0]] = False
    stored = np.where(valid[..., None], true, np.float32(unlabelled))
    result = scored(true, stored, valid, root)
    for name in ("mpjpe_mm", "absolute_mpjpe_mm"):
        assert result[name] == pytest.approx(0, abs=1e-2)
    assert result["pa_mpjpe_mm"] == pytest.approx(0, abs=0.5)
    assert (result["pck150"], result["auc150"]) == pytest.approx((100, 100), abs=0.1)
    wrong = true.copy()
    wrong[::2, 4] += 300  # poses that count only where there is no root to be relative to
    counted = scored(wrong, stored, valid, root)
    assert counted["mpjpe_mm"] == pytest.approx(0, abs=1e-2)
    assert counted["absolute_mpjpe_mm"] == pytest.approx(300 * 3**0.5 * 10 / valid.sum(), rel=1e-3)


def test_a_root_that_is_the_mean_is_that_of_the_labelled_joints():
    true = poses()
    valid = np.ones(true.shape[:2], bool)
    valid[::2, 3], valid[0], valid[1] = False, False, False
    valid[1, 2] = True  # alone, it would always be right
    root = metrics.root_weights(["lwri", "rwri", "nose", "lank", "rank", "neck"])
    np.testing.assert_array_equal(metrics.has_root(valid, root), [False, False] + [True] * 18)
    stored = np.where(valid[..., None], true, np.float32(np.nan))
    moved = true + np.array([40, -70, 10], np.float32)
    assert scored(moved, stored, valid, root)["mpjpe_mm"] == pytest.approx(0, abs=1e-2)


def test_pa_mpjpe_needs_three_labelled_joints():
    true = poses()
    wrong = true + np.random.default_rng(1).normal(0, 200, true.shape).astype(np.float32)
    valid = np.ones(true.shape[:2], bool)
    valid[1:, 2:] = False
    root = metrics.root_weights(NAMES)
    few = scored(wrong, true, valid, root)
    first = scored(wrong[:1], true[:1], valid[:1], root)
    assert few["pa_mpjpe_mm"] == pytest.approx(first["pa_mpjpe_mm"]) and first["pa_mpjpe_mm"] > 20
    assert "pa_mpjpe_mm" not in scored(wrong[1:], true[1:], valid[1:], root)


def test_what_nothing_is_labelled_of_has_no_value():
    true, root = poses(), metrics.root_weights(NAMES)
    assert scored(true, true, np.zeros(true.shape[:2], bool), root) == {}
    valid = np.ones(true.shape[:2], bool)
    valid[:, 0] = False
    assert set(scored(true, true, valid, root)) == {"pa_mpjpe_mm", "absolute_mpjpe_mm"}


def test_pairs_that_no_pose_labels_together_are_no_neighbours():
    """Unlabelled joints are stored as zeros, which all lie together."""
    true, members = two_formats()
    valid = np.zeros(true.shape[:2], bool)
    valid[:25, :3], valid[25:, 3:] = True, True
    stored = np.where(valid[..., None], true, np.float32(0))
    assert neighbours(stored, members, valid).tolist() == []
    assert disagreement(stored, stored, np.zeros((0, 2), int), valid) == {}
    valid[:5] = True
    stored = np.where(valid[..., None], true, np.float32(np.nan))
    pairs = neighbours(stored, members, valid)
    assert pairs.tolist() == [[0, 3], [1, 4]]
    drifted = true.copy()
    drifted[5:, 3] += 1000  # no pose labels this joint and its neighbour
    drifted[:5, 3] += np.array([3, 4, 40], np.float32)
    result = disagreement(drifted, stored, pairs, valid)
    assert result["disagreement_depth_mm"] == pytest.approx(20, rel=1e-3)
    assert result["disagreement_plane_mm"] == pytest.approx(2.5, rel=1e-3)


def test_one_format_has_no_neighbours():
    true, members = two_formats()
    assert len(neighbours(true, {"a": members["a"]})) == 0
