"""From recorded predictions to what people look at: tracked, smoothed, drawn, as motion files."""

import contextlib
import errno
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from acae_jax.geometry import cameras
from acae_jax.media import clock, inputs, overlay, prefetch, recorder, stills, videos
from acae_jax.motion import bvh, c3d, track, trc
from acae_jax.recordings import json_lines, results, smoothing, tracking
from acae_jax.viewer import html_page

THUMBNAILS = 200  # at most, in a page
MOTION = ("bvh", "trc", "c3d")
UNEVEN = 0.1  # of the time from frame to frame: what clocks of whole milliseconds are off at most
FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or a quota of it
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]


class Settings(NamedTuple):
    """What to make of poses: smooth motion, pictures, files of motion.

    `intrinsics` are those of all images, or a matrix for each where it is None: the longer side
    spans `fov_degrees`.
    """

    smooth: bool
    overlay: bool
    motion: tuple[str, ...]
    fov_degrees: float
    intrinsics: Float[np.ndarray, "3 3"] | None
    distortion: Float[np.ndarray, " k"] | None


def check(settings: Settings, moving: bool) -> None:
    """A ValueError if motion files are asked for that cannot be made; `moving`: of a video."""
    for kind in settings.motion:
        if kind not in MOTION:
            raise ValueError(f"motion files are {', '.join(MOTION)}, not '{kind}'")
    if settings.motion and not moving:
        raise ValueError("motion files are made of videos and cameras; here are images only")
    if "c3d" in settings.motion and importlib.util.find_spec("ezc3d") is None:
        raise ValueError("C3D files need ezc3d: pip install -e '.[c3d]'")


def beside(target: Path, suffix: str) -> Path:
    """The file of results with this suffix."""
    return target.with_name(target.name + suffix)


# ------------------------------------------------------------------------------------------ images


def picture(
    image: UInt8[np.ndarray, "h w 3"], frame: results.Frame, empty: results.Sequence
) -> UInt8[np.ndarray, "H W 3"]:
    """The image with a frame's people drawn on it; the world is the camera's space."""
    return overlay.draw(
        image,
        frame.poses_px,
        frame.poses_mm[..., 2],
        frame.uncertainty_mm,
        frame.track,
        empty.joint_names,
        empty.edges,
    )


def write_picture(
    target: Path,
    name: str,
    image: UInt8[np.ndarray, "h w 3"],
    frame: results.Frame,
    empty: results.Sequence,
) -> None:
    """Write an image with its people as a JPEG; an OSError if it cannot be written."""
    folder = target.with_name(inputs.OVERLAYS)
    folder.mkdir(exist_ok=True)
    pixels = picture(image, frame, empty)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), JPEG)
    (folder / f"{frame.index:05}_{name}.jpg").write_bytes(jpeg.tobytes())


def finish_images(target: Path, settings: Settings) -> None:
    """Write the arrays and the page of images whose poses are recorded."""
    found = json_lines.read_jsonl(beside(target, ".jsonl"))
    results.write_npz(beside(target, ".npz"), found.sequence, found.sources)
    thumbnails = {}
    if settings.overlay:
        for index in _thinned(range(len(found.sources))):
            source = Path(found.sources[index])
            if inputs.stamp(source) != found.stamps[index]:  # changed since, or gone
                continue
            with contextlib.suppress(ValueError, OSError):
                thumbnails[index] = html_page.thumbnail(stills.read(source), source.name)
    _write_page(target, found.sequence, "Images", thumbnails, settings, still=True)
    seen = len(found.sequence.frame), len(found.sources)
    print(f"people: {seen[0]}, images: {seen[1]}; look at {beside(target, '.html')}")


# ------------------------------------------------------------------------------------------ videos


def is_finished(target: Path, facts: Mapping[str, Any], settings: Settings) -> bool:
    """Whether `finish_video` has come to its end with the same facts and settings."""
    path = beside(target, ".jsonl")
    if not path.exists():
        return False
    before = json_lines.read_jsonl(path)
    return before.complete and before.facts == _final_facts(facts, settings)


def finish_video(
    target: Path, source: Path, predicted: json_lines.Recording, settings: Settings
) -> list[str]:
    """Track and smooth the people of a video, and write all that is made of it, poses first.

    Returns a line for each other file that could not be written.
    """
    seen, seen_s = predicted.seen.tolist(), predicted.seen_s.tolist()
    fps = clock.mean_fps(seen, seen_s, predicted.sequence.fps)
    sequence = predicted.sequence._replace(fps=fps)
    sequence = tracking.track(sequence, predicted.seen, predicted.seen_s)
    if settings.smooth:
        sequence = smoothing.smooth(sequence)
    results.write_npz(beside(target, ".npz"), sequence)
    json_lines.write_jsonl(beside(target, ".jsonl"), sequence, seen, seen_s, predicted.facts)
    failures = _write_views(target, sequence, source.name, settings)
    if settings.overlay:
        with _noting(failures, beside(target, ".overlay.mp4")):
            thumbnails = _draw_video(target, source, sequence, seen)
            _write_page(target, sequence, source.name, thumbnails, settings)
    if not failures:
        # Last, for they say that everything is there.
        json_lines.change_facts(beside(target, ".jsonl"), _final_facts(predicted.facts, settings))
    _tell(target, sequence)
    found = len(np.unique(predicted.sequence.frame))
    if found and not len(sequence.frame):
        print(
            f"{source.name}: there are people in {found} of {len(seen)} frames, but nobody in "
            f"enough of them to be followed; {beside(target, '.predicted.jsonl')} has them",
            file=sys.stderr,
        )
    return failures


def finish_camera(target: Path, settings: Settings) -> list[str]:
    """Write the arrays, page and motion of what a camera saw, tracked and steadied as it came.

    Returns a line for each page or file of motion that could not be written.
    """
    sequence = json_lines.read_jsonl(beside(target, ".jsonl")).sequence
    results.write_npz(beside(target, ".npz"), sequence)
    failures = _write_views(target, sequence, target.name, settings)
    _tell(target, sequence)
    return failures


def write_motion(target: Path, sequence: results.Sequence, kinds: tuple[str, ...]) -> list[str]:
    """Write the motion of each person in each of the kinds: NAME.person0.bvh, …

    From the first frame in which a person was seen to the last one; joints in between are missing
    where the person was not seen. These files know one rate: frames that come at uneven times are
    interpolated to their mean rate. Returns a line for each file that could not be written.
    """
    # Steps are counted from the video's beginning, for files number their frames from there.
    step = max(1, int(np.gcd.reduce(np.unique(sequence.frame))))
    fps, names, failures = sequence.fps / step, sequence.joint_names, []
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
            path = beside(target, f".person{number}.{kind}")
            with _noting(failures, path):
                if kind == "bvh":
                    bvh.write(path, names, person.edges, poses_mm, fps)
                elif kind == "trc":
                    trc.write(path, names, poses_mm, fps, first_frame=first)
                else:
                    c3d.write(path, names, poses_mm, fps, first_frame=first)
    return failures


def _draw_video(
    target: Path, source: Path, sequence: results.Sequence, seen: list[int]
) -> dict[int, html_page.Thumbnail]:
    """Write the video of the frames seen, people drawn on them; returns some small pictures."""
    thumbnails, shown = {}, set(_thinned(seen))
    every = seen[1] - seen[0] if len(seen) > 1 else 1
    frames = prefetch.prefetched(videos.open_file(source, every=every).frames, 8)
    quiet = not sys.stderr.isatty()
    with recorder.Recorder(beside(target, ".overlay.mp4"), sequence.fps / every) as record:
        for index, image, time_s in tqdm(frames, "drawing", len(seen), unit="frame", disable=quiet):
            record.write(picture(image, results.at(sequence, index, time_s), sequence))
            if index in shown:
                thumbnails[index] = html_page.thumbnail(image)
    return thumbnails


# ------------------------------------------------------------------------------------------- parts


def is_full(error: Exception) -> bool:
    """Whether the disk is full, so that whatever comes next could not be kept either."""
    return isinstance(error, OSError) and error.errno in FULL


@contextlib.contextmanager
def _noting(failures: list[str], path: Path) -> Iterator[None]:
    """Add a line to the failures if one file cannot be written, unless the disk is full."""
    try:
        yield
    except (ValueError, OSError) as error:
        if is_full(error):
            raise
        failures.append(f"{path.name}: {error}")


def _write_views(
    target: Path, sequence: results.Sequence, title: str, settings: Settings
) -> list[str]:
    """Write a page without pictures and the motion; returns a line for each file that failed."""
    failures = []
    with _noting(failures, beside(target, ".html")):
        _write_page(target, sequence, title, {}, settings)
    return failures + write_motion(target, sequence, settings.motion)


def _final_facts(facts: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    made = {"smooth": settings.smooth, "overlay": settings.overlay, "motion": [*settings.motion]}
    return {**facts, **made}


def _write_page(
    target: Path,
    sequence: results.Sequence,
    title: str,
    thumbnails: Mapping[int, html_page.Thumbnail],
    settings: Settings,
    still: bool = False,
) -> None:
    """Write the viewer's page, of images rather than a video if they are still."""
    camera = None
    if settings.intrinsics is not None:
        camera = cameras.create(settings.intrinsics, distortion=settings.distortion)
    page = beside(target, ".html")
    html_page.write(
        page,
        sequence,
        title=title,
        thumbnails=thumbnails,
        stills=still,
        camera=camera,
        default_fov_degrees=settings.fov_degrees,
    )


def _tell(target: Path, sequence: results.Sequence) -> None:
    people = len(np.unique(sequence.track))
    print(f"people: {people}, frames: {sequence.frame_count}; look at {beside(target, '.html')}")


def _thinned(indices: Sequence[int]) -> list[int]:
    """All of them, or so many evenly spread ones as a page has pictures."""
    return list(indices[:: -(-len(indices) // THUMBNAILS) or 1])
