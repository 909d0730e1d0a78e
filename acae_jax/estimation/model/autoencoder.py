"""The affine-combining autoencoder (ACAE): from the J joints of all formats to L latent points, and
back.

    q_l = Σ_j E[l, j] p_j        p̂_j = Σ_l D[j, l] q_l        Σ_j E[l, j] = Σ_l D[j, l] = 1

(Sárándi, Hermans, Leibe 2023, section 3.2). Rows sum to one, so both maps commute with every affine
map of space. Weights may be negative. The maps are mirror-symmetric: swapping left and right joints
swaps left and right latent points. To this end, each map consists of blocks (inputs × outputs),
both ordered by side (left, right, centre):

    [[same, cross, outer], [cross, same, outer], [inner, inner, centre]]

Poses are stored as (N, 3, J), so that both maps are plain matrix products over the last axis.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from acae_jax.skeletons import skeleton

Blocks = dict[str, Array]
Params = dict[str, Blocks]
NEAR_MM = 100.0


class Sides(NamedTuple):
    """Joint indices by side; left[i] and right[i] are each other's mirror image."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    centre: tuple[int, ...]

    @property
    def order(self) -> np.ndarray:
        """The permutation that brings joints into the order left, right, centre."""
        return np.array(self.left + self.right + self.centre, np.int32)


class Latents(NamedTuple):
    """The number of latent points: `sided` on each side, and `central` ones."""

    sided: int
    central: int

    @property
    def total(self) -> int:
        """The number of all latent points."""
        return 2 * self.sided + self.central


class Matrices(NamedTuple):
    """The learned maps: latents = encode @ joints, joints = decode @ latents; rows sum to 1."""

    encode: Float[Array | np.ndarray, "l j"]
    decode: Float[Array | np.ndarray, "j l"]


def sides_of(joint_names: Sequence[str]) -> Sides:
    """Split joints by side; a joint without a mirror image is central."""
    mirror = skeleton.mirror_map(joint_names)
    left = tuple(i for i, side in enumerate(skeleton.sides(joint_names)) if side == "l")
    centre = tuple(i for i, other in enumerate(mirror) if other == i)
    return Sides(left, tuple(int(mirror[i]) for i in left), centre)


def latent_mirror(latents: Latents) -> np.ndarray:
    """The permutation of the latent points (left, right, centre) under mirroring."""
    k, total = latents.sided, latents.total
    return np.concatenate([np.arange(k, 2 * k), np.arange(k), np.arange(2 * k, total)])


def _init_blocks(key: jax.Array, inputs: tuple[int, int], outputs: tuple[int, int]) -> Blocks:
    """Raw weights of one map; inputs and outputs are (points on each side, central points)."""
    shapes = {
        "same": (inputs[0], outputs[0]),
        "cross": (inputs[0], outputs[0]),
        "outer": (inputs[0], outputs[1]),
        "inner": (inputs[1], outputs[0]),
        "centre": (inputs[1], outputs[1]),
    }
    keys = jax.random.split(key, len(shapes))
    return {
        name: jax.random.uniform(k, shape, minval=-0.1, maxval=1.0)
        for k, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def init(key: jax.Array, sides: Sides, latents: Latents) -> Params:
    """Raw block weights of encoder and decoder, uniform in (-0.1, 1)."""
    encode_key, decode_key = jax.random.split(key)
    joints = (len(sides.left), len(sides.centre))
    points = (latents.sided, latents.central)
    return {
        "encode": _init_blocks(encode_key, joints, points),
        "decode": _init_blocks(decode_key, points, joints),
    }


def _weights(blocks: Blocks) -> Float[Array, "i o"]:
    """The full (inputs × outputs) matrix of one map, each column summing to 1."""
    same, cross, outer = blocks["same"], blocks["cross"], blocks["outer"]
    inner, centre = blocks["inner"], blocks["centre"]
    raw = jnp.concatenate(
        [
            jnp.concatenate([same, cross, outer], axis=1),
            jnp.concatenate([cross, same, outer], axis=1),
            jnp.concatenate([inner, inner, centre], axis=1),
        ],
        axis=0,
    )
    return raw / jnp.sum(raw, axis=0, keepdims=True)


def ordered_weights(params: Params) -> tuple[Float[Array, "j l"], Float[Array, "l j"]]:
    """Both maps, for joints ordered by side: latents = p @ encode, p̂ = latents @ decode."""
    return _weights(params["encode"]), _weights(params["decode"])


def matrices(params: Params, sides: Sides) -> Matrices:
    """The maps for joints in their original order."""
    encode, decode = ordered_weights(params)
    back = np.argsort(sides.order)
    return Matrices(encode=encode.T[:, back], decode=decode.T[back])


def combine(
    matrix: Float[Array | np.ndarray, "o i"], points: Float[Array, "*b i c"]
) -> Float[Array, "*b o c"]:
    """Combine points by the rows of a matrix, in full float32 precision on every device."""
    return jnp.einsum("oi,...ic->...oc", matrix, points, precision="highest")


def to_latents(maps: Matrices, joints_mm: Float[Array, "*b j 3"]) -> Float[Array, "*b l 3"]:
    """The latent points of poses."""
    return combine(maps.encode, joints_mm)


def to_joints(maps: Matrices, latents_mm: Float[Array, "*b l 3"]) -> Float[Array, "*b j 3"]:
    """The joints of every format, from latent points."""
    return combine(maps.decode, latents_mm)


def reconstruct(maps: Matrices, joints_mm: Float[Array, "*b j 3"]) -> Float[Array, "*b j 3"]:
    """Encode poses to latent points and decode them again."""
    return to_joints(maps, to_latents(maps, joints_mm))


def _projected(
    poses_mm: Float[Array, "b 3 j"], scale: Float[Array, "b 1"]
) -> tuple[Float[Array, "b j"], Float[Array, "b j"]]:
    """The projections of poses, x and y, in metres on a plane at the person's mean depth.

    With both in one array, the compiled scan is a seventh slower; with two divisions, a third.
    """
    factor = scale / 1000.0 / jnp.maximum(poses_mm[:, 2], NEAR_MM)
    return poses_mm[:, 0] * factor, poses_mm[:, 1] * factor


def loss(
    params: Params,
    poses_mm: Float[Array, "b 3 j"],
    sparsity: float | Float[Array, ""],
    projected: bool,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Reconstruction error in metres plus `sparsity` times the mean absolute weight.

    Joints are ordered by side. With `projected`, the error is that of the projections, because the
    depth of pseudo labels is noisy.
    """
    encode, decode = ordered_weights(params)
    # On CPUs, XLA multiplies one large matrix a quarter faster than a batch of matrices.
    flat = poses_mm.reshape(-1, poses_mm.shape[-1])
    again = ((flat @ encode) @ decode).reshape(poses_mm.shape)
    if projected:
        scale = jnp.mean(poses_mm[:, 2], axis=-1, keepdims=True)
        planes = zip(_projected(poses_mm, scale), _projected(again, scale), strict=True)
        error = sum((jnp.mean(jnp.abs(a - b)) for a, b in planes), start=jnp.zeros(())) / 2
    else:
        error = jnp.mean(jnp.abs(poses_mm - again)) / 1000.0
    weight = jnp.mean(jnp.abs(encode)) + jnp.mean(jnp.abs(decode))
    total = error + sparsity * weight
    return total, {"loss": total, "reconstruction": error, "weight": weight}


class State(NamedTuple):
    """Weights and optimiser state."""

    params: Params
    opt_state: optax.OptState


@partial(jax.jit, static_argnames=("optimizer", "batch_size", "projected"), donate_argnums=(0,))
def train_epoch(
    state: State,
    poses_mm: Float[Array, "n 3 j"],
    key: jax.Array,
    sparsity: float | Float[Array, ""],
    *,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    projected: bool,
) -> tuple[State, dict[str, Float[Array, ""]]]:
    """One epoch in one compiled scan: every pose once, in an order drawn from `key`, without the
    last batch if it is not full.
    """
    steps = len(poses_mm) // batch_size
    order = jax.random.permutation(key, len(poses_mm))[: steps * batch_size]

    def step(state: State, rows: Int[Array, " b"]) -> tuple[State, dict[str, Array]]:
        # Gathering inside of the scan costs a fifth of shuffling all poses first.
        batch = poses_mm[rows]
        grads, metrics = jax.grad(loss, has_aux=True)(state.params, batch, sparsity, projected)
        updates, opt_state = optimizer.update(grads, state.opt_state)
        params: Any = optax.apply_updates(state.params, updates)
        return State(params, opt_state), metrics

    state, metrics = jax.lax.scan(step, state, order.reshape(steps, batch_size))
    return state, jax.tree.map(jnp.mean, metrics)
