"""Which poses are kept."""

import numpy as np
import pytest

from acae_jax.inference import plausibility

EDGES = ((0, 1), (1, 2))
BONES = (400.0, 450.0)


def pose(z=3000.0, joints=8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(joints, 3)) * 300 + [0, 0, z]


@pytest.mark.parametrize(
    ("length", "fits"), [(400, True), (30, False), (110, True), (1190, True), (1210, False)]
)
def test_bones(length, fits):
    """Too short is below a tenth and 300 mm less; too long above the triple and 300 mm more."""
    joints = np.array([[[0.0, 0, 0], [0, length, 0], [0, length, 450]]])
    assert plausibility.bones_fit(joints, EDGES, BONES).tolist() == [fits]
    assert plausibility.bones_fit(joints, EDGES, ()).tolist() == [True]


def test_a_short_bone_may_differ_by_less_than_300_mm():
    joints = np.array([[[0.0, 0, 0], [0, 250, 0]]])
    assert plausibility.bones_fit(joints, ((0, 1),), (50.0,)).tolist() == [True]


def test_variants_must_agree_in_more_than_a_quarter_of_the_joints():
    variants = np.stack([pose(), pose()])
    for wrong, agree in [(5, True), (6, False), (8, False)]:
        moved = variants.copy()
        moved[1, :wrong] += np.where(np.arange(wrong) % 2, 1, -1)[:, None] * [450.0, 0, 0]
        assert plausibility.variants_agree(moved[None]).tolist() == [agree], wrong
    # Another distance of the whole is no disagreement.
    assert plausibility.variants_agree(np.stack([pose(), pose() * 1.6])[None]).all()
    assert plausibility.variants_agree(pose()[None, None]).all()


def test_the_pose_must_cover_a_third_of_its_box():
    box = np.array([[100.0, 100, 50, 100]], np.float32)
    for height, kept in [(40, True), (28, False)]:
        joints = np.array([[[90.0, 90], [160, 100 + height]]])
        assert plausibility.fills_box(joints, box).tolist() == [kept]


def test_of_poses_that_coincide_the_best_is_kept():
    same, aside = pose() + 30, pose() + np.array([900, 0, 0])
    poses = np.stack([pose(), aside, same, pose() * 1.3])
    scores = np.array([0.5, 0.4, 0.9, 0.3])
    # The last is the first seen at another distance: the same after scaling.
    assert plausibility.suppress(poses, scores).tolist() == [2, 1]
    assert plausibility.suppress(poses[:0], scores[:0]).tolist() == []


def test_similarity_counts_the_farthest_quarter():
    one = pose()
    other = one.copy()
    other[0] += [150, 0, 0]
    other[1] += [0, 90, 0]
    (found,) = plausibility.similarity(one, other[None])
    np.testing.assert_allclose(found, 1 - (150 + 90) / 2 / 300, atol=0.01)
    other[2:] += 1000  # all of the farthest are beyond 300 mm now
    assert plausibility.similarity(one, other[None])[0] == 0


def test_no_more_than_150():
    poses = np.stack([pose() + np.array([1000 * i, 0, 0]) for i in range(160)])
    # Far to the side, scaling brings poses together: compared at a camera far away.
    poses = poses + np.array([0, 0, 1e6])
    assert len(plausibility.suppress(poses, np.arange(160.0))) == 150


def test_select_puts_the_rules_together():
    good = pose()
    lamp, broken = good + np.array([2000, 0, 0]), good + np.array([0, 0, 2000])
    broken[1] = broken[0] + [0, 1500, 0]
    poses = np.stack([good, lamp, broken])[:, None]
    pixels = np.tile([[100.0, 100], [200, 300]], (3, 4, 1))
    boxes = np.array([[100, 100, 100, 200, 0.5], [300, 0, 50, 50, 0.9], [100, 100, 100, 200, 0.8]])
    length = float(np.linalg.norm(good[0] - good[1]))
    found = plausibility.select(poses, pixels, boxes.astype(np.float32), ((0, 1),), (length,))
    assert found.tolist() == [0]
