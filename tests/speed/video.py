"""Side by side: a video whose people are followed, as now, and one with detection in every frame.

Run by hand on an otherwise idle machine: `python tests/speed/video.py [VIDEO]`. Without VIDEO it
makes one, in which the camera wanders over a rendered person. Prints frames per second of the whole
chain (reading, detection, poses, files, tracks, smoothing) without and with the video of the people
drawn on it: medians of alternating repetitions, after one that compiles.
"""

import contextlib
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np

import acae_jax
from acae_jax.datasets.synthetic import scenes, studios, takes
from acae_jax.images import decoding, resizing
from acae_jax.media import inputs, recorder
from acae_jax.prediction import estimates, followed, outputs, pipeline
from acae_jax.recordings import json_lines

FRAMES, FPS, HEIGHT, WIDTH = 60, 30.0, 480, 640
REPEATS = 3
WAYS = {"every frame": 1, "followed": followed.LONGEST}


def write_video(path):
    """A rendered person before a camera that wanders."""
    studio = studios.STUDIOS["embedded_test"]
    image = decoding.decode(scenes.make(studio, 7, takes.make(studio, 7, 0), 0).image)
    large = resizing.resize(image, 600, 600)
    wide = np.pad(large, ((0, 0), (100, 100), (0, 0)), mode="edge")
    with recorder.Recorder(path, FPS) as record:
        for index in range(FRAMES):
            left = round(80 + 70 * np.sin(index / 15))
            top = round(60 + 50 * np.cos(index / 20))
            record.write(np.ascontiguousarray(wide[top : top + HEIGHT, left : left + WIDTH]))


def frames_per_s(estimator, path, out, draw):
    """Frames per second, and the share of frames with somebody."""
    skeleton = {"skeleton": estimator.bundle.facts.default_skeleton}
    finish = outputs.OutputSettings(True, draw, (), 55.0, None, None)
    settings = estimates.PredictionSettings(out, skeleton, {}, None, 1, finish)
    sources = inputs.find([str(path)], out)
    quiet = io.StringIO()
    start = time.perf_counter()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        pipeline.run(estimator, sources, settings)
    seconds = time.perf_counter() - start
    recorded = json_lines.read_jsonl(out / f"{path.stem}.predicted.jsonl")
    shown = len(np.unique(recorded.sequence.frame)) / len(recorded.seen)
    return len(recorded.seen) / seconds, shown


def main():
    estimator = acae_jax.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "pan.mp4"
        if len(sys.argv) < 2:
            write_video(path)
        rates = {(way, draw): [] for draw in (False, True) for way in WAYS}
        shown = {}
        for repeat in range(1 + REPEATS):
            for way, draw in rates:
                out = Path(folder) / f"{repeat} {way} {draw}"
                with mock.patch.object(followed, "LONGEST", WAYS[way]):
                    rate, shown[way] = frames_per_s(estimator, path, out, draw)
                rates[way, draw].append(rate)
    for (way, draw), values in rates.items():
        label = f"{way}, {'with' if draw else 'without'} drawing"
        rate = statistics.median(values[1:])
        print(f"{label:32}{rate:6.1f} frames a second, people in {shown[way]:.0%} of them")


if __name__ == "__main__":
    main()
