"""What the head of stage 3 begins with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from acae_jax.estimation import consistency
from acae_jax.estimation.model import autoencoder, network, objective
from acae_jax.geometry import heatmaps

FEATURES, BINS = 6, 3


def random_maps(joints, latents):
    rng = np.random.default_rng(0)
    encode, decode = rng.normal(0.3, 1, (latents, joints)), rng.normal(0.3, 1, (joints, latents))
    return autoencoder.Matrices(
        *(np.float32(m / m.sum(axis=1, keepdims=True)) for m in (encode, decode))
    )


def logits(variables, points, features):
    head = network.Head(points, BINS, jnp.float32)
    return head.apply({"params": variables["params"]["head"]}, features)


@pytest.mark.parametrize(("joints", "latents"), [(17, 5), (17, 48)])
@pytest.mark.parametrize("name", ["separate", "regularised", "latent", "hybrid"])
def test_at_first_each_point_has_the_combined_logits_of_its_joints(name, joints, latents):
    """Also with more latent points than joints: none of them is a joint."""
    maps = random_maps(joints, latents)
    variant = objective.separate(joints) if name == "separate" else getattr(objective, name)(maps)
    features = jax.random.normal(jax.random.key(1), (2, 4, 4, FEATURES))
    head = network.Head(joints, BINS, jnp.float32).init(jax.random.key(2), features)["params"]
    head = {**head, "bias": jax.random.normal(jax.random.key(3), head["bias"].shape)}
    initial = {"params": {"head": head, "backbone": {}}, "batch_stats": {"mean": 1.0}}

    begun = consistency.start(initial, variant.of_joints, BINS)

    assert begun["batch_stats"] == {"mean": 1.0}
    of_joints = {
        "latent": maps.encode,
        "hybrid": np.concatenate([np.eye(joints), maps.encode]),
    }.get(name, np.eye(joints))
    for before, after in zip(
        logits(initial, joints, features), logits(begun, variant.points, features), strict=True
    ):
        assert after.shape[-1] == variant.points
        np.testing.assert_allclose(after, before @ of_joints.T, rtol=2e-4, atol=2e-5)


def test_heat_maps_of_one_width_combine_to_the_combined_mean():
    """What makes channels that are combined a start for points that are combined."""
    cells = np.linspace(0, 1, 400)
    means, weights = np.array([0.45, 0.5, 0.6]), np.array([1.5, -0.9, 0.4])
    joint_logits = -((cells[:, None] - means) ** 2) / (2 * 0.05**2)
    for values, mean in ((joint_logits, means), (joint_logits @ weights[:, None], weights @ means)):
        (along,) = heatmaps.marginals(values, (0,))
        np.testing.assert_allclose(heatmaps.expectation([along])[..., 0], mean, atol=1e-6)


def test_a_head_of_other_joints_or_depths_is_one_line():
    initial = {"params": {"head": {"bias": jnp.zeros(17 * (1 + BINS))}}}
    for joints, bins in ((17, BINS + 1), (16, BINS)):
        with pytest.raises(ValueError, match="must be those of stage 1") as caught:
            consistency.start(initial, np.eye(joints, dtype=np.float32), bins)
        assert "\n" not in str(caught.value)
