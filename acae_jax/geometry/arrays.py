"""What the geometry room needs to serve numpy arrays on the host and jax arrays on the device.

Every function of this room is written once, against the array namespace of its arguments: numpy
arguments give numpy results (small host arrays, no compilation), and as soon as one argument is a
jax array the result is one too. The dtype of the arguments is kept.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    # Type checkers know no common interface of the two; the tests check the union at run time.
    Array = Any
else:
    # numpy turns 0-dimensional results into its scalar type, hence the third member.
    Array = jax.Array | np.ndarray | np.generic


def namespace(*arrays: object) -> ModuleType:
    """Return `jax.numpy` if any argument is a jax array, else `numpy`."""
    for array in arrays:
        # An input pipeline asks this a thousand times a batch, and isinstance takes its time.
        if type(array) is not np.ndarray and isinstance(array, jax.Array):
            return jnp
    return np


def matmul(left: Array, right: Array) -> Array:
    """Matrix product in full precision.

    Accelerators multiply float32 matrices in bfloat16 or TF32 by default, which at 5 m is an error
    of centimetres, so the jax path asks for the highest precision.
    """
    if namespace(left, right) is np:
        return left @ right
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def transform(matrix: Float[Array, "*b m n"], vectors: Float[Array, "*v n"]) -> Float[Array, "..."]:
    """Multiply every vector by its batch element's matrix: shape (*b, *p, n) → (*b, *p, m).

    The batch shape of `matrix` is the leading part of the batch shape of `vectors`, or broadcasts
    against it; the remaining axes `*p` of the vectors (points, joints) share the matrix.
    """
    shared = vectors.ndim - matrix.ndim + 1
    if shared == 0:
        return matmul(vectors[..., None, :], matrix.mT)[..., 0, :]
    return matmul(vectors, spread(matrix.mT, shared - 1, core=2))


def spread(array: Array, shared: int, core: int) -> Array:
    """Insert `shared` axes of length 1 before the last `core` axes."""
    if shared == 0:
        return array
    split = array.ndim - core
    return array.reshape((*array.shape[:split], *(1,) * shared, *array.shape[split:]))


def at_least_float32(array: Array) -> Array:
    """Widen 16-bit floats to float32, in which sums and solves are done; leave others alone."""
    if array.dtype.itemsize >= 4:
        return array
    return array.astype(np.float32)
