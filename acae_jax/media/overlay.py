"""People's skeletons drawn over the image they were seen in.

A person keeps one colour by their number, the left side lighter. Bones are as wide as a forearm
would be there, joints larger the nearer they are; where a joint is unsure it is a small dark dot
and its bones are thin. Nearer people, and nearer bones of one person, are drawn over others.
"""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, Int32, UInt8

from acae_jax.skeletons import skeleton

# Those of the pages, which the colour-blind tell apart, but brighter: they lie on photographs.
COLOURS = (
    (30, 144, 255), (255, 159, 28), (0, 200, 140), (235, 110, 185), (240, 80, 40), (250, 225, 60),
)  # fmt: skip
GOLDEN_ANGLE = 0.381966  # of hues from the seventh person on
BONE_SHARE = 0.022  # of a person's size in the image: about a forearm's width
MANY_JOINTS = 30  # of a person: for more, bones are thinner
JOINT_SHARE = 0.75  # a joint's radius, of a bone's width
THINNEST_PX, THICKEST_SHARE = 1.5, 0.012  # of a bone: px, and of the image's longer side
UNSURE_MM = 150.0
SHORTEST_PX = 480  # a smaller image is enlarged
SHIFT = 4  # fractional bits of coordinates for OpenCV
FAR_OUTSIDE = 4.0  # image sizes
OPACITY = 0.88


def draw(
    image: UInt8[np.ndarray, "h w 3"],
    poses_px: Float32[np.ndarray, "n J 2"],
    depths_mm: Float32[np.ndarray, "n J"],
    uncertainty_mm: Float32[np.ndarray, "n J"],
    numbers: Int32[np.ndarray, " n"],
    joint_names: Sequence[str],
    edges: Sequence[tuple[int, int]],
    longest_px: int = 1920,
) -> UInt8[np.ndarray, "H W 3"]:
    """The image with everybody drawn on it, resized if its longer side is over `longest_px` or too
    short for lines.

    `depths_mm` are along the camera's axis; joints that are not finite are left out.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    scale = min(max(longer, SHORTEST_PX), longest_px) / longer
    if scale != 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(image, size, interpolation=kind)
        poses_px = ((poses_px + 0.5) * scale - 0.5).astype(np.float32)
    canvas = image.copy()
    nearest_last = np.argsort(-np.nan_to_num(depths_mm.mean(1)), kind="stable").tolist()
    for person in nearest_last:
        _draw_person(
            canvas, poses_px[person], depths_mm[person], uncertainty_mm[person],
            colour(int(numbers[person])), joint_names, edges,
        )  # fmt: skip
    canvas = cv2.addWeighted(canvas, OPACITY, image, 1 - OPACITY, 0)
    for person in nearest_last:
        _draw_number(canvas, poses_px[person], int(numbers[person]))
    return canvas


def colour(number: int) -> tuple[int, int, int]:
    """The RGB colour of a person."""
    if number < len(COLOURS):
        return COLOURS[number]
    red, green, blue = colorsys.hls_to_rgb(number * GOLDEN_ANGLE % 1, 0.6, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def _draw_person(
    image: UInt8[np.ndarray, "h w 3"],
    pose_px: Float32[np.ndarray, "J 2"],
    depth_mm: Float32[np.ndarray, " J"],
    uncertainty_mm: Float32[np.ndarray, " J"],
    rgb: tuple[int, int, int],
    joint_names: Sequence[str],
    edges: Sequence[tuple[int, int]],
) -> None:
    longer = max(image.shape[:2])
    there = np.isfinite(pose_px).all(-1) & (np.abs(pose_px) < FAR_OUTSIDE * longer).all(-1)
    there &= depth_mm > 0
    if there.sum() < 2:
        return
    widths = _bone_px(pose_px, depth_mm, there, longer)
    unsure = uncertainty_mm > UNSURE_MM  # not where it is unknown
    points = np.round(np.where(there[:, None], pose_px, 0) * 2**SHIFT).astype(int).tolist()
    sides = skeleton.sides(joint_names)
    light, dark = _mixed(rgb, 255, 0.45), _mixed(rgb, 0, 0.6)
    bones = [(a, b) for a, b in edges if there[a] and there[b]]
    for a, b in sorted(bones, key=lambda bone: -(depth_mm[bone[0]] + depth_mm[bone[1]])):
        width = (widths[a] + widths[b]) / 2 * (0.5 if unsure[a] or unsure[b] else 1)
        fill = light if "l" in (sides[a], sides[b]) and "r" not in (sides[a], sides[b]) else rgb
        rim = width + max(1.5, 0.35 * width)
        cv2.line(image, points[a], points[b], dark, max(1, round(rim)), cv2.LINE_AA, SHIFT)
        cv2.line(image, points[a], points[b], fill, max(1, round(width)), cv2.LINE_AA, SHIFT)
    for joint in np.argsort(-depth_mm, kind="stable").tolist():
        if there[joint]:
            radius = max(2.0, float(widths[joint]) * JOINT_SHARE)
            outer = round((0.6 if unsure[joint] else 1.0) * radius * 2**SHIFT)
            cv2.circle(image, points[joint], outer, dark, -1, cv2.LINE_AA, SHIFT)
            if not unsure[joint]:
                inner = round(0.65 * outer)
                cv2.circle(image, points[joint], inner, (255, 255, 255), -1, cv2.LINE_AA, SHIFT)


def _draw_number(
    image: UInt8[np.ndarray, "h w 3"], pose_px: Float32[np.ndarray, "J 2"], number: int
) -> None:
    """A tag above the highest joint, inside the image."""
    points = pose_px[np.isfinite(pose_px).all(-1)]
    if not len(points):
        return
    height, width = image.shape[:2]
    size = float(np.clip(max(height, width) / 1500, 0.4, 1.2))
    text, thick = str(number), max(1, round(1.6 * size))
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, size, thick)
    pad = round(9 * size)
    x, y = points[np.argmin(points[:, 1])]
    left = int(np.clip(x - text_width / 2 - pad, 0, max(0, width - text_width - 2 * pad)))
    bottom = int(np.clip(y - 32 * size, text_height + 2 * pad, max(text_height + 2 * pad, height)))
    cv2.rectangle(
        image, (left, bottom - text_height - 2 * pad), (left + text_width + 2 * pad, bottom),
        colour(number), -1, cv2.LINE_AA,
    )  # fmt: skip
    cv2.putText(
        image, text, (left + pad, bottom - pad), cv2.FONT_HERSHEY_DUPLEX, size, (15, 15, 15),
        thick, cv2.LINE_AA,
    )  # fmt: skip


def _bone_px(
    pose_px: Float32[np.ndarray, "J 2"],
    depth_mm: Float32[np.ndarray, " J"],
    there: np.ndarray,
    longer: int,
) -> Float32[np.ndarray, " J"]:
    """How wide a bone is at each joint: wider where nearer, within what looks well."""
    middle = np.median(depth_mm[there])
    spread_px = np.ptp(pose_px[there], axis=0).max()
    typical = BONE_SHARE * spread_px * min(1, (MANY_JOINTS / int(there.sum())) ** 0.5)
    nearness = np.clip(middle / np.maximum(depth_mm, 1), 0.6, 1.7)
    return np.clip(typical * nearness, THINNEST_PX, max(THINNEST_PX, THICKEST_SHARE * longer))


def _mixed(rgb: tuple[int, int, int], grey: int, share: float) -> tuple[int, int, int]:
    red, green, blue = (round(value + share * (grey - value)) for value in rgb)
    return red, green, blue
