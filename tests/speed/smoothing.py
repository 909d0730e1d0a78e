"""What smoothing does to a known motion: python tests/speed/smoothing.py.

Somebody walks, or stands, at 30 frames a second with 20 mm of noise on each axis of each joint.
Prints error and trembling (third difference) in mm and delay in frames, without smoothing and with
both kinds of it, and the time for a minute of 100 joints.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "recordings"))

import recordings_smoothing_test as motions

from acae_jax.pages import tables
from acae_jax.recordings import results, smoothing


def main() -> None:
    """Print the table."""
    frames = np.arange(600)
    rows = []
    for name, moving in (("walks", True), ("stands", False)):
        true = motions.make_motion(frames, moving)
        noisy = motions.make_sequence(motions.noisy(true), frames)
        ways = {
            "raw": noisy.poses_mm,
            "smooth (files)": smoothing.smooth(noisy).poses_mm,
            "filter (camera)": motions.filtered(noisy),
        }
        for way, poses in ways.items():
            delay = f"{motions.lag_frames(poses):.1f}" if moving else "-"
            error, jitter = motions.error_mm(poses, true), motions.jitter_mm(poses)
            rows.append([f"{name}, {way}", f"{error:.1f}", f"{jitter:.1f}", delay])
        rows.append([f"{name}, truth", "0", f"{motions.jitter_mm(true):.1f}", "0"])
    print(tables.text(["", "error mm", "trembling mm", "delay frames"], rows))
    rng = np.random.default_rng(0)
    many = results.blank(tuple(f"joint{j}" for j in range(100)), (), {}, 30.0)
    minute = many._replace(
        frame=np.arange(1800, dtype=np.int32),
        time_s=np.arange(1800) / 30,
        track=np.zeros(1800, np.int32),
        boxes=np.zeros((1800, 5), np.float32),
        poses_mm=rng.normal(0, 100, (1800, 100, 3)).astype(np.float32),
        poses_px=rng.normal(0, 100, (1800, 100, 2)).astype(np.float32),
        uncertainty_mm=np.full((1800, 100), 20, np.float32),
    )
    start = time.process_time()
    smoothing.smooth(minute)
    print(f"\na minute of 100 joints: {time.process_time() - start:.2f} s of one core")


if __name__ == "__main__":
    main()
