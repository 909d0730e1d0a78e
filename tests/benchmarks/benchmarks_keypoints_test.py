"""2D scores of people whose errors are known by construction."""

import numpy as np
import pytest

from acae_jax import metrics
from acae_jax.benchmarks import keypoints

PLACE = {name: index for index, name in enumerate(keypoints.JOINTS)}


def people(count=3, seed=0):
    points = np.random.default_rng(seed).uniform(0, 300, (count, len(PLACE), 2))
    points[:, PLACE["lsho"]], points[:, PLACE["rhip"]] = (100, 100), (130, 140)  # 50 px
    points[:, PLACE["rsho"]], points[:, PLACE["lhip"]] = (90, 100), (100, 120)
    return points


def score(errors):
    return metrics.means({"score": errors}).get("score")


def test_joints_of_any_vocabulary_come_in_the_order_of_coco():
    names = ("Hips", "LeftFoot", "LeftLeg", "RightFoot", "RightLeg", "LeftUpLeg", "RightUpLeg")
    values = np.arange(2 * 7 * 3, dtype=float).reshape(2, 7, 3)
    ordered = keypoints.in_order(values, names)
    assert ordered.shape == (2, 17, 3)
    for joint, place in (("lank", 1), ("lkne", 2), ("rank", 3), ("rhip", 6)):
        np.testing.assert_array_equal(ordered[:, PLACE[joint]], values[:, place])
    assert np.isnan(ordered[:, PLACE["nose"]]).all() and np.isnan(ordered[:, PLACE["lwri"]]).all()


def test_pck_counts_limbs_nearer_than_a_share_of_the_torso():
    true = people()
    predicted = true.copy()
    predicted[:, PLACE["lwri"], 0] += 9.9  # of 10 px
    predicted[:, PLACE["rwri"], 0] += 10.1
    predicted[:, PLACE["nose"], 0] += 99  # no limb
    assert score(keypoints.pck_torso(predicted, true, 0.2)) == pytest.approx(100 * 11 / 12)
    predicted[:, PLACE["rank"]] = np.nan
    assert score(keypoints.pck_torso(predicted, true, 0.2)) == pytest.approx(100 * 10 / 12)


def test_what_is_not_labelled_does_not_count_in_pck():
    true = people()
    predicted = true + 99
    true[0, PLACE["lank"]] = np.nan
    true[0, PLACE["lhip"]] = np.nan  # its other line across the torso remains
    true[1, PLACE["lsho"]] = true[1, PLACE["rsho"]] = np.nan  # no torso
    assert keypoints.pck_torso(predicted, true, 0.2).mask.sum(1).tolist() == [10, 0, 12]
    assert score(keypoints.pck_torso(true, true, 0.2)) == 100


def test_oks_is_one_at_the_truth_and_falls_by_the_rule_of_coco():
    true, area = people(), np.array([900.0, 1600.0, 400.0])
    assert score(keypoints.oks(true, true, area)) == 1
    true[:, 5:] = np.nan
    true[2] = np.nan
    predicted = people() + np.array([30, 0])
    values, counts = keypoints.oks(predicted, true, area)
    assert counts.tolist() == [True, True, False]
    sigmas = np.array([0.026, 0.025, 0.025, 0.035, 0.035])
    expected = np.exp(-(30**2) / (2 * 900 * (2 * sigmas) ** 2)).mean()
    assert values[0] == pytest.approx(expected)
    predicted[0, 0] = np.nan  # wrong
    expected -= np.exp(-(30**2) / (2 * 900 * (2 * sigmas[0]) ** 2)) / 5
    assert keypoints.oks(predicted, true, area).values[0] == pytest.approx(expected)


def test_every_true_box_gets_its_own_prediction():
    true = np.array([[0, 0, 10, 20], [8, 0, 10, 20], [100, 0, 10, 20.0]])
    boxes = np.array([[200, 0, 9, 9], [4, 0, 10, 20], [0, 0, 9, 20.0]])  # the second overlaps both
    assert keypoints.partners(boxes, true, 0.3).tolist() == [2, 1, -1]
    assert keypoints.partners(boxes, true, 0.5).tolist() == [2, -1, -1]
    assert keypoints.partners(boxes[:0], true, 0.3).tolist() == [-1, -1, -1]
    assert keypoints.partners(boxes, true[:0], 0.3).tolist() == []
