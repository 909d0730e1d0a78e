"""OpenCV's lens distortion with 12 coefficients, and its inverse.

It acts on image-plane points (x/z, y/z). The coefficients are k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4:
rational radial (k), tangential (p) and thin-prism (s) terms, as in OpenCV's calib3d module.
Coefficients of shape (*b, 12) go with points of shape (*b, *p, 2).
"""

import numpy as np
from jaxtyping import Float

from acae_jax.geometry.arrays import Array, namespace, spread

FIXED_POINT_STEPS = 5
NEWTON_STEPS = 4


def distort(distortion: Float[Array, "*b 12"], plane: Float[Array, "*p 2"]) -> Float[Array, "*p 2"]:
    """Apply OpenCV's rational, tangential and thin-prism distortion to image-plane points."""
    if _is_zero(distortion):
        return plane
    xp = namespace(distortion, plane)
    coefficients = _coefficients(distortion, plane)
    x, y = plane[..., 0], plane[..., 1]
    radial, dx, dy = _distortion_terms(coefficients, x, y)
    return xp.stack([x * radial + dx, y * radial + dy], axis=-1)


def undo_distortion(
    distortion: Float[Array, "*b 12"], plane: Float[Array, "*p 2"]
) -> Float[Array, "*p 2"]:
    """Invert `distort`: fixed-point steps towards the solution, then Newton's method.

    The last Newton step also gives the inverse its exact derivative. Where the lens model folds
    over (far outside the image of a real lens) there is no inverse and the result is arbitrary.
    """
    if _is_zero(distortion):
        return plane
    xp = namespace(distortion, plane)
    coefficients = _coefficients(distortion, plane)
    target_x, target_y = plane[..., 0], plane[..., 1]
    x, y = target_x, target_y
    for _ in range(FIXED_POINT_STEPS):
        radial, dx, dy = _distortion_terms(coefficients, x, y)
        x, y = (target_x - dx) / radial, (target_y - dy) / radial
    for _ in range(NEWTON_STEPS):
        radial, dx, dy = _distortion_terms(coefficients, x, y)
        error_x, error_y = x * radial + dx - target_x, y * radial + dy - target_y
        xx, xy, yx, yy = _distortion_jacobian(coefficients, x, y)
        determinant = xx * yy - xy * yx
        x = x - (yy * error_x - xy * error_y) / determinant
        y = y - (xx * error_y - yx * error_x) / determinant
    return xp.stack([x, y], axis=-1)


def fold_radius(distortion: Float[np.ndarray, "12"]) -> float:
    """Distance from the optical axis, on the image plane, at which the radial distortion stops
    growing; infinite if it never does.

    Beyond it the model moves points back towards the axis or through it, as no lens does: what it
    says there means nothing.
    """
    k1, k2, _, _, k3, k4, k5, k6 = (float(value) for value in distortion[:8])
    # In u = r²: r N(u) / D(u) is stationary where (N + 2 u N') D - 2 u N D' = 0.
    above, below = np.poly1d([k3, k2, k1, 1.0]), np.poly1d([k6, k5, k4, 1.0])
    u = np.poly1d([1.0, 0.0])
    slope = (above + 2 * u * above.deriv()) * below - 2 * u * above * below.deriv()
    roots = [complex(root) for root in (*slope.roots, *below.roots)]
    turning = [root.real for root in roots if abs(root.imag) < 1e-9 and root.real > 0]
    return min(turning, default=float("inf")) ** 0.5


def _is_zero(distortion: Array) -> bool:
    """Whether a host array is known to hold no distortion; device arrays are never looked at."""
    return isinstance(distortion, np.ndarray) and not distortion.any()


def _coefficients(distortion: Array, plane: Array) -> list[Array]:
    d = spread(distortion, plane.ndim - distortion.ndim, core=1)
    return [d[..., i] for i in range(12)]


def _distortion_terms(coefficients: list[Array], x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Return the radial factor and the tangential + thin-prism offsets (OpenCV, calib3d)."""
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = coefficients
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    dx = 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2)
    dy = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + r2 * (s3 + r2 * s4)
    return radial, dx, dy


def _distortion_jacobian(
    coefficients: list[Array], x: Array, y: Array
) -> tuple[Array, Array, Array, Array]:
    """Return d(distorted x)/dx, d(distorted x)/dy, d(distorted y)/dx, d(distorted y)/dy."""
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = coefficients
    r2 = x * x + y * y
    numerator = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    denominator = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = numerator / denominator
    slope = (k1 + r2 * (2 * k2 + 3 * r2 * k3)) - radial * (k4 + r2 * (2 * k5 + 3 * r2 * k6))
    slope = slope / denominator  # d radial / d r2
    prism_x, prism_y = 2 * (s1 + 2 * r2 * s2), 2 * (s3 + 2 * r2 * s4)
    mixed = 2 * (x * y * slope + p1 * x + p2 * y)
    xx = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x + prism_x * x
    yy = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x + prism_y * y
    return xx, mixed + prism_x * y, mixed + prism_y * x, yy
