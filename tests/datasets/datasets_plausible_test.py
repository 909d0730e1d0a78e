"""Bones of impossible length, by both rules, at their limits."""

import numpy as np
import pytest

from acae_jax.datasets.steps import plausible

BONES = [(0, 1), (1, 2)]


def chain(first_mm, second_mm):
    return np.array([[0.0, 0, 0], [first_mm, 0, 0], [first_mm, second_mm, 0]])


@pytest.mark.parametrize(
    "rule, mean_mm, length_mm, bad",
    [
        (plausible.MERGE, 100, 299, False),
        (plausible.MERGE, 100, 301, True),
        (plausible.MERGE, 60, 209, False),  # 3.5 times as long, but by less than 150 mm
        (plausible.MERGE, 60, 211, True),
        (plausible.MERGE, 400, 41, False),
        (plausible.MERGE, 400, 39, True),
        (plausible.MERGE, 160, 11, False),  # too short, but by less than 150 mm
        (plausible.MERGE, 160, 9, True),
        (plausible.UMPM, 400, 499, False),
        (plausible.UMPM, 400, 501, True),
        (plausible.UMPM, 200, 279, False),
        (plausible.UMPM, 400, 199, True),
    ],
)
def test_limits_in_proportion_and_in_mm(rule, mean_mm, length_mm, bad):
    mean = np.array([500.0, mean_mm])
    pose = chain(500.0, length_mm)
    assert plausible.implausible_bones(pose, BONES, mean, rule).tolist() == [False, bad]


def test_mean_lengths_are_of_the_labelled_bones():
    poses = np.stack([chain(400.0, 300.0), chain(500.0, 100.0), chain(900.0, 0.0)])
    poses[2, 1] = np.nan
    np.testing.assert_allclose(plausible.mean_lengths_mm(poses, BONES), [450, 200])
    poses[:, 2] = np.nan
    np.testing.assert_array_equal(plausible.mean_lengths_mm(poses, BONES), [450, np.nan])
    # Neither a missing joint nor a missing mean makes a bone implausible.
    mean = plausible.mean_lengths_mm(poses, BONES)
    assert not plausible.implausible_bones(poses, BONES, mean).any()


def test_only_the_ends_of_an_implausible_bone_lose_their_labels():
    poses = np.stack([chain(400.0, 300.0), chain(400.0, 900.0)])
    result = plausible.without_implausible(poses, BONES, np.array([400.0, 300.0]))
    np.testing.assert_array_equal(result[0], poses[0])
    np.testing.assert_array_equal(np.isnan(result[1]).all(-1), [False, True, True])
    assert not np.isnan(poses).any()


def test_joints_in_the_box_are_counted():
    points = np.array([[10.0, 20], [110, 220], [111, 100], [50, 19], [np.nan, np.nan]])
    box = np.array([10.0, 20, 100, 200])
    assert plausible.joints_in_box(points, box) == 2
    assert plausible.joints_in_box(points, box - 1000) == 0
