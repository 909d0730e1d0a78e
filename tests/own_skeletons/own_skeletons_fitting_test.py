"""Learning a skeleton: planted weights, the constraints, what must not matter, and the errors."""

import numpy as np
import pytest

from acae_jax.geometry import rotations
from acae_jax.own_skeletons import fitting, summary
from acae_jax.own_skeletons.fitting import Examples
from acae_jax.skeletons import skeleton
from acae_jax.skeletons.skeleton import Skeleton

MODEL = (
    *(f"{side}{name}_a" for name in ("hip", "kne", "ank", "sho", "elb", "wri") for side in "lr"),
    "lear_a",
    "rear_a",
    *("pelv_a", "spin_a", "neck_a", "head_a"),
    *(f"{side}{name}_b" for name in ("hip", "kne", "ank", "sho", "elb", "wri") for side in "lr"),
)  # fmt: skip
NEW = Skeleton("mine", ("top", "lfoo", "rfoo", "belly", "lcla", "rcla"), ((1, 3), (2, 3), (0, 3)))
SIDES = fitting.mirrors(MODEL, NEW.joint_names)


def planted():
    """Weights that the constraints allow: sum one, sparse, mirror-symmetric, one negative."""
    index = {name: i for i, name in enumerate(MODEL)}
    weights = np.zeros((len(NEW.joint_names), len(MODEL)))
    weights[0, [index["head_a"], index["neck_a"]]] = 1.4, -0.4
    weights[1, [index["lank_a"], index["lank_b"], index["lkne_a"]]] = 0.8, 0.3, -0.1
    weights[3, [index["pelv_a"], index["lhip_b"], index["rhip_b"]]] = 0.6, 0.2, 0.2
    weights[4, [index["neck_a"], index["lsho_a"], index["rsho_a"]]] = 0.6, 0.5, -0.1
    for left, right in ((1, 2), (4, 5)):
        weights[right] = weights[left][SIDES.model]
    return weights


def poses(count, seed=0, spread_mm=150.0):
    """Loose bodies 4 m in front of the camera: joints of both formats near common places."""
    rng = np.random.default_rng(seed)
    base = {name: rng.normal(size=3) * 400 for name in {skeleton.base_name(n) for n in MODEL}}
    rest = np.stack([base[skeleton.base_name(name)] for name in MODEL])
    turns = rotations.nearest_rotation(rng.normal(size=(count, 3, 3)))
    shapes = rest + rng.normal(size=(count, *rest.shape)) * spread_mm
    return (
        np.einsum("nij,nkj->nki", turns, shapes)
        + rng.normal(size=(count, 1, 3)) * 300
        + [0, 0, 4000]
    )


def exact(count, seed=0):
    predicted = poses(count, seed)
    return Examples(predicted, planted() @ predicted, np.arange(count))


def noisy(count, seed=0, noise_mm=30.0):
    example = exact(count, seed)
    rng = np.random.default_rng(seed + 100)
    return example._replace(
        predicted_mm=example.predicted_mm + rng.normal(size=example.predicted_mm.shape) * noise_mm
    )


def test_planted_weights_are_recovered_from_exact_poses():
    fitted = fitting.fit(exact(20), SIDES)
    np.testing.assert_allclose(fitted.weights, planted(), atol=1e-4)
    assert np.nanmax(fitted.left_out_mm) < 0.1
    assert (fitted.weights != 0).sum() == (planted() != 0).sum()


def test_missing_joints_and_wrong_depths_cost_nothing():
    example = exact(25)
    annotated = example.annotated_mm.copy()
    rng = np.random.default_rng(1)
    annotated += rng.normal(size=(25, 1, 1)) * 500 * fitting.rays(example.predicted_mm)[:, None]
    annotated[rng.random(annotated.shape[:2]) < 0.3] = np.nan
    annotated[:, 2] = np.nan  # a right joint never; its mirror image tells
    weights = fitting.solve(example._replace(annotated_mm=annotated), SIDES, 0.1)
    np.testing.assert_allclose(weights, planted(), atol=2e-3)


def test_constraints_hold_under_noise():
    weights = fitting.solve(noisy(12), SIDES, 0.03)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-9)
    np.testing.assert_allclose(weights[SIDES.new][:, SIDES.model], weights, atol=1e-12)
    assert (weights != 0).mean() < 0.5
    assert np.abs(weights - planted()).max() < 0.5


def test_a_rotation_about_the_camera_changes_no_weight():
    example = noisy(12)
    turn = rotations.nearest_rotation(np.random.default_rng(3).normal(size=(3, 3)))
    turned = example._replace(
        predicted_mm=example.predicted_mm @ turn.T, annotated_mm=example.annotated_mm @ turn.T
    )
    np.testing.assert_allclose(
        fitting.solve(turned, SIDES, 0.03), fitting.solve(example, SIDES, 0.03), atol=1e-6
    )


def test_gross_errors_hardly_pull():
    example = noisy(30)
    wrong = example.annotated_mm.copy()
    wrong[4, 1] += 3000
    wrong[9, 3] -= [0, 2000, 0]
    clean = fitting.solve(example, SIDES, 0.03)
    pulled = fitting.solve(example._replace(annotated_mm=wrong), SIDES, 0.03)
    test = exact(200, seed=0)  # the same people
    errors = [
        np.linalg.norm(w @ test.predicted_mm - test.annotated_mm, axis=-1).mean()
        for w in (clean, pulled)
    ]
    assert errors[1] < errors[0] + 3


def test_the_objective_is_no_lower_anywhere_near():
    """The solution against the objective as the module states it, computed afresh."""
    example, locality = noisy(15), 0.3
    valid = np.ones(example.annotated_mm.shape[:2])

    def objective(weights):
        learned = weights @ example.predicted_mm
        target = example.annotated_mm
        for _ in range(50):  # the best move along the rays, by Weiszfeld's steps
            share = 1 / np.maximum(np.linalg.norm(learned - target, axis=-1), 1e-6) * valid
            ray = fitting.rays(example.predicted_mm)
            move = np.einsum("nkc,nc,nk->n", learned - target, ray, share) / share.sum(1)
            target = target + move[:, None, None] * ray[:, None]
        apart = np.linalg.norm(example.predicted_mm[:, None] - target[:, :, None], axis=-1).mean(0)
        price = (apart * np.abs(weights)).sum(1).mean()
        return np.linalg.norm(learned - target, axis=-1).mean() + locality * price

    found = fitting.solve(example, SIDES, locality)
    best = objective(found)
    rng = np.random.default_rng(5)
    for scale in (0.3, 0.1, 0.03):
        for _ in range(40):
            step = rng.normal(size=found.shape) * scale * (rng.random(found.shape) < 0.1)
            step -= step.mean(1, keepdims=True)
            step = (step + step[SIDES.new][:, SIDES.model]) / 2
            assert objective(found + step) > best - 0.02


def test_left_out_errors_are_those_of_leaving_out():
    example = noisy(8)
    fitted = fitting.fit(example, SIDES)
    for index in range(8):
        kept = np.arange(8) != index
        weights = fitting.solve(Examples(*(v[kept] for v in example)), SIDES, fitted.locality)
        learned = weights @ example.predicted_mm[index]
        ray = example.predicted_mm[index].mean(0)
        ray = ray / np.linalg.norm(ray)
        apart = learned - example.annotated_mm[index]
        apart = apart - (apart @ ray).mean() * ray
        np.testing.assert_allclose(
            fitted.left_out_mm[index], np.linalg.norm(apart, axis=1), atol=1e-6
        )


def test_views_of_a_moment_are_left_out_together():
    example = noisy(8)._replace(moment=np.repeat(range(4), 2))
    poses_mm = fitting.left_out_poses(example, SIDES, 0.1, 4)
    kept = Examples(*(values[2:] for values in example))
    learned = fitting.solve(kept, SIDES, 0.1) @ example.predicted_mm[:2]
    np.testing.assert_allclose(poses_mm[:2], learned, atol=1e-9)


def test_of_equal_combinations_the_nearest_is_chosen():
    """c is where a is, and midway between b and d, which are further off."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(10, 3)) * 200 + [0, 0, 4000]
    apart = rng.normal(size=(10, 3)) * 300
    predicted = np.stack([a, a + apart, a - apart], 1)
    sides = fitting.mirrors(("a", "b", "d"), ("c",))
    weights = fitting.solve(Examples(predicted, a[:, None], np.arange(10)), sides, 0.01)
    np.testing.assert_allclose(weights, [[1, 0, 0]], atol=1e-6)


def test_left_out_is_worse_than_learned_with_few_examples():
    example = noisy(6)
    fitted = fitting.fit(example, SIDES)
    inside = fitting.distances_mm(example, fitted.weights @ example.predicted_mm)
    assert np.nanmean(fitted.left_out_mm) > np.nanmean(inside)


def test_bones_are_annotated_ones_where_there_are_any():
    example = exact(5)
    annotated = example.annotated_mm.copy()
    annotated[:, 1] = np.nan
    lengths = fitting.bones_mm(example._replace(annotated_mm=annotated), planted(), NEW.edges)
    every = [
        [np.linalg.norm(pose[a] - pose[b]) for a, b in NEW.edges] for pose in example.annotated_mm
    ]
    np.testing.assert_allclose(lengths, np.mean(every, axis=0), rtol=1e-6)


def test_one_example_cannot_be_left_out():
    with pytest.raises(ValueError, match="at least 2"):
        fitting.fit(exact(1), SIDES)


@pytest.mark.parametrize("wrong_mm", [0, np.nan, -4000])
def test_predicted_poses_must_be_in_front_of_the_camera(wrong_mm):
    example = exact(6)
    predicted = example.predicted_mm.copy()
    predicted[2] = wrong_mm
    with pytest.raises(ValueError, match="finite and in front of the camera"):
        fitting.fit(example._replace(predicted_mm=predicted), SIDES)


def test_weights_that_nothing_determines_are_refused():
    example = exact(6)
    annotated = example.annotated_mm.copy()
    annotated[:, 3] = np.nan
    with pytest.raises(ValueError, match="do not determine all weights"):
        fitting.fit(example._replace(annotated_mm=annotated), SIDES)


@pytest.mark.parametrize(("left", "right"), [("LHip", "RHip"), ("hip_l", "hip_r")])
def test_however_sides_are_spelled_they_are_learned_alike(left, right):
    example = exact(10)
    example = example._replace(annotated_mm=example.annotated_mm[:, [3, 1, 2]])
    sides = fitting.mirrors(MODEL, ("Pelvis", left, right))
    weights = fitting.fit(example, sides).weights
    np.testing.assert_allclose(weights, planted()[[3, 1, 2]], atol=1e-4)


def test_the_report_says_what_joints_are_made_of():
    example = exact(12)
    fitted = fitting.fit(example, SIDES)
    text = summary.table(fitted, NEW, MODEL)
    assert "1.40 head_a − 0.40 neck_a" in text
    assert text.count("lfoo, rfoo") == 1
    assert summary.picture(example, fitted, NEW).startswith(b"\x89PNG")
