"""Absolute camera-space pose from 2D joints and root-relative 3D joints (MeTRAbs, section III-D).

The reference translation t is the one whose sum with the relative pose projects onto the 2D
joints. Joints near the crop's border or outside it are not visible to the 2D head, so they hardly
take part. All in camera space, without lens distortion; leading batch shape `*b` throughout; sums
and solves in float32 at least.
"""

from jaxtyping import Bool, Float

from acae_jax.geometry import cameras
from acae_jax.geometry.arrays import Array, at_least_float32, namespace

RIDGE = 1e-2
OUT_OF_VIEW_WEIGHT = 1e-4
BORDER_STRIDES = 0.75
# Keeps square roots and quotients finite when all points coincide, far below any real spread.
TINY_PLANE = 1e-10
TINY_MM2 = 1e-4


def in_view(points_px: Float[Array, "*b 2"], side_px: int, border_px: float) -> Bool[Array, "*b"]:
    """Whether points lie in a square image at least `border_px` away from its edges.

    The edges are at -0.5 and side - 0.5; a negative border lets points be outside by that much.
    """
    inside = (points_px >= border_px - 0.5) & (points_px <= side_px - 0.5 - border_px)
    return inside[..., 0] & inside[..., 1]


def full_perspective(
    points_px: Float[Array, "*b j 2"],
    relative_mm: Float[Array, "*b j 3"],
    intrinsics: Float[Array, "*b 3 3"],
    weights: Float[Array, "*b j"],
    scale_weights: Float[Array, "*b j"] | None = None,
) -> Float[Array, "*b 3"]:
    """Return the translation that solves the projection equations in weighted least squares.

    With (u, v) a joint in the image plane and (x, y, z) its relative position, the equations are
    t_x - u t_z = u z - x and t_y - v t_z = v z - y. The third column is divided by its
    root mean square before a ridge of 1e-2 is added to the normal equations. These are solved in
    closed form about the weighted mean of (u, v), which is as exact in float32 as the points are.
    The root mean square is weighted alike, or by `scale_weights`.
    """
    points_px, relative_mm = at_least_float32(points_px), at_least_float32(relative_mm)
    plane = cameras.to_plane(at_least_float32(intrinsics), points_px)
    w = at_least_float32(weights)[..., None]
    right = plane * relative_mm[..., 2:] - relative_mm[..., :2]
    total = w.sum(-2)
    plane_mean, right_mean = (w * plane).sum(-2) / total, (w * right).sum(-2) / total
    centred_plane = plane - plane_mean[..., None, :]
    centred_right = right - right_mean[..., None, :]
    spread = _sum(w * centred_plane * centred_plane)
    mean_square = (plane_mean * plane_mean).sum(-1, keepdims=True)
    ridge_z = RIDGE * (spread / total + mean_square) / 2
    if scale_weights is not None:
        s = at_least_float32(scale_weights)[..., None]
        ridge_z = RIDGE * _sum(s * plane * plane) / s.sum(-2) / 2
    # Eliminating t_x and t_y from the normal equations leaves one equation for t_z.
    leak = RIDGE * total / (total + RIDGE)
    across = (plane_mean * right_mean).sum(-1, keepdims=True)
    numerator = -_sum(w * centred_plane * centred_right) - leak * across
    z = numerator / (spread + leak * mean_square + ridge_z + total * TINY_PLANE)
    xy = (right_mean + plane_mean * z) * total / (total + RIDGE)
    return namespace(xy, z).concat([xy, z], axis=-1)


def weak_perspective(
    points_px: Float[Array, "*b j 2"],
    relative_mm: Float[Array, "*b j 3"],
    intrinsics: Float[Array, "*b 3 3"],
    weights: Float[Array, "*b j"],
) -> Float[Array, "*b 3"]:
    """Return the translation under which all joints share the pose's mean depth.

    If every joint were at depth Z, its image-plane point would be (x + t_x, y + t_y) / Z. So Z is
    the ratio of the spreads of (x, y) and of (u, v), which is positive whatever the network says,
    and the means give t_x and t_y; t_z is Z less the mean of the relative depths.
    """
    xp = namespace(points_px, relative_mm, weights)
    points_px, relative_mm = at_least_float32(points_px), at_least_float32(relative_mm)
    plane = cameras.to_plane(at_least_float32(intrinsics), points_px)
    w = at_least_float32(weights)[..., None]
    total = w.sum(-2)
    plane_mean, mean = (w * plane).sum(-2) / total, (w * relative_mm).sum(-2) / total
    centred_plane = plane - plane_mean[..., None, :]
    centred = relative_mm[..., :2] - mean[..., None, :2]
    spread_plane = _sum(w * centred_plane * centred_plane) / total + TINY_PLANE
    spread = _sum(w * centred * centred) / total + TINY_MM2
    depth = xp.sqrt(spread / spread_plane)
    return xp.concat([plane_mean * depth - mean[..., :2], depth - mean[..., 2:]], axis=-1)


def reconstruct(
    points_px: Float[Array, "*b j 2"],
    relative_mm: Float[Array, "*b j 3"],
    intrinsics: Float[Array, "*b 3 3"],
    side_px: int,
    stride: int,
    mix: float | Float[Array, "*b"],
    weak: bool | Bool[Array, ""] = False,
) -> Float[Array, "*b j 3"]:
    """Return absolute joints in camera space from the 2D and the relative 3D joints of a crop.

    Joints in view are a mixture: `mix` times the 2D joint, moved out along its ray to the depth of
    the translated relative pose, plus (1 - mix) times that pose. The others are that pose alone.
    `mix` is one number or one per pose. `weak` may be traced, so that a training step
    can switch between the two solutions without recompilation.
    """
    xp = namespace(points_px, relative_mm, intrinsics)
    dtype = relative_mm.dtype
    points_px, relative_mm = at_least_float32(points_px), at_least_float32(relative_mm)
    intrinsics = at_least_float32(intrinsics)
    visible = in_view(points_px, side_px, BORDER_STRIDES * stride)
    weights = visible.astype(relative_mm.dtype) + OUT_OF_VIEW_WEIGHT
    arguments = points_px, relative_mm, intrinsics, weights
    if isinstance(weak, bool):
        translation = (weak_perspective if weak else full_perspective)(*arguments)
    else:
        translation = xp.where(weak, weak_perspective(*arguments), full_perspective(*arguments))
    moved = relative_mm + translation[..., None, :]
    return mixed(points_px, moved, intrinsics, visible, mix).astype(dtype)


def mixed(
    points_px: Float[Array, "*b j 2"],
    moved_mm: Float[Array, "*b j 3"],
    intrinsics: Float[Array, "*b 3 3"],
    visible: Bool[Array, "*b j"],
    mix: float | Float[Array, "*b"],
) -> Float[Array, "*b j 3"]:
    """Return the translated pose, and for visible joints its mixture with the 2D joints at its
    depth: see `reconstruct`.
    """
    xp = namespace(points_px, moved_mm, intrinsics)
    depth = moved_mm[..., 2:]
    back_projected = xp.concat([cameras.to_plane(intrinsics, points_px) * depth, depth], axis=-1)
    share = xp.asarray(mix, dtype=moved_mm.dtype)
    share = share.reshape((*share.shape, *(1,) * (moved_mm.ndim - share.ndim)))
    mixture = share * back_projected + (1 - share) * moved_mm
    return xp.where(visible[..., None], mixture, moved_mm)


def _sum(values: Array) -> Array:
    """Sum over joints and coordinates, keeping one axis of length 1."""
    return values.sum(-2).sum(-1, keepdims=True)
