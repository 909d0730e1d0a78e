"""How large the viewer's page of a long recording is, and how fluently Chromium plays it.

Run by hand on an otherwise idle machine: `python tests/speed/viewer.py [FRAMES]`. The recording has
three people in skeletons of 17, 42 or 179 joints, with noise of a few mm from frame to frame.
Prints the page's size, how long it takes to write and to open, and for five seconds of playing: the
time from one screen update to the next, 16.7 ms at 60 Hz, and the processor time of each frame that
is shown, which depends less on what else runs.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "viewer"))
import chromium
import walkers

from acae_jax.bundles.facts import Selection
from acae_jax.recordings.results import Sequence
from acae_jax.viewer import html_page

PEOPLE, NOISE_MM = 3, 4.0
PLAYED = """new Promise((done) => {
  document.getElementById("play").click();
  const start = performance.now(), times = [];
  let last = null;
  const tick = (now) => {
    if (last !== null) times.push(now - last);
    last = now;
    if (now - start < 5000) requestAnimationFrame(tick);
    else done([times, Number(document.getElementById("frame").value)]);
  };
  requestAnimationFrame(tick);
})"""


def recording(joints: int, frames: int) -> Sequence:
    """Walkers with more joints, which lie between those of the body and form one chain."""
    rng = np.random.default_rng(0)
    walk = walkers.sequence(PEOPLE, frames)
    walk.poses_mm[..., 0] -= 30 * walk.frame[:, None]  # they walk where they are
    share = rng.dirichlet(np.full(len(walkers.NAMES), 0.3), joints)
    poses_mm = np.einsum("kj,njc->nkc", share, walk.poses_mm)
    poses_mm += rng.normal(0, NOISE_MM, poses_mm.shape)
    errors_mm = 40 + rng.normal(0, NOISE_MM, poses_mm.shape[:2])
    names = tuple(f"j{joint}" for joint in range(joints))
    edges = tuple((joint, joint + 1) for joint in range(joints - 1))
    return walk._replace(
        joint_names=names,
        edges=edges,
        poses_mm=poses_mm.astype(np.float32),
        poses_px=np.zeros((*poses_mm.shape[:2], 2), np.float32),
        uncertainty_mm=errors_mm.astype(np.float32),
        skeletons={"chain": Selection(tuple(range(joints)), names, edges)},
    )


def task_seconds(page: chromium.Page) -> float:
    """Processor time that the page's own thread has spent."""
    metrics = page.call("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in metrics if one["name"] == "TaskDuration")


def main() -> None:
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with chromium.Page() as page, tempfile.TemporaryDirectory() as folder:
        page.resize(1200, 760)
        page.call("Performance.enable", timeDomain="threadTicks")
        for joints in (17, 42, 179):
            path = Path(folder) / "page.html"
            walk = recording(joints, frames)
            start = time.perf_counter()
            html_page.write(path, walk)
            written = time.perf_counter()
            page.open(path.as_uri())
            opened = time.perf_counter()
            busy = task_seconds(page)
            times, last = page.evaluate(PLAYED)
            busy = task_seconds(page) - busy
            print(
                f"{frames} frames, {PEOPLE} people, {joints:3} joints: "
                f"{path.stat().st_size / 1e6:5.1f} MB, written in {written - start:.1f} s, "
                f"opened in {opened - written:.1f} s, pictures every {np.median(times):.1f} ms "
                f"(95th percentile {np.percentile(times, 95):.1f}), {1e3 * busy / last:.1f} ms of "
                f"the processor for each of {last} frames",
                flush=True,
            )


if __name__ == "__main__":
    main()
