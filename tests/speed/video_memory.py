"""Memory of predicting a long video: python tests/speed/video_memory.py [FRAMES].

The clip has FRAMES frames of 640 × 480 px with two people. The estimator's network costs nothing:
reading, recording, tracking, smoothing, drawing and writing are left. Prints the resident memory at
each tenth of the frames and after the end, and the frames per second.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "prediction"))

import red_people

from acae_jax.media import inputs, recorder
from acae_jax.prediction import estimates, outputs, pipeline
from acae_jax.recordings import results


class Watched(red_people.Detector):
    """Notes the resident memory now and then."""

    def __init__(self, every: int):
        super().__init__()
        self.every, self.resident_mb = every, []

    def __call__(self, images, *arguments):
        before = self.shown // self.every
        boxes = super().__call__(images, *arguments)
        if self.shown // self.every > before:
            self.resident_mb.append(resident_mb())
        return boxes


def resident_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main(count: int) -> None:
    """Make the clip, predict it and print."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "long.mp4"
        with recorder.Recorder(clip, 30.0) as record:
            for index in range(count):
                record.write(
                    red_people.make_image(20, 100 + index // 20 % 400, width=640, height=480)
                )
        detector = Watched(max(1, count // 10))
        finish = outputs.OutputSettings(True, True, (), 55.0, None, None)
        settings = estimates.PredictionSettings(
            Path(folder) / "out", {"skeleton": "six"}, {}, None, 1, finish
        )
        start = time.monotonic()
        failures = pipeline.run(
            red_people.make_estimator(detector), inputs.find([str(clip)], settings.out), settings
        )
        seconds = time.monotonic() - start
        entries = len(results.read_npz(settings.out / "long.npz").frame)
    assert not failures
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("resident MB at tenths:", *(f"{value:.0f}" for value in detector.resident_mb))
    print(f"after all {resident_mb():.0f}, peak {peak_mb:.0f} MB; {entries} poses")
    print(f"{count / seconds:.0f} frames a second")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
