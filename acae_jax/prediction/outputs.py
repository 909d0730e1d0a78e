"""From recorded predictions to what people look at: tracked, smoothed, drawn, as motion files.

What cannot be written is left out: the functions add a line for it to `failures`.
"""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from acae_jax.geometry import cameras
from acae_jax.media import clock, inputs, overlay, prefetch, recorder, stills, videos
from acae_jax.prediction import motion_files
from acae_jax.prediction.left_out import leaving_out
from acae_jax.recordings import json_lines, results, smoothing, tracking
from acae_jax.viewer import html_page

THUMBNAILS = 200  # at most, in a page
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]


class OutputSettings(NamedTuple):
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
    folder: Path,
    name: str,
    image: UInt8[np.ndarray, "h w 3"],
    frame: results.Frame,
    empty: results.Sequence,
) -> None:
    """Write an image with its people as a JPEG, in a folder that is there."""
    pixels = picture(image, frame, empty)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), JPEG)
    (folder / f"{frame.index:05}_{name}.jpg").write_bytes(jpeg.tobytes())


def finish_images(target: Path, settings: OutputSettings, failures: list[str]) -> None:
    """Write the arrays and the page of images whose poses are recorded."""
    recorded = json_lines.read_jsonl(beside(target, ".jsonl"))
    sequence, sources = recorded.sequence, recorded.sources
    with leaving_out(failures, beside(target, ".npz").name):
        results.write_npz(beside(target, ".npz"), sequence, sources)
    thumbnails = {}
    if settings.overlay:
        for index in _thinned(range(len(sources))):
            source = Path(sources[index])
            if inputs.stamp(source) != recorded.stamps[index]:  # changed since, or gone
                continue
            with contextlib.suppress(ValueError, OSError):
                thumbnails[index] = html_page.thumbnail(stills.read(source), source.name)
    with leaving_out(failures, beside(target, ".html").name):
        _write_page(target, sequence, "Images", thumbnails, settings, still=True)
    people, images = len(sequence.frame), len(sources)
    print(f"people: {people}, images: {images}; look at {beside(target, '.html')}")


# ------------------------------------------------------------------------------------------ videos


def is_finished(target: Path, metadata: Mapping[str, Any], settings: OutputSettings) -> bool:
    """Whether `finish_video` has come to its end with the same metadata and settings."""
    path = beside(target, ".jsonl")
    if not path.is_file():
        return False
    before = json_lines.read_jsonl(path)
    return before.complete and before.metadata == _final_metadata(metadata, settings)


def finish_video(
    target: Path,
    source: Path,
    predicted: json_lines.Recording,
    settings: OutputSettings,
    failures: list[str],
) -> None:
    """Track and smooth the people of a video, and write all that is made of it, poses first."""
    failures_before = len(failures)
    seen, seen_s = predicted.seen.tolist(), predicted.seen_s.tolist()
    fps = clock.mean_fps(seen, seen_s, predicted.sequence.fps)
    sequence = predicted.sequence._replace(fps=fps)
    sequence = tracking.track(sequence, predicted.seen, predicted.seen_s)
    if settings.smooth:
        sequence = smoothing.smooth(sequence)
    with leaving_out(failures, beside(target, ".npz").name):
        results.write_npz(beside(target, ".npz"), sequence)
    with leaving_out(failures, beside(target, ".jsonl").name):
        json_lines.write_jsonl(beside(target, ".jsonl"), sequence, seen, seen_s, predicted.metadata)
    _write_views(target, sequence, source.name, settings, failures)
    if settings.overlay:
        thumbnails = {}
        with leaving_out(failures, beside(target, ".overlay.mp4").name):
            thumbnails = _draw_video(target, source, sequence, seen)
        if thumbnails and beside(target, ".html").is_file():  # else it was left out already
            with leaving_out(failures, beside(target, ".html").name):
                _write_page(target, sequence, source.name, thumbnails, settings)
    if len(failures) == failures_before:
        # Last, for they say that everything is there.
        json_lines.change_metadata(
            beside(target, ".jsonl"), _final_metadata(predicted.metadata, settings)
        )
    _tell(target, sequence)
    frames_with_people = len(np.unique(predicted.sequence.frame))
    if frames_with_people and not len(sequence.frame):
        print(
            f"{source.name}: there are people in {frames_with_people} of {len(seen)} frames, but "
            "nobody in enough of them to be followed; "
            f"{beside(target, '.predicted.jsonl')} has them",
            file=sys.stderr,
        )


def finish_camera(target: Path, settings: OutputSettings, failures: list[str]) -> None:
    """Write the arrays, page and motion of what a camera saw, tracked and steadied as it came."""
    sequence = json_lines.read_jsonl(beside(target, ".jsonl")).sequence
    with leaving_out(failures, beside(target, ".npz").name):
        results.write_npz(beside(target, ".npz"), sequence)
    _write_views(target, sequence, target.name, settings, failures)
    _tell(target, sequence)


class LiveVideo:
    """The video of what a camera sees, people drawn on it: a `Recorder` that is left out when it
    fails, while the recording of poses goes on. Use as a context.
    """

    def __init__(self, path: Path, fps: float, failures: list[str]):
        self._path, self._failures = path, failures
        self._recorder: recorder.Recorder | None = recorder.Recorder(path, fps)

    def write(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """One more frame."""
        if self._recorder is not None:
            with leaving_out(self._failures, self._path.name):
                self._recorder.write(image)
                return
            self._recorder = None

    def __enter__(self) -> "LiveVideo":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._recorder is not None:
            with leaving_out(self._failures, self._path.name):
                self._recorder.__exit__(kind, error, trace)


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


def _write_views(
    target: Path,
    sequence: results.Sequence,
    title: str,
    settings: OutputSettings,
    failures: list[str],
) -> None:
    """Write a page without pictures, and the motion."""
    with leaving_out(failures, beside(target, ".html").name):
        _write_page(target, sequence, title, {}, settings)
    motion_files.write(target, sequence, settings.motion, failures)


def _final_metadata(metadata: Mapping[str, Any], settings: OutputSettings) -> dict[str, Any]:
    options = {"smooth": settings.smooth, "overlay": settings.overlay, "motion": [*settings.motion]}
    return {**metadata, **options}


def _write_page(
    target: Path,
    sequence: results.Sequence,
    title: str,
    thumbnails: Mapping[int, html_page.Thumbnail],
    settings: OutputSettings,
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
