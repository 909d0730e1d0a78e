"""From recorded predictions to what people look at: tracked, smoothed, drawn, as motion files."""

import contextlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from acae_jax.geometry import cameras
from acae_jax.inference import recording, results, smoothing, tracking, viewer
from acae_jax.media import inputs, overlay, prefetch, recorder, stills, videos
from acae_jax.motion import bvh, c3d, trc

THUMBNAILS = 200  # at most, in a page
OVERLAYS = "overlays"
MOTION = ("bvh", "trc", "c3d")
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
    folder = target.with_name(OVERLAYS)
    folder.mkdir(exist_ok=True)
    pixels = picture(image, frame, empty)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), JPEG)
    (folder / f"{frame.index:05}_{name}.jpg").write_bytes(jpeg.tobytes())


def finish_images(target: Path, settings: Settings) -> None:
    """Write the arrays and the page of images whose poses are recorded."""
    found = recording.read_jsonl(beside(target, ".jsonl"))
    results.write_npz(beside(target, ".npz"), found.sequence, found.sources)
    thumbnails = {}
    if settings.overlay:
        for index in _thinned(range(len(found.sources))):
            source = Path(found.sources[index])
            if inputs.stamp(source) != found.stamps[index]:  # changed since, or gone
                continue
            with contextlib.suppress(ValueError, OSError):
                thumbnails[index] = viewer.thumbnail(stills.read(source), source.name)
    _write_page(target, found.sequence, "Images", thumbnails, settings, still=True)
    seen = len(found.sequence.frame), len(found.sources)
    print(f"people: {seen[0]}, images: {seen[1]}; look at {beside(target, '.html')}")


# ------------------------------------------------------------------------------------------ videos


def is_finished(target: Path, facts: Mapping[str, Any], settings: Settings) -> bool:
    """Whether `finish_video` has come to its end with the same facts and settings."""
    path = beside(target, ".jsonl")
    if not path.exists():
        return False
    before = recording.read_jsonl(path)
    return before.complete and before.facts == _final_facts(facts, settings)


def finish_video(
    target: Path, source: Path, predicted: recording.Recording, settings: Settings
) -> None:
    """Track and smooth the people of a video, and write all that is made of it."""
    sequence = tracking.track(predicted.sequence, predicted.seen)
    if settings.smooth:
        sequence = smoothing.smooth(sequence)
    thumbnails = {}
    if settings.overlay:
        thumbnails = _draw_video(target, source, sequence, predicted.seen.tolist())
    _write_page(target, sequence, source.name, thumbnails, settings)
    write_motion(target, sequence, settings.motion)
    results.write_npz(beside(target, ".npz"), sequence)
    # Last, for it says that everything is there.
    facts = _final_facts(predicted.facts, settings)
    recording.write_jsonl(beside(target, ".jsonl"), sequence, predicted.seen.tolist(), facts)
    _tell(target, sequence)


def finish_camera(target: Path, settings: Settings) -> None:
    """Write the arrays, page and motion of what a camera saw, tracked and steadied as it came."""
    sequence = recording.read_jsonl(beside(target, ".jsonl")).sequence
    results.write_npz(beside(target, ".npz"), sequence)
    _write_page(target, sequence, target.name, {}, settings)
    write_motion(target, sequence, settings.motion)
    _tell(target, sequence)


def write_motion(target: Path, sequence: results.Sequence, kinds: tuple[str, ...]) -> None:
    """Write the motion of each person in each of the kinds: NAME.person0.bvh, …

    From the first frame in which a person was seen to the last one; joints in between are missing
    where the person was not seen.
    """
    step = max(1, int(np.gcd.reduce(np.diff(np.unique(sequence.frame)))))
    fps = sequence.fps / step
    for number in np.unique(sequence.track).tolist():
        person = results.keep(sequence, sequence.track == number)
        places = (person.frame - person.frame[0]) // step
        poses_mm = np.full((int(places[-1]) + 1, *person.poses_mm.shape[1:]), np.nan, np.float32)
        poses_mm[places] = person.poses_mm
        first, names = int(person.frame[0]) // step, person.joint_names
        for kind in kinds:
            path = beside(target, f".person{number}.{kind}")
            if kind == "bvh":
                bvh.write(path, names, person.edges, poses_mm, fps)
            elif kind == "trc":
                trc.write(path, names, poses_mm, fps, first_frame=first)
            else:
                c3d.write(path, names, poses_mm, fps, first_frame=first)


def _draw_video(
    target: Path, source: Path, sequence: results.Sequence, seen: list[int]
) -> dict[int, viewer.Thumbnail]:
    """Write the video of the frames seen, people drawn on them; returns some small pictures."""
    thumbnails, shown = {}, set(_thinned(seen))
    every = seen[1] - seen[0] if len(seen) > 1 else 1
    frames = prefetch.prefetched(videos.open_file(source, every=every).frames, 8)
    quiet = not sys.stderr.isatty()
    with recorder.Recorder(beside(target, ".overlay.mp4"), sequence.fps / every) as record:
        for index, image in tqdm(frames, "drawing", len(seen), unit="frame", disable=quiet):
            record.write(picture(image, results.at(sequence, index), sequence))
            if index in shown:
                thumbnails[index] = viewer.thumbnail(image)
    return thumbnails


# ------------------------------------------------------------------------------------------- parts


def _final_facts(facts: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    made = {"smooth": settings.smooth, "overlay": settings.overlay, "motion": [*settings.motion]}
    return {**facts, **made}


def _write_page(
    target: Path,
    sequence: results.Sequence,
    title: str,
    thumbnails: Mapping[int, viewer.Thumbnail],
    settings: Settings,
    still: bool = False,
) -> None:
    """Write the viewer's page, of images rather than a video if they are still."""
    camera = None
    if settings.intrinsics is not None:
        camera = cameras.create(settings.intrinsics, distortion=settings.distortion)
    page = beside(target, ".html")
    viewer.write(
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
