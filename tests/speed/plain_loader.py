"""The examples of `examples.make` in the plain way, to compare speed and pixels with.

Images are float32 throughout, the map of coordinates is computed in numpy, and every augmentation
is a pass or two over the image. Random numbers, crop camera and labels are those of
`examples.make`; only the way to make the pixels differs. It keeps to one thread.
"""

import cv2
import numpy as np

from acae_jax.data import examples, labels
from acae_jax.geometry import cameras
from acae_jax.images import crops, masks, occlusion


def make(
    record,
    seed_step_slot,
    *,
    union,
    label_names,
    side_px,
    augmentation,
    occluders,
    backgrounds,
    dataset_index,
    coordinates,
):
    """One example, as `examples.make` defines it; `coordinates` is one of the two below."""
    encoded = np.frombuffer(record.image, np.uint8)
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB).astype(np.float32) / 255
    size = image.shape[:2]
    stored = examples.stored_camera(record)
    box, view = examples._vary_geometry(record.box.astype(np.float64), augmentation, seed_step_slot)
    crop = crops.camera(stored, box, side_px, view)
    x, y = coordinates(crop, stored, side_px)
    image = cv2.remap(image, x, y, cv2.INTER_LINEAR)
    if record.mask_rle.size:
        rng = examples._stream(seed_step_slot, examples._BACKGROUND)
        is_used, which = rng.random(2)
        if is_used < augmentation.background_probability:
            mask = masks.decode(record.mask_rle, *size).astype(np.float32)
            alpha = cv2.remap(mask, x, y, cv2.INTER_LINEAR)[..., None]
            behind = draw_background(
                backgrounds[int(which * len(backgrounds))], side_px, rng, augmentation
            )
            image = alpha * image + (1 - alpha) * behind
    rng = examples._stream(seed_step_slot, examples._OCCLUSION)
    kind = occlusion.draw_kind(rng, augmentation.occlusion_probability)
    if kind == "objects":
        paste_objects(image, rng, occluders, augmentation)
    image = jitter(image, examples._stream(seed_step_slot, examples._COLOUR), augmentation)
    image = np.rint(image * 255).astype(np.uint8)
    if kind == "erase":
        image = occlusion.erase(image, rng, occlusion.draw_rectangle(rng, *image.shape[:2]))
    joints_mm, valid = labels.place_joints(record, union, crop, view.flip)
    labels_px, labels_valid = labels.place_labels_2d(record, label_names, stored, crop, view.flip)
    return {
        "image": image,
        "intrinsics": np.asarray(crop.intrinsics, np.float32),
        "joints_mm": joints_mm,
        "valid": valid,
        "labels_px": labels_px,
        "labels_valid": labels_valid,
        "dataset": np.array(dataset_index, np.int32),
    }


def by_cameras(crop, stored, side_px):
    """Where each pixel of the crop lies in the stored image, for cv2.remap, by the cameras."""
    grid = np.stack(np.meshgrid(*[np.arange(side_px, dtype=np.float32)] * 2), axis=-1)
    x, y = np.moveaxis(cameras.reproject(crop, stored, grid.reshape(-1, 2)), -1, 0)
    return x.reshape(grid.shape[:2]).astype(np.float32), y.reshape(grid.shape[:2]).astype(
        np.float32
    )


def by_homography(crop, stored, side_px):
    """The same from a homography, which cameras without lens distortion allow."""
    homography = cameras.homography(crop, stored)
    column = np.arange(side_px, dtype=np.float32)
    row = column[:, None]
    x, y, z = (a * column + (b * row + c) for a, b, c in homography.astype(np.float32))
    return x / z, y / z


def draw_background(picture, side_px, rng, augmentation):
    """The part of a background behind the person, in [0, 1]."""
    height, width = picture.shape[:2]
    factor, radius, angle = rng.random(3)
    low, high = augmentation.background_zoom
    view = min(height, width) / (low + factor * (high - low))
    radius = augmentation.background_shift * view * np.sqrt(radius)
    angle = 2 * np.pi * angle
    side = round(view)
    left = round((width - side) / 2 + radius * np.cos(angle))
    top = round((height - side) / 2 + radius * np.sin(angle))
    left, top = min(max(left, 0), width - side), min(max(top, 0), height - side)
    region = picture[top : top + side, left : left + side]
    return cv2.resize(region, (side_px, side_px), interpolation=cv2.INTER_AREA) / np.float32(255)


def paste_objects(image, rng, occluders, augmentation):
    """Blend 1 to 6 objects into the image, in place."""
    height, width = image.shape[:2]
    low, high = augmentation.object_scale
    for which, size, x, y in rng.random((int(rng.integers(1, augmentation.max_objects + 1)), 4)):
        occluder = occluders[int(which * len(occluders))]
        factor = (low + size * (high - low)) * height / 256
        wide, tall = (max(1, round(n * factor)) for n in occluder.shape[1::-1])
        small = cv2.resize(occluder, (wide, tall), interpolation=cv2.INTER_AREA)
        left = round(x * width - 0.5 - (wide - 1) / 2)
        top = round(y * height - 0.5 - (tall - 1) / 2)
        x0, x1 = max(left, 0), min(left + wide, width)
        y0, y1 = max(top, 0), min(top + tall, height)
        part = small[y0 - top : y1 - top, x0 - left : x1 - left] / np.float32(255)
        target = image[y0:y1, x0:x1]
        target[:] = target * (1 - part[..., 3:]) + part[..., :3] * part[..., 3:]


def jitter(image, rng, augmentation):
    """The four changes of colour in a random order, one after another."""
    strength = 2 * rng.random(4) - 1
    for change in rng.permutation(4):
        if change == 0:
            image = image + np.float32(augmentation.brightness * strength[0])
        elif change == 1:
            image = (image - 0.5) * np.float32(1 + augmentation.contrast * strength[1]) + 0.5
        else:
            hsv = cv2.cvtColor(np.clip(image, 0, 1), cv2.COLOR_RGB2HSV)
            if change == 2:
                gain = np.float32(1 + augmentation.saturation * strength[2])
                hsv[..., 1] = np.minimum(hsv[..., 1] * gain, 1)
            else:
                turn = np.float32(np.degrees(augmentation.hue * strength[3]))
                hsv[..., 0] = (hsv[..., 0] + turn) % 360
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.clip(image, 0, 1)
