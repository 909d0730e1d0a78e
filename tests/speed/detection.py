"""Side by side: three views of every image, as now, and two, as once: what is found, what it costs.

Run by hand on an otherwise idle machine: `python tests/speed/detection.py`. Prints the share of
rendered people, one in an image, that are found (by score and overlap with the true box), by their
height in the image's longer side, whole and cut by its border. Then prints milliseconds an image:
medians of alternating repetitions.
"""

import statistics
import time

import numpy as np
from tqdm import tqdm

from acae_jax.datasets.synthetic import scenes, studios, takes
from acae_jax.geometry import boxes as box_geometry
from acae_jax.images import decoding, resizing
from acae_jax.inference import detection

WAYS = {
    "two views": ((((416, 416), (288, 288)),), (np.inf, np.inf)),
    "three views": (detection.CANVASES, detection.LARGEST),
}
HEIGHTS = (0.07, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.5, 0.7)
SIZES = ((480, 640), (1080, 1920), (1000, 1000), (3000, 4000))
TAKES = 24
REPEATS = 11


def rendered():
    """Images of one person each, with the true box."""
    studio = studios.STUDIOS["embedded_test"]
    for take in tqdm(range(TAKES), desc="rendering", unit="take"):
        record = scenes.make(studio, 7, takes.make(studio, 7, take), 24 * take)
        yield decoding.decode(record.image), record.box


def picture(image, box, share):
    """The image in the middle of a grey one of 3 : 4, scaled to this height of the person."""
    height, width = 480, 640
    small = round(image.shape[0] * share * width / box[3])
    scale, top, left = small / image.shape[0], (height - small) // 2, (width - small) // 2
    canvas = np.full((height, width, 3), 127, np.uint8)
    drawn = resizing.resize(image, small, small)
    inside = drawn[max(0, -top) : height - top, max(0, -left) : width - left]
    canvas[max(0, top) : top + small, max(0, left) : left + small] = inside
    whole = (box * scale + [left, top, 0, 0]).astype(np.float32)
    return canvas, box_geometry.intersect(whole, box_geometry.of_image(width, height))


def cut(image, box, side):
    """Half of the person fills the image."""
    x, y, width, height = box.tolist()
    end = height / 2 if side == "bottom" else height + 8
    rows = slice(max(0, round(y - 8)), round(y + end))
    columns = {
        "left": slice(round(x + width / 2), round(x + width + 8)),
        "right": slice(max(0, round(x - 8)), round(x + width / 2)),
        "bottom": slice(max(0, round(x - 8)), round(x + width + 8)),
    }[side]
    part = np.ascontiguousarray(image[rows, columns])
    moved = box - np.array([columns.start, rows.start, 0, 0], np.float32)
    return part, box_geometry.intersect(moved, box_geometry.of_image(*part.shape[1::-1]))


def is_found(detect, image, box):
    """Whether a box with a score of 0.4 overlaps the true one by half."""
    (boxes,) = detect([image], 0.4)
    overlap = box_geometry.iou(boxes[:, :4], np.broadcast_to(box, (len(boxes), 4)))
    return overlap.max(initial=0) > 0.5


def main():
    detect = detection.load()
    people = list(rendered())
    rows = {f"{share:g} of the side": (picture, share) for share in HEIGHTS}
    rows |= {f"half, cut at the {side}": (cut, side) for side in ("left", "right", "bottom")}
    print(f"{'people found':28}" + "".join(f"{name:>14}" for name in WAYS))
    for label, (make, how) in rows.items():
        cases = [make(image, box, how) for image, box in people]
        shares = []
        for detection.CANVASES, detection.LARGEST in WAYS.values():
            shares.append(np.mean([is_found(detect, *case) for case in cases]))
        print(f"{label:28}" + "".join(f"{share:>14.0%}" for share in shares), flush=True)

    rng = np.random.default_rng(0)
    images = {size: rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES}
    times = {(size, name): [] for size in SIZES for name in WAYS}
    for _ in tqdm(range(1 + REPEATS), desc="timing", unit="repetition"):
        for size, name in times:
            detection.CANVASES, detection.LARGEST = WAYS[name]
            start = time.perf_counter()
            detect([images[size]])
            times[size, name].append(1e3 * (time.perf_counter() - start))
    for size in SIZES:
        two, three = (statistics.median(times[size, name][1:]) for name in WAYS)
        label = f"{size[1]} × {size[0]} px"
        print(f"{label:28}{two:>11.1f} ms{three:>11.1f} ms   {three / two:.2f} ×")


if __name__ == "__main__":
    main()
