"""Adaptive sampling against the rules, written out one by one with loops."""

import numpy as np
import pytest

from acae_jax.datasets.steps import sampling
from acae_jax.datasets.steps.sampling import PLAIN, VALIDITY, Rule, buffered, sample

NAN = np.nan


def points(*rows):
    """Poses of joints on the x axis."""
    poses = np.zeros((len(rows), len(rows[0]), 3))
    poses[..., 0] = rows
    poses[np.isnan(poses[..., 0])] = NAN
    return poses


@pytest.mark.parametrize(
    "rule, rows, expected",
    [
        # One joint is enough, exactly the threshold too, and what counts is the last kept pose.
        (PLAIN, [(0, 0), (99, 0), (0, 100), (0, 0), (60, 60), (120, 60)], [1, 0, 1, 1, 0, 1]),
        # Without options, missing labels force keeping, also at the same place again and again.
        (PLAIN, [(0, 0), (0, NAN), (0, NAN), (0, 0), (0, 0)], [1, 1, 1, 1, 0]),
        # A first pose without labels is compared with, but not kept.
        (PLAIN, [(NAN, NAN), (0, 0), (0, 0)], [0, 1, 0]),
        # With the validity check a joint that appears is kept, one that vanishes not compared.
        (
            VALIDITY,
            [(0, 0), (0, NAN), (100, NAN), (100, 0), (100, 50), (NAN, NAN)],
            [1, 0, 1, 1, 0, 0],
        ),
        # Missing as unchanged: what is missing never decides …
        (
            sampling.COMMON,
            [(0, 0), (0, NAN), (100, NAN), (100, 99), (200, 100)],
            [1, 0, 1, 0, 1],
        ),
        # … even if the last kept pose lacks what has moved far, or …
        (sampling.COMMON, [(0, 0), (100, NAN), (100, 300), (200, 300)], [1, 1, 0, 1]),
        # … it is taken over from the pose before: the second joint is still known to be at 0.
        (buffered(1), [(0, 0), (100, NAN), (100, 99), (100, 100)], [1, 1, 0, 1]),
        (buffered(5), [(NAN, NAN), (NAN, 0), (NAN, 50), (0, 50)], [0, 1, 0, 1]),
        # Of two kept poses each counts, the third has been forgotten.
        (buffered(2), [(0,), (200,), (0,), (400,), (200,), (0,)], [1, 1, 0, 1, 0, 1]),
        (buffered(3), [(0,), (200,), (0,), (400,), (200,), (0,)], [1, 1, 0, 1, 0, 0]),
        (Rule(last=2), [(0,), (200,), (0,), (400,), (200,), (0,)], [1, 1, 0, 1, 0, 1]),
        # Different joints may set a pose apart from each kept one.
        (buffered(3), [(0, 0), (200, 0), (0, 200), (0, 199)], [1, 1, 1, 0]),
        (Rule(joints=2), [(0, 0, 0), (100, 0, 0), (100, 100, 0), (0, 0, 0)], [1, 0, 1, 1]),
        # Only those with a joint in common say something.
        (buffered(3), [(NAN, NAN), (0, 0), (300, 0), (0, 0)], [0, 1, 1, 0]),
    ],
)
def test_each_rule_on_a_sequence_made_for_it(rule, rows, expected):
    assert sample(rule, points(*rows)).tolist() == [bool(one) for one in expected]


def test_steps_do_not_change_what_they_get():
    poses = points((0, 0), (NAN, 100))
    kept, _ = sampling.step(buffered(2), None, poses[0])
    before = kept.copy()
    after, is_kept = sampling.step(buffered(2), kept, poses[1])
    assert is_kept and len(after) == 2
    np.testing.assert_array_equal(kept, before)
    np.testing.assert_array_equal(poses, points((0, 0), (NAN, 100)))


@pytest.mark.parametrize("last, checks, ignores", [(1, 0, 0), (1, 1, 0), (1, 0, 1), (7, 1, 1)])
def test_random_walks_with_gaps_are_sampled_as_by_the_rule_in_words(last, checks, ignores):
    random = np.random.default_rng(last + checks)
    walk = np.cumsum(random.normal(scale=25, size=(300, 4, 3)), 0)
    walk[random.random((300, 4)) < 0.1] = NAN
    rule = Rule(
        last=last,
        new_joints_count=bool(checks),
        missing_is_unchanged=bool(ignores),
        gaps_are_filled=bool(ignores),
    )
    expected = in_words(walk, last, checks, ignores)
    assert sample(rule, walk).tolist() == expected
    assert 20 < sum(expected) < 280


def in_words(walk, last, checks, ignores):
    buffer, result = [walk[0]], [not np.isnan(walk[0]).all()]
    for pose in walk[1:]:
        joints = [j for j in range(4) if not (checks and np.isnan(pose[j, 0]))]
        keep = checks and any(np.isnan(buffer[-1][j, 0]) for j in joints)
        nearest = []
        for other in buffer:
            away = [np.sqrt(((pose[j] - other[j]) ** 2).sum()) for j in joints]
            if ignores:
                away = [d for d in away if not np.isnan(d)]
                if away:
                    nearest.append(max(away))
            else:
                nearest.append(0 if all(d < 100 for d in away) else 100)
        keep = bool(keep or (nearest and min(nearest) >= 100))
        result.append(keep)
        if keep:
            pose = pose.copy()
            for j in range(4):
                if ignores and np.isnan(pose[j, 0]):
                    pose[j] = buffer[-1][j]
            buffer = [*buffer, pose][-last:]
    return result
