"""One record: a posed person in a studio's room, seen by one of its cameras, stored as an
undistorted crop.

World: y up, floor at y = 0, millimetres. The person's box is computed in the distorted picture of
the studio's camera. A virtual camera with the same centre sees the stored crop: it looks at the
middle of that box, is upright and has no distortion. The crop is rendered directly, because
resampling a large picture would only cost time.
"""

import functools
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from acae_jax.data.crop_record import CropRecord
from acae_jax.datasets.synthetic import body, looks, render, studios, takes
from acae_jax.geometry import cameras
from acae_jax.images import masks, props

PERSON_PX = 96  # the longer side of the person's box
LABELS_2D = "coco_2d"  # the catalogue's name of coco_body's points as 2D labels
MARGIN = 1.5  # side of the stored crop over the longer side of the person's box
_SUPERSAMPLING = 2
_UP = np.array([0, 1, 0], np.float32)
_ASSUMED_VIEW_DEG = 55.0  # of pictures whose camera nobody knows
_WALL_PX = (192, 1152)
_FLOOR_PX, _FLOOR_MM = 256, 3000.0
_OCCLUDERS = 40


class Room(NamedTuple):
    """Surroundings with their light and cameras; textures are linear RGB."""

    wall: Float32[np.ndarray, "h w 3"]
    floor: Float32[np.ndarray, "s s 3"]
    wall_height_mm: float
    light: render.Light
    cameras: list[cameras.Camera]


@functools.lru_cache(maxsize=80)
def room(studio: studios.Studio, seed: int, index: int) -> Room:
    """Builds one of a studio's rooms."""
    rng = studios.stream(seed, studio, "room", index)
    kind = str(rng.choice(studio.walls))
    wall = props.panorama(rng, *_WALL_PX, kind) ** np.float32(2.2)
    floor = props.texture(rng, _FLOOR_PX, str(rng.choice(studio.floors))) ** np.float32(2.2)
    if kind == "green":
        floor = floor * 0.2 + wall[-8:].mean(axis=(0, 1)) * 0.7
    elevation = np.radians(rng.uniform(*studio.lamp_elevation_deg))
    azimuth = rng.uniform(0, 2 * np.pi)
    flat = np.cos(elevation)
    lamp = np.array([flat * np.cos(azimuth), np.sin(elevation), flat * np.sin(azimuth)])
    warm = np.array([1, 0.95, 0.88]) ** rng.uniform(-1, 2)
    ambient = rng.uniform(*studio.ambient)
    light = render.Light(
        direction=lamp.astype(np.float32),
        lamp=(rng.uniform(*studio.lamp_strength) * warm).astype(np.float32),
        sky=(ambient * warm[::-1]).astype(np.float32),
        ground=(ambient * 0.5 * np.sqrt(floor.mean(axis=(0, 1)))).astype(np.float32),
    )
    height = studio.room_mm * (0.55 if kind in ("room", "studio", "green") else 0.8)
    ring = [_camera(rng, studio.rig, k) for k in range(min(studio.rig.count, 16))]
    return Room(wall, floor.astype(np.float32), float(height), light, ring)


def _camera(rng: np.random.Generator, rig: studios.Rig, index: int) -> cameras.Camera:
    """A camera of the ring, looking at the scene's middle."""
    azimuth = 2 * np.pi * (index + rng.uniform(-0.2, 0.2)) / min(rig.count, 16)
    distance = rng.uniform(*rig.distance_mm)
    position = np.array(
        [distance * np.cos(azimuth), rng.uniform(*rig.height_mm), distance * np.sin(azimuth)]
    )
    view = np.radians(rng.uniform(*rig.view_deg))
    camera = cameras.create(
        cameras.field_of_view(float(view), *rig.image_px),
        position_mm=position.astype(np.float32),
        distortion=np.array(rig.distortion, np.float32),
    )
    target = np.array([0, 950, 0], np.float32)
    return cameras.turn_towards(camera, world_point_mm=target, up=_UP)


def _sees_chest(
    candidates: list[cameras.Camera], vertices_mm: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, " c"]:
    """Cosine between where a person's chest points and the direction to each camera."""
    assets = body.load()
    names = assets.formats["coco_body"].joint_names
    at = dict(zip(names, body.joints(assets, "coco_body", vertices_mm), strict=True))
    shoulders, hips = at["lsho"] + at["rsho"], at["lhip"] + at["rhip"]
    to_left = at["lsho"] - at["rsho"] + at["lhip"] - at["rhip"]
    chest = np.cross(to_left, shoulders - hips)
    views = np.stack([camera.position_mm for camera in candidates]) - shoulders / 2
    lengths = np.linalg.norm(views, axis=1) * np.linalg.norm(chest)
    return views @ chest / np.maximum(lengths, 1e-6)


def crop(
    camera: cameras.Camera, points_mm: Float[np.ndarray, "v 3"], side_px: int
) -> tuple[cameras.Camera, Float32[np.ndarray, "4"]]:
    """Turns a camera to a person: the square crop's camera and the person's box in it."""
    points_px = cameras.project(camera, points_mm)
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    middle = (low + high) / 2
    turned = cameras.turn_towards(camera, image_point_px=middle, up=_UP)
    turned = cameras.undistort(cameras.square_pixels(turned))
    sides = np.array(
        [[low[0], middle[1]], [high[0], middle[1]], [middle[0], low[1]], [middle[0], high[1]]],
        np.float32,
    )
    sides = cameras.reproject(camera, turned, sides)
    low = np.array([sides[0, 0], sides[2, 1]])
    high = np.array([sides[1, 0], sides[3, 1]])
    factor = side_px / (MARGIN * float((high - low).max()))
    turned = cameras.shift(turned, (-(low + high) / 2).astype(np.float32))
    turned = cameras.scale_output(turned, factor)
    # The box centre is now at scale_output's image of 0; bring it to the crop's centre.
    move = (side_px - 1) / 2 - (0.5 * factor - 0.5)
    turned = cameras.shift(turned, np.full(2, move, np.float32))
    size = (high - low) * factor
    corner = (side_px - 1) / 2 - size / 2
    return turned, np.concatenate([corner, size]).astype(np.float32)


def label_format(studio: studios.Studio) -> str:
    """What a studio's records are labelled in."""
    return LABELS_2D if studio.labels_2d else studio.format


def side_px(person_px: int) -> int:
    """The side of a stored crop in which the longer side of the person's box has this length."""
    return round(MARGIN * person_px)


def make(
    studio: studios.Studio,
    seed: int,
    take: takes.Take,
    index: int,
    person_px: int = PERSON_PX,
) -> CropRecord:
    """Draws and labels record `index` of a dataset, a frame of its take."""
    rng = studios.stream(seed, studio, "picture", index)
    # One room a take: a session is filmed in one place.
    which = int(
        studios.stream(seed, studio, "session", index // takes.FRAMES).integers(studio.rooms)
    )
    scene = room(studio, seed, which)
    assets = body.load()
    vertices = take.vertices_mm[index % takes.FRAMES]
    odds = np.exp(studio.frontal * _sees_chest(scene.cameras, vertices))
    camera = scene.cameras[int(rng.choice(len(odds), p=odds / odds.sum()))]
    skin = vertices[: assets.skin_count]
    side = side_px(person_px)
    crop_camera, box = crop(camera, skin, side)
    linear, mask = draw(studio, scene, crop_camera, side, take, vertices, rng)
    joints = takes.labels(assets, studio.format, vertices)
    joints = joints + rng.normal(0, studio.noise_mm or 0.0, joints.shape)
    fields = _labels(studio, camera, crop_camera, joints, mask, rng)
    image = _finish(studio, linear, rng)
    return CropRecord(
        image=image,
        box=box,
        mask_rle=masks.encode(mask),
        format=label_format(studio),
        key=f"{take.key}/{index:06d}",
        **fields,
    )


def _labels(studio, camera, crop_camera, joints, mask, rng) -> dict[str, Any]:
    """The camera and joint fields of a record; a 2D dataset knows neither camera nor depth."""
    none = np.zeros((0, 2), np.float32)
    if not studio.labels_2d:
        return {
            "intrinsics": crop_camera.intrinsics.astype(np.float32),
            "rotation": crop_camera.rotation.astype(np.float32),
            "position_mm": crop_camera.position_mm.astype(np.float32),
            "joints_mm": joints.astype(np.float32),
            "joints_px": none,
        }
    pixels = cameras.project(crop_camera, joints.astype(np.float32))
    side = mask.shape[0]
    at = np.clip(np.round(pixels).astype(int), 0, side - 1)
    # Half of the hidden points have no label, as annotators leave some out.
    hidden = ~cv2.dilate(mask.astype(np.uint8), _square(side / 29)).astype(bool)[at[:, 1], at[:, 0]]
    pixels[hidden & (rng.random(len(pixels)) < 0.5)] = np.nan
    width, height = studio.rig.image_px
    assumed = cameras.field_of_view(np.radians(_ASSUMED_VIEW_DEG), width, height)
    focal = crop_camera.intrinsics[0, 0] * assumed[0, 0] / camera.intrinsics[0, 0]
    centre = (side - 1) / 2
    return {
        "intrinsics": np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]], np.float32),
        "rotation": np.diag([1.0, -1.0, -1.0]).astype(np.float32),
        "position_mm": np.zeros(3, np.float32),
        "joints_mm": np.zeros((0, 3), np.float32),
        "joints_px": pixels.astype(np.float32),
    }


def draw(
    studio: studios.Studio,
    scene: Room,
    camera: cameras.Camera,
    side: int,
    take: takes.Take,
    vertices_mm: Float[np.ndarray, "v 3"],
    rng: np.random.Generator,
) -> tuple[Float32[np.ndarray, "{side} {side} 3"], Bool[np.ndarray, "{side} {side}"]]:
    """Draws room, shadow, person and things in front: linear RGB and the person's visible mask."""
    colour, coverage = _person(scene.light, camera, side, take, vertices_mm)
    behind = _background(studio, scene, camera, side, vertices_mm)
    linear = colour + behind * (1 - coverage[..., None])
    mask = render.silhouette(coverage)
    if rng.random() < studio.occlusion:
        mask = _occlude(linear, mask, rng)
    return linear, mask


def _person(light, camera, side, take, vertices_mm):
    assets = body.load()
    count, faces = assets.skin_count, assets.faces
    region = assets.vertex_region[:count]
    rest = looks.reference_points(take.rest_mm[:count])
    points = vertices_mm[:count].astype(np.float32)
    normals = render.vertex_normals(points, faces).astype(np.float32)
    stands_off = looks.offsets(take.look, region, rest).astype(np.float32)
    points = points + normals * stands_off[:, None]
    fine = cameras.scale_output(camera, float(_SUPERSAMPLING))
    in_camera = cameras.world_to_camera(fine, points)
    visible = render.rasterise(
        cameras.camera_to_image(fine, in_camera), in_camera[:, 2], faces, side * _SUPERSAMPLING
    )
    values = render.interpolate(visible, np.concatenate([normals, rest], axis=1), faces)
    nearest = faces[visible.faces, visible.weights.argmax(axis=1)]
    albedo = looks.albedo(take.look, region[nearest], values[:, 3:])
    cloth = stands_off[nearest] > 0
    wave = np.sin(values[:, 3:] @ _FOLDS + take.look.top.phase)
    bent = values[:, :3] + np.float32(0.22) * wave * cloth[:, None]
    view = camera.position_mm - points.mean(axis=0)
    view = view / np.linalg.norm(view)
    gloss = np.where(cloth, np.float32(0.03), np.float32(0.1))
    colours = render.shade(albedo, bent, view, light, gloss)
    return render.to_canvas(visible, colours, side, _SUPERSAMPLING)


_FOLDS = np.array([[0.045, 0.021, 0.013], [0.018, 0.052, 0.031], [0.03, 0.012, 0.047]], np.float32)


def _background(studio, scene, camera, side, vertices_mm) -> Float32[np.ndarray, "s s 3"]:
    """The floor with the person's shadow, and the wall, a cylinder around the scene.

    It is computed in half the resolution.
    """
    half = side // 2
    rough = cameras.scale_output(camera, 0.5)
    grid = np.arange(half, dtype=np.float32)
    px = np.stack(np.meshgrid(grid, grid, indexing="xy"), axis=-1).reshape(-1, 2)
    rays = cameras.image_to_camera(rough, px) @ rough.rotation
    origin = rough.position_mm
    a = rays[:, 0] ** 2 + rays[:, 2] ** 2
    b = rays[:, 0] * origin[0] + rays[:, 2] * origin[2]
    c = origin[0] ** 2 + origin[2] ** 2 - max(studio.room_mm, 1.15 * np.hypot(*origin[[0, 2]])) ** 2
    to_wall = (-b + np.sqrt(np.maximum(b * b - a * c, 0))) / np.maximum(a, 1e-9)
    down = np.minimum(rays[:, 1], -1e-6)
    to_floor = np.where(rays[:, 1] < -1e-6, -origin[1] / down, np.inf)
    on_floor = to_floor < to_wall
    hit = origin + rays * np.minimum(to_wall, to_floor)[:, None]
    rows, columns = scene.wall.shape[:2]
    azimuth = np.arctan2(hit[:, 2], hit[:, 0]) / (2 * np.pi) + 0.5
    u = np.where(on_floor, hit[:, 0] / _FLOOR_MM * _FLOOR_PX, azimuth * columns)
    v = np.where(
        on_floor,
        hit[:, 2] / _FLOOR_MM * _FLOOR_PX,
        np.clip(1 - hit[:, 1] / scene.wall_height_mm, 0, 0.999) * rows,
    )
    u, v = (x.reshape(half, half).astype(np.float32) for x in (u, v))
    sky = scene.light.sky + 0.5 * scene.light.lamp
    wall = cv2.remap(scene.wall, u % columns, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    floor = cv2.remap(
        scene.floor, u % _FLOOR_PX, v % _FLOOR_PX, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    lit = _shadow(scene.light, rough, vertices_mm, half)[..., None]
    lamp = scene.light.lamp * max(float(scene.light.direction[1]), 0)
    floor = floor * (scene.light.sky + lamp * lit)
    image = np.where(on_floor.reshape(half, half, 1), floor, wall * sky).astype(np.float32)
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)


def _shadow(light, camera, vertices_mm, side) -> Float32[np.ndarray, "s s"]:
    """The share of the lamp's light on the floor at each pixel; 1 outside of the shadow."""
    ray = light.direction
    ground = vertices_mm - ray * (vertices_mm[:, 1:2] / max(float(ray[1]), 0.1))
    at = np.round(cameras.project(camera, ground.astype(np.float32)))
    inside = ((at >= 0) & (at < side)).all(axis=1)
    at = at[inside].astype(np.int64)
    spots = np.zeros((side, side), np.float32)
    spots[at[:, 1], at[:, 0]] = 1
    spots = cv2.morphologyEx(spots, cv2.MORPH_CLOSE, _square(side / 14.5))
    return 1 - 0.85 * cv2.GaussianBlur(spots, (0, 0), side / 60)


def _square(side: float) -> UInt8[np.ndarray, "s s"]:
    """A kernel with a middle, of about this side."""
    odd = 2 * round((side - 1) / 2) + 1
    return np.ones((odd, odd), np.uint8)


@functools.cache
def _things() -> list[np.ndarray]:
    return props.occluders(20260, _OCCLUDERS)


def _occlude(linear, mask, rng) -> Bool[np.ndarray, "s s"]:
    """Draws an object over the lower part of the picture, in place; returns the visible mask."""
    things = _things()
    thing = things[int(rng.integers(len(things)))]
    side = mask.shape[0]
    factor = rng.uniform(0.35, 0.75) * side / 192
    thing = cv2.resize(thing, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    height, width = thing.shape[:2]
    left = int(rng.uniform(0.15, 0.85) * side) - width // 2
    top = int(rng.uniform(0.45, 0.95) * side) - height // 2
    x0, y0, x1, y1 = (
        max(left, 0),
        max(top, 0),
        min(left + width, side),
        min(top + height, side),
    )
    part = thing[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.float32) / 255
    alpha = part[..., 3:]
    target = linear[y0:y1, x0:x1]
    target[:] = target * (1 - alpha) + part[..., :3] ** 2.2 * alpha * rng.uniform(0.5, 1.0)
    mask = mask.copy()
    mask[y0:y1, x0:x1] &= alpha[..., 0] < 0.5
    return mask


def _finish(studio, linear, rng) -> bytes:
    """What the studio's cameras make of the light: exposure, white balance, blur, grain, JPEG."""
    gain = rng.uniform(0.8, 1.2) * rng.uniform(0.94, 1.06, 3)
    linear = linear * gain.astype(np.float32)
    blur = rng.uniform(*studio.blur_px)
    if blur > 0.25:
        linear = cv2.GaussianBlur(linear, (0, 0), blur)
    if studio.grain:
        shot = rng.standard_normal(linear.shape[:2], dtype=np.float32)[..., None]
        linear = linear + studio.grain * shot * np.sqrt(np.clip(linear, 0.01, 1))
    image = render.encode_srgb(linear)
    settings = [cv2.IMWRITE_JPEG_QUALITY, studio.quality]
    ok, encoded = cv2.imencode(".jpg", image[..., ::-1], settings)
    if not ok:
        raise ValueError("OpenCV could not encode a picture as JPEG; its build lacks JPEG support")
    return encoded.tobytes()
