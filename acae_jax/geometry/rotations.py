"""Rotations from general 3 × 3 matrices, with derivatives that exist wherever the rotation does."""

from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from acae_jax.geometry.arrays import Array, matmul, namespace

# Relative to the largest singular value: below this a rotation is undetermined about some axis.
UNDETERMINED = 1e-6


def cross(a: Float[Array, "*b 3"], b: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
    """Cross product; for single vectors numpy's own takes five times as long."""
    xp = namespace(a, b)
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return xp.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def handedness(axes: Float[Array, "*b 3 3"]) -> Float[Array, "*b 1"]:
    """Sign of the determinant: -1 for axes with a reflection, with a last axis of length 1."""
    xp = namespace(axes)
    triple = cross(axes[..., 0, :], axes[..., 1, :]) * axes[..., 2, :]
    return xp.sign(triple.sum(-1, keepdims=True))


def nearest_rotation(matrix: Float[Array, "*b 3 3"]) -> Float[Array, "*b 3 3"]:
    """Return the rotation R, never a reflection, that maximises trace(Rᵀ matrix) (Kabsch).

    The derivative is that of the polar factor and not of the singular vectors, so it stays finite
    where singular values coincide; along directions in which the rotation is undetermined (points
    on one line) it is zero.
    """
    if namespace(matrix) is np:
        return _decompose(np, matrix)[0]
    return _nearest_rotation(matrix)


def _decompose(xp: ModuleType, matrix: Array) -> tuple[Array, Array, Array]:
    """Return the rotation, its right singular vectors as columns and signed singular values."""
    u, s, vh = xp.linalg.svd(matrix)
    # Negating the weakest axis turns the reflection that some point sets suggest into a rotation.
    sign = handedness(u) * handedness(vh)
    sign = xp.concat([xp.ones_like(u[..., 0, :2]), sign], axis=-1)
    return matmul(u * sign[..., None, :], vh), vh.mT, s * sign


@jax.custom_jvp
def _nearest_rotation(matrix: jax.Array) -> jax.Array:
    return _decompose(jnp, matrix)[0]


@_nearest_rotation.defjvp
def _nearest_rotation_jvp(primals, tangents):
    # With matrix = R P, P = V S Vᵀ symmetric, and dR = R W: P W + W P = Rᵀ dM - dMᵀ R, which in
    # the basis V reads (s_i + s_j) W_ij = X_ij.
    rotation, v, s = _decompose(jnp, primals[0])
    change = matmul(rotation.mT, tangents[0])
    change = matmul(matmul(v.mT, change - change.mT), v)
    sums = s[..., :, None] + s[..., None, :]
    determined = sums > UNDETERMINED * s[..., :1, None]
    spin = jnp.where(determined, change / jnp.where(determined, sums, 1.0), 0.0)
    return rotation, matmul(matmul(rotation, v), matmul(spin, v.mT))
