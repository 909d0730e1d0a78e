"""People listed in a different order in each frame keep their numbers, and are sampled apart."""

import numpy as np

from acae_jax.datasets.steps import sampling, tracks

RANDOM = np.random.default_rng(0)
JOINTS = RANDOM.normal(scale=300, size=(19, 3))
STARTS = np.array([[0.0, 0, 0], [2000, 0, 0], [0, 0, 3000]])


def test_shuffled_people_keep_their_numbers_and_are_sampled_as_if_alone():
    speeds_mm = np.array([0.0, 30.0, 90.0])
    walks = STARTS[None] + np.arange(20)[:, None, None] * speeds_mm[:, None] * [1.0, 0, 0]
    poses = walks[:, :, None] + JOINTS
    poses[RANDOM.random(poses.shape[:3]) < 0.2] = np.nan
    state, numbers, kept = (), np.zeros((20, 3), int), np.zeros((20, 3), bool)
    for frame in range(20):
        order = RANDOM.permutation(3)
        state, people = tracks.step(tracks.PANOPTIC, state, poses[frame, order])
        numbers[frame, order], kept[frame, order] = people
    assert (numbers == numbers[0]).all()
    assert sorted(numbers[0]) == [0, 1, 2]
    for person in range(3):
        alone = sampling.sample(tracks.PANOPTIC, poses[:, person])
        assert kept[:, person].tolist() == alone.tolist()
    assert kept.sum(0).tolist() == [1, 5, 10]


def test_the_sum_of_distances_decides_not_the_nearest_pair():
    before, now = (
        np.stack([JOINTS + np.array([x, 0, 0]) for x in xs]) for xs in ((0, 1000), (900, 3000))
    )
    state, _ = tracks.step(tracks.PANOPTIC, (), before)
    _, people = tracks.step(tracks.PANOPTIC, state, now)
    assert people.numbers.tolist() == [0, 1]  # 900 + 2000 < 100 + 3000


def test_two_moved_joints_do_not_count_three_do():
    state, first = tracks.step(tracks.PANOPTIC, (), JOINTS[None])
    assert first.is_kept.all()
    for count, expected in ((2, False), (3, True)):
        pose = JOINTS.copy()
        pose[:count, 1] += 100.1
        assert tracks.step(tracks.PANOPTIC, state, pose[None])[1].is_kept.tolist() == [expected]


def test_people_come_and_go():
    state, people = tracks.step(tracks.PANOPTIC, (), np.zeros((0, 19, 3)))
    assert people.numbers.shape == (0,) and state == ()
    state, _ = tracks.step(tracks.PANOPTIC, state, JOINTS[None])
    state, people = tracks.step(tracks.PANOPTIC, state, np.stack([JOINTS + 5000, JOINTS + 1]))
    assert people.numbers.tolist() == [1, 0] and people.is_kept.tolist() == [True, False]
    state, _ = tracks.step(tracks.PANOPTIC, state, np.zeros((0, 19, 3)))
    state, people = tracks.step(tracks.PANOPTIC, state, JOINTS[None] + 5000)
    assert people.numbers.tolist() == [1] and not people.is_kept.any()


def test_without_a_joint_in_common_a_person_is_new():
    left, right = JOINTS.copy(), JOINTS.copy()
    left[10:], right[:10] = np.nan, np.nan
    state, _ = tracks.step(tracks.PANOPTIC, (), left[None])
    _, people = tracks.step(tracks.PANOPTIC, state, right[None])
    assert people.numbers.tolist() == [1]
