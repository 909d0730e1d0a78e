"""How fast a video of a release becomes records, beside bare video decoding, on one core.

Run by hand on an otherwise idle machine: `taskset -c 0 python tests/speed/prepare.py`. A video of
1000 × 1000 px with one person, 500 px high, whose camera has a lens; every frame becomes a record.
Prints frames a second of decoding alone, of records with given boxes and without masks, with the
network's masks, and with the detector's boxes; after each the most memory that the process had.
"""

import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2

sys.path.insert(0, str(Path(__file__).parent.parent / "datasets"))

import miniature

from acae_jax.datasets import frames_to_records, release
from acae_jax.datasets.official import h36m
from acae_jax.datasets.readers import videos
from acae_jax.datasets.steps import person_boxes

SIZE, FRAMES = (1000, 1000), 60
DETECTED = partial(person_boxes.detected, factor=1.25, least_iou=0.0)
WAYS = (
    ("given boxes", {"boxes": person_boxes.given, "finds_masks": False}, FRAMES),
    ("and masks", {"boxes": person_boxes.given, "finds_masks": True}, FRAMES // 3),
    ("and detector", {"boxes": DETECTED, "finds_masks": True}, FRAMES // 6),
)


def frames(path, camera, joints_mm, count):
    for index, image in videos.chosen(path, range(count)):
        mm = joints_mm[index, 0]
        person = release.Person("a", mm, None, miniature.box(camera, mm, 1.1))
        yield release.Frame(image, camera, (person,), "clip", index, "left", release.Z_UP)


def main():
    cv2.setNumThreads(1)
    camera = miniature.ring(1, size=SIZE)[0]
    joints_mm = miniature.people_mm(25, FRAMES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        miniature.write_video(path, [miniature.picture(camera, mm, SIZE) for mm in joints_mm])
        start = time.perf_counter()
        decoded = sum(1 for _ in videos.chosen(path, range(FRAMES)))
        told("decoding", decoded, start)
        for name, changes, count in WAYS:
            facts = h36m.RELEASE._replace(**changes)
            records = made(facts, frames(path, camera, joints_mm, count))
            next(records)  # compiles
            start = time.perf_counter()
            told(name, sum(1 for _ in records), start)


def made(facts, people):
    """The records; frames without a box give none."""
    networks = frames_to_records.Networks()
    return frames_to_records.records(facts, people, networks, frames_to_records.Tally(facts))


def told(name, count, start):
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    rate = count / (time.perf_counter() - start)
    print(f"{name:14}{rate:8.1f} a second{memory_mb:8.0f} MB", flush=True)


if __name__ == "__main__":
    main()
