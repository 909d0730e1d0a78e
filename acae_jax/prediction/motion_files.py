"""The motion of each person as files for other programs: NAME.person0.bvh, …"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

from acae_jax.motion import bvh, c3d, track, trc
from acae_jax.prediction.left_out import leaving_out
from acae_jax.recordings import results

KINDS = ("bvh", "trc", "c3d")
UNEVEN = 0.1  # of the time from frame to frame: what clocks of whole milliseconds are off at most


def check(kinds: tuple[str, ...], moving: bool) -> None:
    """A ValueError if files are asked for that cannot be made; `moving`: of a video or camera."""
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"motion files are {', '.join(KINDS)}, not '{kind}'")
    if kinds and not moving:
        raise ValueError("motion files are made of videos and cameras; here are images only")
    if "c3d" in kinds and importlib.util.find_spec("ezc3d") is None:
        raise ValueError("C3D files need ezc3d: pip install -e '.[c3d]'")


def write(
    target: Path, sequence: results.Sequence, kinds: tuple[str, ...], failures: list[str]
) -> None:
    """Write the motion of each person in each of the kinds beside `target`.

    From the first frame in which a person was seen to the last one; joints in between are missing
    where the person was not seen. These files know one rate: frames that come at uneven times are
    interpolated to their mean rate. Files that cannot be written are left out.
    """
    # Steps are counted from the video's beginning, for files number their frames from there.
    step = max(1, int(np.gcd.reduce(np.unique(sequence.frame))))
    fps, names = sequence.fps / step, sequence.joint_names
    places = np.round(sequence.time_s * fps, 4)  # exact where frames come at even times
    if kinds and len(places) and np.abs(places - np.round(places)).max() > UNEVEN:
        print(
            f"{target.name}: frames come at uneven times; motion files have their mean rate of "
            f"{fps:.4g} a second, with poses interpolated",
            file=sys.stderr,
        )
    for number in np.unique(sequence.track).tolist():
        mine = sequence.track == number
        person = results.keep(sequence, mine)
        first, poses_mm = track.at_even_times(
            places[mine], person.poses_mm, np.diff(person.frame) <= step
        )
        for kind in kinds:
            path = target.with_name(f"{target.name}.person{number}.{kind}")
            with leaving_out(failures, path.name):
                if kind == "bvh":
                    bvh.write(path, names, person.edges, poses_mm, fps)
                elif kind == "trc":
                    trc.write(path, names, poses_mm, fps, first_frame=first)
                else:
                    c3d.write(path, names, poses_mm, fps, first_frame=first)
