"""Side by side: detection with one view of every image, and with two: what it finds, what it costs.

Run by hand on an otherwise idle machine: `python tests/speed/detection.py`. Prints the share of
rendered people, one in an image, that are found (by score and overlap with the true box), by their
height in the larger view. Then prints milliseconds an image: medians of alternating repetitions.
"""

import statistics
import time

import numpy as np
from tqdm import tqdm

from acae_jax.datasets.synthetic import scenes, studios, takes
from acae_jax.geometry import boxes as box_geometry
from acae_jax.images import decoding, resizing
from acae_jax.inference import detection

VIEWS = {"one view": detection.SIDES_PX[:1], "two views": detection.SIDES_PX}
HEIGHTS_PX = (32, 40, 48, 64, 100, 139, 200, 277)
SIZES = ((480, 640), (1080, 1920), (3000, 4000))
TAKES = 24
REPEATS = 11


def rendered():
    """Images of one person each, with the true box."""
    studio = studios.STUDIOS["embedded_test"]
    for take in tqdm(range(TAKES), desc="rendering", unit="take"):
        record = scenes.make(studio, 7, takes.make(studio, 7, take), 24 * take)
        yield decoding.decode(record.image), record.box


def picture(image, box, height_px):
    """A grey square of 416 px with the image in its middle, scaled to this height of the person."""
    side = detection.SIDES_PX[0]
    small = round(image.shape[0] * height_px / box[3])
    scale, offset = small / image.shape[0], (side - small) // 2
    canvas = np.full((side, side, 3), 127, np.uint8)
    canvas[offset : offset + small, offset : offset + small] = resizing.resize(image, small, small)
    return canvas, (box * scale + [offset, offset, 0, 0]).astype(np.float32)


def is_found(detect, image, box):
    """Whether a box with a score of 0.4 overlaps the true one by half."""
    (boxes,) = detect([image], 0.4)
    overlap = box_geometry.iou(boxes[:, :4], np.broadcast_to(box, (len(boxes), 4)))
    return overlap.max(initial=0) > 0.5


def main():
    detect = detection.load()
    people = list(rendered())
    print(f"{'height in the larger view':28}" + "".join(f"{name:>12}" for name in VIEWS))
    for height in HEIGHTS_PX:
        cases = [picture(image, box, height) for image, box in people]
        shares = []
        for sides in VIEWS.values():
            detection.SIDES_PX = sides
            shares.append(np.mean([is_found(detect, *case) for case in cases]))
        print(f"{height:>25} px" + "".join(f"{share:>12.0%}" for share in shares), flush=True)

    rng = np.random.default_rng(0)
    images = {size: rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES}
    times = {(size, name): [] for size in SIZES for name in VIEWS}
    for _ in tqdm(range(REPEATS), desc="timing", unit="repetition"):
        for size, name in times:
            detection.SIDES_PX = VIEWS[name]
            start = time.perf_counter()
            detect([images[size]])
            times[size, name].append(1e3 * (time.perf_counter() - start))
    for size in SIZES:
        one, two = (statistics.median(times[size, name]) for name in VIEWS)
        label = f"{size[1]} × {size[0]} px"
        print(f"{label:28}{one:>9.1f} ms{two:>9.1f} ms   {two / one:.2f} ×")


if __name__ == "__main__":
    main()
