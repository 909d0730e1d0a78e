"""How fast a video of a release becomes records, beside bare video decoding, on one core.

Run by hand on an otherwise idle machine: `taskset -c 0 python tests/speed/prepare.py`. A video of
1000 × 1000 px with one person, 500 px high, whose camera has a lens, as in Human3.6M; every frame
becomes a record. The limit is decoding and then the crop alone: placed, drawn and encoded. Prints
frames a second of decoding, of crops, of both one after the other, and of records: with given boxes
and without masks, with the network's masks, and with the detector's boxes. After each the most
memory that the process had. Times are the processor's, of all threads.
"""

import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "datasets"))

import miniature

from acae_jax.datasets import frames_to_records, release
from acae_jax.datasets.official import h36m
from acae_jax.datasets.readers import videos
from acae_jax.datasets.steps import person_boxes, stored_crop

SIZE, FRAMES = (1000, 1000), 120
DETECTED = partial(person_boxes.detected, factor=1.25, least_iou=0.0)
WAYS = (
    ("given boxes", {"boxes": person_boxes.given, "finds_masks": False}, FRAMES),
    ("and masks", {"boxes": person_boxes.given, "finds_masks": True}, FRAMES // 2),
    ("and detector", {"boxes": DETECTED, "finds_masks": True}, FRAMES // 4),
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
    networks = frames_to_records.Networks()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        miniature.write_video(path, [miniature.picture(camera, mm, SIZE) for mm in joints_mm])
        start = time.process_time()
        assert sum(1 for _ in videos.chosen(path, range(FRAMES))) == FRAMES
        decoding, cropping = time.process_time() - start, 0.0
        for index, image in videos.chosen(path, range(FRAMES)):
            box = miniature.box(camera, joints_mm[index, 0], 1.1)
            start = time.process_time()
            place = stored_crop.place(SIZE, camera, box, np.array(release.Z_UP), stored_crop.USUAL)
            stored_crop.encode(stored_crop.draw(image, place))
            cropping += time.process_time() - start
        limit = FRAMES / (decoding + cropping)
        for name, seconds in (("decoding", decoding), ("crops", cropping)):
            told(name, FRAMES / seconds, limit)
        told("the limit", limit, limit)
        for name, changes, count in WAYS:
            facts = h36m.RELEASE._replace(**changes)
            tally = frames_to_records.Tally(facts)
            people = frames(path, camera, joints_mm, count)
            records = frames_to_records.records(facts, people, networks, tally)
            next(records)  # compiles
            before, start = tally.frames, time.process_time()
            sum(1 for _ in records)
            told(name, (tally.frames - before) / (time.process_time() - start), limit)


def told(name, rate, limit):
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{name:14}{rate:8.1f} a second {rate / limit:6.2f} of the limit {memory_mb:8.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
