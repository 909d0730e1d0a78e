"""Drawn surroundings of a person: textures, walls, pictures, and objects in front of people.

Everything is a pure function of a seed or a generator. For augmentation, `backgrounds` and
`occluders` replace photographs without people and cut-out objects, which `props_from_files` reads.
"""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

Colour = tuple[float, float, float]


def colour(rng: np.random.Generator, saturation: float = 0.6, value: float = 0.9) -> np.ndarray:
    """Draws an sRGB colour in [0, 1] with bounded saturation and value."""
    hue, s, v = rng.random(3)
    s, v = s**1.3 * saturation, 0.08 + v * (value - 0.08)
    ramp = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return (v * (1 - s * (1 - ramp))).astype(np.float32)


def noise(
    rng: np.random.Generator, height: int, width: int, coarsest: int = 4, roughness: float = 0.6
) -> Float32[np.ndarray, "{height} {width}"]:
    """Draws smooth noise in [0, 1]: random grids, each finer and `roughness` times as strong."""
    result = np.zeros((height, width), np.float32)
    cells, strength, total = coarsest, 1.0, 0.0
    while cells <= min(height, width) // 2:
        columns = max(1, round(cells * width / height))
        grid = rng.random((cells, columns), dtype=np.float32)
        result += strength * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        total += strength
        cells, strength = cells * 2, strength * roughness
    return np.clip((result / max(total, 1e-6) - 0.5) * 1.8 + 0.5, 0, 1)


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def texture(
    rng: np.random.Generator, side: int, kind: str, saturation: float = 0.4
) -> Float32[np.ndarray, "{side} {side} 3"]:
    """Draws a surface in sRGB [0, 1]: "plain", "planks", "tiles", "carpet" or "grass"."""
    base = colour(rng, saturation, 0.85)
    rough = noise(rng, side, side, 8, 0.8)[..., None]
    image = base * (0.8 + 0.4 * rough)
    if kind in ("planks", "tiles"):
        columns, rows = int(rng.integers(4, 12)), int(rng.integers(2, 4))
        rows = columns if kind == "tiles" else rows
        tone = rng.uniform(0.75, 1.15, (rows, columns, 1)).astype(np.float32)
        if kind == "tiles" and rng.random() < 0.5:
            checker = np.indices((rows, columns)).sum(0)[..., None] % 2
            tone = 0.6 + 0.5 * checker.astype(np.float32)
        image = image * cv2.resize(tone, (side, side), interpolation=cv2.INTER_NEAREST)[..., None]
        for k in range(columns):
            cv2.line(
                image, (k * side // columns, 0), (k * side // columns, side), (base * 0.5).tolist()
            )
    elif kind == "carpet":
        image = image * rng.uniform(0.85, 1.15, (side, side, 1)).astype(np.float32)
    elif kind == "grass":
        green = np.array([0.3, 0.45, 0.18], np.float32) * rng.uniform(0.7, 1.3)
        image = green * (0.5 + rough) * rng.uniform(0.8, 1.2, (side, side, 1)).astype(np.float32)
    return np.clip(image, 0, 1).astype(np.float32)


def panorama(
    rng: np.random.Generator, height: int, width: int, kind: str
) -> Float32[np.ndarray, "{height} {width} 3"]:
    """Draws a scene's surroundings as a strip: "studio", "green", "room", "street" or "nature".

    The bottom row touches the floor; left and right edges need not match exactly.
    """
    ramp = np.linspace(1.1, 0.85, height, dtype=np.float32)[:, None, None]
    if kind == "green":
        base = np.array([0.16, 0.62, 0.24], np.float32) * rng.uniform(0.8, 1.15)
        image = base * ramp * (0.92 + 0.16 * noise(rng, height, width)[..., None])
    elif kind in ("studio", "room"):
        base = colour(rng, 0.35, 0.9) * 0.6 + 0.3
        image = base * ramp * (0.9 + 0.2 * noise(rng, height, width)[..., None])
        _furnish(rng, image, count=6 if kind == "studio" else 26)
    else:
        image = _outdoors(rng, height, width, built=kind == "street")
    return np.clip(image, 0, 1).astype(np.float32)


def _furnish(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    """Draws windows, doors, pictures and cupboards on an unrolled wall, in place."""
    height, width = image.shape[:2]
    for _ in range(count):
        kind = rng.random()
        tint = colour(rng, 0.7, 0.95)
        x = int(rng.integers(0, width))
        if kind < 0.4:  # stands on the floor
            w, h = int(rng.uniform(0.12, 0.5) * height), int(rng.uniform(0.15, 0.6) * height)
            top = height - h
        else:  # hangs
            w, h = int(rng.uniform(0.1, 0.45) * height), int(rng.uniform(0.1, 0.4) * height)
            top = int(rng.uniform(0.1, 0.5) * height)
            if kind > 0.8:
                tint = 0.5 * tint + 0.5
        cv2.rectangle(image, (x, top), (x + w, top + h), (tint * 0.45).tolist(), -1)
        rim = max(1, height // 90)
        corner = (x + w - rim, top + h - rim)
        cv2.rectangle(image, (x + rim, top + rim), corner, tint.tolist(), -1)
        for k in range(int(rng.integers(0, 4))):
            at = x + (k + 1) * w // 4
            cv2.line(image, (at, top), (at, top + h), (tint * 0.6).tolist(), rim)


def _outdoors(rng: np.random.Generator, height: int, width: int, built: bool) -> np.ndarray:
    sky = np.array([0.55, 0.72, 0.92], np.float32) * rng.uniform(0.8, 1.1)
    haze = np.linspace(0, 0.35, height, dtype=np.float32)[:, None, None]
    cloud = noise(rng, height, width, 3)[..., None] ** 2
    image = sky * (1 - haze) + 0.9 * haze + 0.35 * cloud
    for layer in range(3):
        tone = 0.75 - 0.2 * layer
        edge = noise(rng, 1 * 64, width, 4)[0] * (0.35 - 0.06 * layer) + 0.25 - 0.05 * layer
        if built:
            edge = np.repeat(edge[:: max(1, width // 40)], max(1, width // 40))[:width]
        top = (height * (1 - edge)).astype(int)
        top = np.concatenate([top, np.full(width - len(top), height)])
        below = np.arange(height)[:, None] >= top[None]
        if built:
            paint = np.repeat(
                np.stack([colour(rng, 0.4, 0.9) for _ in range(40)]), -(-width // 40), axis=0
            )[:width]
            windows = (np.arange(height)[:, None] % 9 < 4) & (np.arange(width)[None] % 8 < 4)
            surface = paint[None] * (1 - 0.35 * windows[..., None])
        else:
            leaf = np.array([0.22, 0.36, 0.14], np.float32) * rng.uniform(0.6, 1.4)
            surface = leaf * (0.4 + 1.2 * noise(rng, height, width, 16, 0.9)[..., None])
        image = np.where(below[..., None], surface * tone + (1 - tone) * 0.25, image)
    return image.astype(np.float32)


def picture(rng: np.random.Generator, side: int) -> Float32[np.ndarray, "{side} {side} 3"]:
    """Draws a picture without people, in sRGB: a place with its floor, or abstract shapes."""
    kind = rng.random()
    if kind < 0.55:
        scene = str(rng.choice(["room", "street", "nature"]))
        image = panorama(rng, side, 2 * side, scene)[:, :side]
        horizon = int(side * rng.uniform(0.5, 0.85))
        wall = cv2.resize(image, (side, horizon))
        floor_kind = str(rng.choice(["planks", "tiles", "carpet", "plain", "grass"]))
        floor = texture(rng, side, floor_kind)
        near = float(rng.uniform(0.6, 2.0))
        corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
        rows = side - horizon
        goal = np.array(
            [[0, 0], [side, 0], [side * (0.5 + near), rows], [side * (0.5 - near), rows]],
            np.float32,
        )
        to_floor = cv2.getPerspectiveTransform(corners, goal)
        ground = cv2.warpPerspective(floor, to_floor, (side, rows), borderMode=cv2.BORDER_WRAP)
        image = np.concatenate([wall, ground], axis=0)
    else:
        image = (
            colour(rng) * (1 - noise(rng, side, side)[..., None])
            + colour(rng) * noise(rng, side, side)[..., None]
        )
    for _ in range(int(rng.integers(2, 14))):
        _clutter(rng, image)
    blur = float(rng.choice([0.0, 0.8, 2.0, 4.0])) * side / 192
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    gain = rng.uniform(0.6, 1.2)
    return np.clip(image * gain + rng.normal(0, 0.01, image.shape), 0, 1).astype(np.float32)


def _clutter(rng: np.random.Generator, image: np.ndarray) -> None:
    """Draws one random polygon or ellipse, in place."""
    side = image.shape[0]
    centre = rng.uniform(0, side, 2)
    size = side * rng.uniform(0.03, 0.25, 2)
    tint = colour(rng, 0.8, 0.95).tolist()
    if rng.random() < 0.4:
        axes = (int(size[0] / 2) + 1, int(size[1] / 2) + 1)
        at = (int(centre[0]), int(centre[1]))
        cv2.ellipse(image, at, axes, float(rng.uniform(0, 180)), 0, 360, tint, -1, cv2.LINE_AA)
    else:
        corners = int(rng.integers(3, 7))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        points = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * size
        cv2.fillPoly(image, [points.astype(np.int32)], tint, cv2.LINE_AA)


def backgrounds(seed: int, n: int, side: int) -> list[UInt8[np.ndarray, "{side} {side} 3"]]:
    """Draws `n` pictures without people; picture i depends on (seed, i, side) only."""
    generators = (np.random.default_rng([seed, 1, index]) for index in range(n))
    return [_to_bytes(picture(rng, side)) for rng in generators]


def occluders(seed: int, n: int) -> list[UInt8[np.ndarray, "_h _w 4"]]:
    """Draws `n` cut-out objects as RGBA with straight alpha, sized for a crop of 256 px.

    Object i depends on (seed, i) only.
    """
    return [occluder(np.random.default_rng([seed, 2, index])) for index in range(n)]


def occluder(rng: np.random.Generator) -> UInt8[np.ndarray, "_h _w 4"]:
    """Draws one object: a box, a chair, a plant, a ball, a board or a lump, up to 200 px."""
    height, width = (int(s) for s in rng.integers(50, 200, 2))
    scale = 2
    alpha = np.zeros((height * scale, width * scale), np.uint8)
    _SHAPES[int(rng.integers(len(_SHAPES)))](rng, alpha)
    alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)
    tint, second = colour(rng, 0.8, 0.95), colour(rng, 0.8, 0.95)
    blend = noise(rng, height, width, 3)[..., None]
    if rng.random() < 0.4:
        period = rng.uniform(6, 30)
        angle = rng.uniform(0, np.pi)
        y, x = np.indices((height, width))
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
        blend = (wave[..., None] > 0).astype(np.float32)
    image = tint + (second - tint) * blend * rng.uniform(0, 0.8)
    light = np.linspace(rng.uniform(0.7, 1.2), rng.uniform(0.5, 1.0), width)[None, :, None]
    return np.concatenate([_to_bytes(image * light), alpha[..., None]], axis=2)


def _box(rng: np.random.Generator, alpha: np.ndarray) -> None:
    h, w = alpha.shape
    lean = int(rng.uniform(0, 0.25) * w)
    points = [[lean, 0], [w - 1, int(0.1 * h)], [w - 1 - lean // 2, h - 1], [0, h - 1]]
    cv2.fillPoly(alpha, [np.array(points)], 255)


def _chair(rng: np.random.Generator, alpha: np.ndarray) -> None:
    h, w = alpha.shape
    seat, leg = int(rng.uniform(0.4, 0.6) * h), max(4, int(rng.uniform(0.05, 0.14) * w))
    alpha[seat : seat + max(6, h // 12)] = 255
    for left in (0, w - leg):
        alpha[seat:, left : left + leg] = 255
    if rng.random() < 0.6:
        alpha[:seat, :leg] = 255
        alpha[: seat // 2, : leg * 2] = 255


def _ball(rng: np.random.Generator, alpha: np.ndarray) -> None:
    h, w = alpha.shape
    cv2.ellipse(alpha, (w // 2, h // 2), (w // 2 - 1, h // 2 - 1), 0, 0, 360, 255, -1)


def _plant(rng: np.random.Generator, alpha: np.ndarray) -> None:
    h, w = alpha.shape
    pot = int(0.75 * h)
    cv2.rectangle(alpha, (int(0.3 * w), pot), (int(0.7 * w), h), 255, -1)
    for _ in range(int(rng.integers(5, 14))):
        at = (int(rng.uniform(0.15, 0.85) * w), int(rng.uniform(0.05, 0.75) * h))
        size = (int(rng.uniform(0.05, 0.2) * w) + 2, int(rng.uniform(0.1, 0.25) * h))
        cv2.ellipse(alpha, at, size, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        cv2.line(alpha, at, (w // 2, pot), 255, max(2, w // 60))


def _board(rng: np.random.Generator, alpha: np.ndarray) -> None:
    h, w = alpha.shape
    bar = max(4, int(rng.uniform(0.06, 0.2) * h))
    for top in range(0, h, bar * int(rng.integers(2, 4))):
        alpha[top : top + bar] = 255
    alpha[:, : max(4, w // 12)] = 255
    alpha[:, -max(4, w // 12) :] = 255


def _lump(rng: np.random.Generator, alpha: np.ndarray) -> None:
    h, w = alpha.shape
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = np.full_like(angles, 0.75)
    for k in range(1, 6):
        radius += rng.uniform(0, 0.25 / k) * np.cos(k * angles + rng.uniform(0, 6))
    radius = radius / radius.max()
    points = np.stack(
        [w / 2 * (1 + radius * np.cos(angles)), h / 2 * (1 + radius * np.sin(angles))], axis=1
    )
    cv2.fillPoly(alpha, [points.astype(np.int32)], 255)


_SHAPES = (_box, _chair, _ball, _plant, _board, _lump)
