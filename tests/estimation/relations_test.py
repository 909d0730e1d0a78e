"""Relations between formats: planted ones are found, and only sums to one are learned."""

import numpy as np

from acae_jax.datasets.synthetic import body
from acae_jax.estimation.reporting import relations, workflow
from acae_jax.skeletons import catalogue
from acae_jax.skeletons import union as unions


def planted(noise_mm=0.0):
    rng = np.random.default_rng(0)
    source = rng.normal(size=(200, 8, 3)) * 300 + rng.normal(size=(200, 1, 3)) * 2000
    weights = rng.normal(size=(5, 8)) * (rng.random((5, 8)) < 0.4)
    weights[:, 0] += 1 - weights.sum(axis=1)
    target = np.einsum("ts,nsc->ntc", weights, source)
    return source, target + rng.normal(size=target.shape) * noise_mm, weights


def test_finds_planted_weights():
    source, target, weights = planted()
    found = relations.fit(source, target, ridge=1e-10)
    np.testing.assert_allclose(found, weights, atol=1e-6)
    assert relations.errors_mm(found, source, target).max() < 1e-3


def test_weights_sum_to_one_whatever_the_poses_are():
    source, target, _ = planted(noise_mm=100)
    for ridge in (1e-8, 1e-2, 10.0):
        np.testing.assert_allclose(relations.fit(source, target, ridge).sum(axis=1), 1.0)


def test_commutes_with_moving_the_poses():
    source, target, _ = planted(noise_mm=20)
    offset = np.array([0, 500, 9000])
    moved = relations.fit(source + offset, target + offset)
    np.testing.assert_allclose(moved, relations.fit(source, target), atol=1e-8)


def test_table_has_every_ordered_pair():
    source, target, _ = planted()
    poses = np.concatenate([source, target], axis=1)
    members = {"a": range(8), "b": range(8, 13)}
    found = relations.table(poses[:150], poses[150:], members)
    assert set(found) == {("a", "b"), ("b", "a")}
    there, back = found["a", "b"], found["b", "a"]
    assert there.learned_mm.shape == (5,)
    assert there.learned_mm.max() < 0.05 and there.allowed.all()
    # Five points do not determine eight, whatever the weights are.
    assert back.learned_mm.max() > 10 and not back.allowed.all()
    assert (back.limit_mm <= back.learned_mm + 1).all()


def test_formats_of_the_body_predict_each_other_to_5_mm_where_it_allows_it():
    union = unions.of([catalogue.load(name) for name in body.FORMATS])
    found = workflow.body_relations(union)
    assert len(found) == 6 * 5
    for pair, relation in found.items():
        assert relation.learned_mm[relation.allowed].max(initial=0) < 5.0, pair
    # A third of all joints, two thirds between some rigs, but no surface point from COCO.
    assert sum(relation.allowed.sum() for relation in found.values()) > 280
    assert found["mixamo", "game_engine"].allowed.mean() > 0.6
    assert not found["coco_body", "markers"].allowed.any()
