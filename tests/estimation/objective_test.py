"""The pose loss and the variants built on it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax import losses
from acae_jax.estimation.model import autoencoder, network, objective
from acae_jax.geometry import heatmaps
from acae_jax.skeletons import union as unions

NAMES = ("lhip_a", "rhip_a", "neck_a", "lhip_b", "rhip_b", "neck_b")
LABELS = ("lhip", "rhip", "nose")
GEOMETRY = network.Geometry(side_px=128, stride=16)
LATENTS = autoencoder.Latents(1, 1)


def example_batch(seed=0):
    """Two 3D-labelled examples and two with 2D labels; also their true points."""
    keys = jax.random.split(jax.random.key(seed), 2)
    intrinsics = jnp.array([[400.0, 0, 63.5], [0, 400.0, 63.5], [0, 0, 1]])
    intrinsics = jnp.broadcast_to(intrinsics, (4, 3, 3))
    true_mm = jax.random.uniform(keys[0], (4, 6, 3), minval=-400, maxval=400)
    true_mm += jnp.array([[[0.0, 0.0, 3500.0]]])
    px = losses.project_px(true_mm, intrinsics)
    groups = unions.label_groups(NAMES, LABELS)
    is_3d = jnp.array([True, True, False, False])
    batch = {
        "intrinsics": intrinsics,
        "joints_mm": jnp.where(is_3d[:, None, None], true_mm, 0.0),
        "valid": jnp.broadcast_to(is_3d[:, None], (4, 6)),
        "labels_px": jnp.einsum("kj,bjc->bkc", groups, px),
        "labels_valid": jnp.broadcast_to(~is_3d[:, None], (4, 3)),
    }
    return batch, network.Points(px, true_mm), true_mm, groups


def price(points, joints_mm, batch, groups, step=10_000, **weights):
    terms = objective.pose_loss(
        points,
        joints_mm,
        batch,
        groups,
        jnp.asarray(step),
        GEOMETRY,
        objective.LossWeights(**weights),
    )
    return {name: float(value) for name, value in terms.items()}


def test_the_truth_costs_nothing():
    batch, points, true_mm, groups = example_batch()
    terms = price(points, true_mm, batch, groups)
    assert max(terms.values()) < 1e-2  # the 2D label of averaged joints is not exactly their mean
    assert terms["relative"] == terms["projected"] == terms["absolute"] == 0


def test_each_term_sees_its_own_error_only():
    batch, points, true_mm, groups = example_batch()
    free = price(points, true_mm, batch, groups)
    farther = true_mm + jnp.array([[[0.0, 0.0, 200.0]]])
    assert price(points, farther, batch, groups)["relative"] < 1e-6
    assert price(points, farther, batch, groups)["absolute"] > 1e-3
    bent = true_mm.at[:, 0].add(200.0)
    assert price(points, bent, batch, groups)["relative"] > 0.01
    moved = network.Points(points.px.at[:2].add(5.0), points.relative_mm)
    terms = price(moved, true_mm, batch, groups)
    np.testing.assert_allclose(terms["projected"], 5 * 2.2 / 128, rtol=1e-3)
    assert terms["labels_2d"] == free["labels_2d"]
    moved = network.Points(points.px.at[2:].add(5.0), points.relative_mm)
    terms = price(moved, true_mm, batch, groups)
    assert terms["projected"] == 0
    assert terms["labels_2d"] > free["labels_2d"] + 0.2 * 0.5 * 4 * 2.2 / 128


def test_each_dataset_has_an_error_of_its_own():
    batch, points, true_mm, groups = example_batch()
    batch["dataset"] = jnp.array([0, 1, 2, 2])
    bent = true_mm.at[1, 0].add(jnp.array([600.0, 0.0, 0.0]))  # of one joint in six
    moved = network.Points(points.px.at[3].add(8.0), points.relative_mm)
    names = ("exact", "bent", "2d", "absent")
    found = objective.dataset_losses(moved, bent, batch, groups, GEOMETRY, names)
    assert list(found) == [f"dataset/{name}" for name in names]
    # Minus its mean the pose is 500 mm off at one joint and 100 mm at five, in one axis of three.
    np.testing.assert_allclose(found["dataset/bent"], (0.5 + 5 * 0.1) / 6 / 3, rtol=1e-4)
    np.testing.assert_allclose(found["dataset/2d"], (0 + 8.0) / 2 * 2.2 / 128, rtol=1e-3)
    assert found["dataset/exact"] == found["dataset/absent"] == 0


def test_heatmaps_cost_least_at_the_truth_wherever_the_volume_stands():
    batch, points, true_mm, _ = example_batch()
    at = heatmaps.px_to_heatmap(points.px, GEOMETRY.side_px, GEOMETRY.stride, GEOMETRY.centred)

    def cost(px01, mm):
        box01 = heatmaps.mm_to_volume(mm, GEOMETRY.side_px, GEOMETRY.stride, GEOMETRY.box_mm)
        image = [heatmaps.shares(px01[..., axis], 8) for axis in range(2)]
        box = [heatmaps.shares(box01[..., axis], cells) for axis, cells in enumerate((8, 8, 9))]
        output = network.Output(network.Points(points.px, mm), image, box)
        return float(objective.heatmap_cost(output, batch, GEOMETRY))

    true = true_mm - true_mm.mean(axis=1, keepdims=True) + GEOMETRY.box_mm / 2
    assert cost(at, true) < cost(at, true.at[:2, 0, 2].add(700.0))
    assert cost(at, true) < cost(at.at[:2, 0, 1].add(0.4), true)
    # What the box covers is known to a translation only; shares stay exact at whole cells.
    moved = true + jnp.array([[[0.0, 0.0, GEOMETRY.box_mm / 8]]])
    np.testing.assert_allclose(cost(at, moved), cost(at, true), rtol=1e-3)


def test_unlabelled_and_unnamed_joints_cost_nothing():
    batch, points, true_mm, groups = example_batch()
    free = price(points, true_mm, batch, groups)
    batch["valid"] = batch["valid"].at[:, 1].set(False)
    spoiled = true_mm.at[:2, 1].set(9e5)
    terms = price(points, spoiled, batch, groups)
    assert terms["relative"] < 1e-5 and terms["absolute"] < 1e-5
    # No joint is called nose: whatever is labelled there teaches nothing.
    batch["labels_px"] = batch["labels_px"].at[:, 2].set(-500.0)
    assert price(points, true_mm, batch, groups)["labels_2d"] == free["labels_2d"]


def test_what_lies_out_of_view_costs_nothing_in_the_image():
    """Neither 2D labels that a soft-argmax cannot reach nor points that it puts at the border."""
    batch, points, true_mm, groups = example_batch()
    free = price(points, true_mm, batch, groups)
    border_px = 0.75 * GEOMETRY.stride
    for beyond in (-40.0, border_px - 1.0, GEOMETRY.side_px - border_px, 400.0):
        labels = {**batch, "labels_px": batch["labels_px"].at[2:, 0].set(beyond)}
        others = {**batch, "labels_valid": batch["labels_valid"].at[:, 0].set(False)}
        terms, expected = (price(points, true_mm, b, groups) for b in (labels, others))
        assert terms["labels_2d"] == expected["labels_2d"] < 0.01
    inside = {**batch, "labels_px": batch["labels_px"].at[2:, 0].set(border_px + 1.0)}
    assert price(points, true_mm, inside, groups)["labels_2d"] > 0.02
    escaped = network.Points(points.px.at[:2, 0, 1].set(border_px - 1.0), points.relative_mm)
    assert price(escaped, true_mm, batch, groups)["projected"] == free["projected"] == 0
    caught = network.Points(points.px.at[:2, 0, 1].set(border_px + 1.0), points.relative_mm)
    assert price(caught, true_mm, batch, groups)["projected"] > 0.01


def test_true_joints_far_out_of_the_crop_push_what_is_predicted_within():
    """The published border is 20 strides, not 20 pixels."""
    batch, points, true_mm, groups = example_batch()
    for strides, counts in ((-1.5, True), (-19, True), (-21, False)):
        x_mm = (strides * GEOMETRY.stride - 63.5) / 400.0 * 3500.0
        true = batch["joints_mm"].at[0, 0].set(jnp.array([x_mm, 0.0, 3500.0]))
        moved = {**batch, "joints_mm": true}
        cost = price(points, true_mm, moved, groups)["projected"]
        assert (cost > 0.01) == counts, strides


def test_the_absolute_term_starts_late():
    batch, points, true_mm, groups = example_batch()
    early = price(points, true_mm + 100, batch, groups, step=4, absolute_from=5)
    late = price(points, true_mm + 100, batch, groups, step=5, absolute_from=5)
    assert early["absolute"] == 0
    np.testing.assert_allclose(late["absolute"], 0.1 * 0.1, rtol=1e-3)


@pytest.fixture(scope="module")
def maps():
    sides = autoencoder.sides_of(NAMES)
    return autoencoder.matrices(autoencoder.init(jax.random.key(2), sides, LATENTS), sides)


def total(variant, points, batch, groups):
    """Cost of head points, where locating is simply taking the relative position."""

    def judge(joints):
        terms = objective.pose_loss(
            joints,
            joints.relative_mm,
            batch,
            groups,
            jnp.array(0),
            GEOMETRY,
            objective.LossWeights(),
        )
        return joints.relative_mm, terms

    return variant.cost(points, judge, batch, jnp.array(0), objective.LossWeights())


def test_regularisation_prices_what_the_autoencoder_changes(maps):
    batch, points, true_mm, groups = example_batch()
    plain = total(objective.separate(6), points, batch, groups)
    terms = total(objective.regularised(maps), points, batch, groups)
    again = autoencoder.reconstruct(maps, true_mm)
    error = jnp.abs(again - true_mm)
    expected = (jnp.mean(error[:2]) + 0.2 * jnp.mean(error[2:])) / 1000
    np.testing.assert_allclose(terms.pop("consistency"), expected, rtol=1e-5)
    assert terms.keys() == plain.keys()


def test_latent_points_are_decoded_before_anything_is_priced(maps):
    batch, points, _, groups = example_batch()
    variant = objective.latent(maps)
    latents = network.Points(*(autoencoder.combine(maps.encode, value) for value in points))
    assert variant.points == latents.px.shape[1] == LATENTS.total
    decoded = variant.joints(latents)
    expected = total(objective.separate(6), decoded, batch, groups)
    found = total(variant, latents, batch, groups)
    assert {k: float(v) for k, v in found.items()} == {k: float(v) for k, v in expected.items()}


def test_the_student_learns_from_the_teacher_and_not_the_other_way(maps):
    batch, points, _, _ = example_batch()
    variant = objective.hybrid(maps)
    latents = network.Points(*(autoencoder.combine(maps.encode, value) + 7 for value in points))
    both = network.Points(
        *(jnp.concatenate(pair, axis=1) for pair in zip(points, latents, strict=True))
    )
    assert variant.points == both.px.shape[1]

    def taught(px, relative):
        weights = objective.LossWeights(teacher_from=0)

        def judge(joints):
            return joints.relative_mm, {"none": jnp.zeros(())}

        terms = variant.cost(network.Points(px, relative), judge, batch, jnp.array(0), weights)
        return terms["teacher"]

    gradient = jax.grad(taught, argnums=1)(*both)
    assert not jnp.any(gradient[:, :6])
    assert jnp.any(gradient[:, 6:])
