"""Who is taken for whom, from one frame of a video to the next."""

import numpy as np

from acae_jax.inference import following


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 5)


def test_the_best_box_is_the_known_persons_and_the_others_are_new():
    known = boxes([100, 100, 40, 80, 0.5], [300, 100, 40, 80, 0.6])
    detected = boxes([110, 100, 40, 80, 0.7], [102, 100, 40, 80, 0.8], [200, 100, 40, 80, 0.9])
    new, scores = following.parted(detected, known)
    np.testing.assert_array_equal(new, detected[[0, 2]])
    np.testing.assert_allclose(scores, [0.8, 0.6])  # the second was not detected
    np.testing.assert_allclose(known[:, 4], [0.5, 0.6])
    new, scores = following.parted(detected[:0], known)
    assert new.shape == (0, 5) and scores.tolist() == known[:, 4].tolist()
    new, scores = following.parted(detected, known[:0])
    np.testing.assert_array_equal(new, detected)


def test_boxes_are_around_the_poses_and_end_at_the_edges():
    poses_px = np.array([[[10.0, 20], [30, 60]], [[90, 10], [200, 30]], [[-50, 5], [-20, 9]]])
    around = following.around(poses_px, np.array([0.9, 0.8, 0.7], np.float32), 50, 100)
    np.testing.assert_allclose(around[0], [10, 20, 20, 29.5, 0.9])
    np.testing.assert_allclose(around[1], [90, 10, 9.5, 20, 0.8])
    assert around[2, 2] * around[2, 3] == 0 and around.dtype == np.float32


def test_only_people_with_regions_can_be_followed():
    regions_mm = np.ones((3, 2, 3))
    regions_mm[1] = np.nan
    people = following.Followed(boxes(*[[0, 0, 9, 9, 0.1 * n] for n in range(3)]), regions_mm)
    np.testing.assert_allclose(following.sure_ones(people).boxes[:, 4], [0, 0.2])
    assert following.is_sure(np.array([20.0, 150.0, np.nan])).tolist() == [True, False, False]


def test_a_region_goes_half_of_the_way():
    steadied = following.steadied(np.zeros((1, 2, 3)), np.full((1, 4, 2, 3), 10.0))
    np.testing.assert_array_equal(steadied, np.full((1, 4, 2, 3), 5.0))
