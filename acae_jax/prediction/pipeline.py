"""Predicts poses on everything that a command line names, and keeps what it has done.

Still images share one recording, in the order in which they were predicted:

    images.jsonl, images.npz, images.html       results, and the viewer
    overlays/00000_NAME.jpg                     skeletons on the images, by frame and name

A video NAME.mp4 has its own, and so has a camera:

    NAME.predicted.jsonl                        what the model said, as it ran
    NAME.jsonl, NAME.npz, NAME.html             tracked and smoothed
    NAME.overlay.mp4, NAME.person0.bvh, …       skeletons on the video, motion of each person

Poses are on the disk before the next ones are computed. Running the same again leaves out images
and frames that are done. An image that was changed since is predicted again, in its former place.
"""

import contextlib
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from acae_jax.inference import following
from acae_jax.inference.estimator import Estimator
from acae_jax.media import inputs, prefetch, stills, videos
from acae_jax.prediction import estimates, followed, left_out, motion_files, outputs, user_boxes
from acae_jax.prediction.estimates import PredictionSettings
from acae_jax.recordings import json_lines, results, smoothing, tracking

BATCH = 8  # images, at most, that are predicted together
BATCH_PX = 40_000_000  # of their pixels together, if they are several
QUIET_SECONDS = 30.0  # between two lines where there is no terminal to draw a bar on
IMAGES = "images"
IMAGES_FPS = 1.0
NOBODY = np.zeros((0, 5), np.float32)


def run(estimator: Estimator, sources: inputs.Inputs, settings: PredictionSettings) -> list[str]:
    """Predict everything; returns a line for each input that cannot be read or file not written.

    One that fails does not keep others from being predicted; an OSError if the disk is full.
    """
    motion_files.check(settings.finish.motion, bool(sources.videos or sources.cameras))
    if settings.boxes is not None:
        for path in sources.stills:
            user_boxes.of_image(settings.boxes, path)
        for path in sources.videos:
            user_boxes.of_video(settings.boxes, path)
    settings.out.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    try:
        _predict_all(estimator, sources, settings, failures)
    except OSError as error:
        if not left_out.is_full(error):
            raise
        hint = f"the disk is full; make room in {settings.out}, the same command continues"
        raise OSError(hint) from error
    return failures


def _predict_all(
    estimator: Estimator, sources: inputs.Inputs, settings: PredictionSettings, failures: list[str]
) -> None:
    if sources.stills:
        with _leaving_out_input(failures, OSError):
            predict_images(estimator, sources.stills, settings, failures)
    for path, target in zip(sources.videos, _targets(sources.videos, settings.out), strict=True):
        with _leaving_out_input(failures, ValueError, OSError):
            predict_video(estimator, path, target, settings, failures)
    for index in sources.cameras:
        with _leaving_out_input(failures, OSError):
            predict_camera(estimator, index, settings, failures)


@contextlib.contextmanager
def _leaving_out_input(failures: list[str], *kinds: type[Exception]) -> Iterator[None]:
    """Leave out what cannot be read, or whose poses cannot be kept, unless the disk is full."""
    try:
        yield
    except kinds as error:
        if left_out.is_full(error):
            raise
        left_out.tell(failures, str(error))


def predict_images(
    estimator: Estimator, paths: Sequence[Path], settings: PredictionSettings, failures: list[str]
) -> None:
    """Predict images into one recording; those that cannot be read are left out."""
    target = settings.out / IMAGES
    path, metadata = outputs.beside(target, ".jsonl"), estimates.metadata(estimator, settings)
    with json_lines.Lines(
        path, estimates.blank(estimator, settings, IMAGES_FPS), metadata
    ) as lines:
        done = _stamps(lines.recorded)
        index_of = {source: index for index, source in enumerate(done)}
        stamps = {path: inputs.stamp(path) for path in paths}
        todo = [path for path in paths if done.get(str(path.absolute())) != stamps[path]]
        pictures = settings.out / inputs.OVERLAYS if settings.finish.overlay and todo else None
        if pictures is not None and not _is_made(pictures, failures):
            pictures = None
        with _bar(len(paths), len(paths) - len(todo), "image") as bar:
            for batch in _batches(_readable(todo, failures)):
                images, boxes = [image for _, image in batch], None
                if settings.boxes is not None:
                    boxes = [user_boxes.of_image(settings.boxes, path) for path, _ in batch]
                people = estimates.predict(estimator, settings, images, boxes)
                for place, (path, image) in enumerate(batch):
                    source = str(path.absolute())
                    index = index_of.setdefault(source, len(index_of))
                    here = estimates.of_one(people, place)
                    frame = estimates.frame(index, index / IMAGES_FPS, here, source, stamps[path])
                    if pictures is not None:
                        with left_out.leaving_out(failures, f"picture of {path.name}"):
                            outputs.write_picture(pictures, path.stem, image, frame, lines.empty)
                    lines.write(frame)
                    bar.update()
    if index_of:
        outputs.finish_images(target, settings.finish, failures)


def predict_video(
    estimator: Estimator,
    path: Path,
    target: Path,
    settings: PredictionSettings,
    failures: list[str],
) -> None:
    """Predict a video or animation; a ValueError if it cannot be read.

    Results go beside `target`, a path without suffix. Those that cannot be written are left out; an
    OSError if these are the poses.
    """
    metadata = estimates.metadata(estimator, settings)
    metadata |= {"input": str(path), "stamp": inputs.stamp(path), "every": settings.every}
    if followed.is_possible(estimator, settings):
        metadata["detections_per_s"] = followed.DETECTIONS_PER_S
    if outputs.is_finished(target, metadata, settings.finish):
        print(f"{path.name} was done before: {outputs.beside(target, '.html')}")
        return
    video = videos.open_file(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    predicted = outputs.beside(target, ".predicted.jsonl")
    with json_lines.Lines(
        predicted, estimates.blank(estimator, settings, video.fps), metadata
    ) as lines:
        if lines.recorded is None or not lines.recorded.complete:
            _predict_frames(estimator, path, settings, lines)
    recorded = json_lines.read_jsonl(predicted)
    outputs.finish_video(target, path, recorded, settings.finish, failures)


def _predict_frames(
    estimator: Estimator, path: Path, settings: PredictionSettings, lines: json_lines.Lines
) -> None:
    """Predict the frames of a video that are not among the lines yet."""
    done, every = len(lines.recorded.seen) if lines.recorded else 0, settings.every
    first, detect_every = done, 1
    if followed.is_possible(estimator, settings):
        detect_every = followed.period(lines.empty.fps / every)
        first -= done % followed.GROUP if detect_every > 1 else 0
    video, last = videos.open_file(path, first * every, every), (done - 1) * every
    images = prefetch.prefetched(video.frames, BATCH)
    if detect_every > 1:
        frames = followed.frames(estimator, settings, images, detect_every)
    else:
        frames = _frames(estimator, path, settings, images)
    total = None if video.frame_count is None else -(-video.frame_count // every)
    with _bar(total, done, "frame", path.name) as bar:
        for frame in itertools.islice(frames, done - first, None):
            last = frame.index
            lines.write(frame)
            bar.update()
    lines.end(last + 1)


def _frames(
    estimator: Estimator,
    path: Path,
    settings: PredictionSettings,
    images: Iterable[videos.Frame],
) -> Iterator[results.Frame]:
    """The people of a video's frames, each frame by itself, several predicted together."""
    boxes_of_frames = None if settings.boxes is None else user_boxes.of_video(settings.boxes, path)
    for batch in _batches(images):
        boxes = None
        if boxes_of_frames is not None:
            boxes = [boxes_of_frames.get(frame.index, NOBODY) for frame in batch]
        people = estimates.predict(estimator, settings, [frame.image for frame in batch], boxes)
        for place, (index, _, time_s) in enumerate(batch):
            yield estimates.frame(index, time_s, estimates.of_one(people, place))


def predict_camera(
    estimator: Estimator, index: int, settings: PredictionSettings, failures: list[str]
) -> None:
    """Predict a camera's frames until it ends or Ctrl-C; people are tracked and smoothed at once.

    Results other than the poses are left out if they cannot be written.
    """
    video = videos.open_camera(index)
    target = settings.out / time.strftime(f"camera{index}-%Y%m%d-%H%M%S")
    print(f"camera {index} is on; Ctrl-C ends the recording", file=sys.stderr)
    path = outputs.beside(target, ".jsonl")
    metadata = estimates.metadata(estimator, settings) | {"input": f"camera {index}"}
    with (
        json_lines.Lines(path, estimates.blank(estimator, settings, video.fps), metadata) as lines,
        outputs.LiveVideo(outputs.beside(target, ".overlay.mp4"), video.fps, failures) as record,
    ):
        watch(estimator, video, settings, lines, record)
    outputs.finish_camera(target, settings.finish, failures)


def watch(
    estimator: Estimator,
    video: videos.Video,
    settings: PredictionSettings,
    lines: json_lines.Lines,
    record: outputs.LiveVideo,
) -> None:
    """Predict frames as they come, always the newest one, until they end or Ctrl-C.

    A frame of the recorded video is shown until the next one that was predicted.
    """
    tracks, before, last, picture = tracking.Tracks(), {}, -1, None
    follows, known, detected_s = followed.is_possible(estimator, settings), following.NOBODY, -1.0
    frames = prefetch.newest(video.frames)
    with _bar(None, 0, "frame") as bar:
        try:
            for index, image, time_s in frames:
                if follows:
                    detect = time_s - detected_s >= 1 / followed.DETECTIONS_PER_S
                    detected_s = time_s if detect else detected_s
                    people, known = estimates.follow(estimator, settings, image, known, detect)
                else:
                    people = estimates.of_one(
                        estimates.predict(estimator, settings, [image], None), 0
                    )
                frame = estimates.frame(index, time_s, people)
                tracks, numbers = tracking.advance(tracks, time_s, frame.boxes, frame.poses_mm)
                frame = frame._replace(track=numbers)
                if settings.finish.smooth:
                    before, frame = smoothing.filter_frame(before, frame)
                for _ in range(index - last - 1):
                    if picture is not None:
                        record.write(picture)
                picture = outputs.picture(image, frame, lines.empty)
                record.write(picture)
                lines.write(frame)
                last = index
                bar.update()
        except KeyboardInterrupt:
            frames.close()
    lines.end(last + 1)


# ------------------------------------------------------------------------------------------- parts


def _is_made(folder: Path, failures: list[str]) -> bool:
    """Whether the folder is there now; if it cannot be made, it is left out."""
    with left_out.leaving_out(failures, f"{folder.name}/"):
        folder.mkdir(exist_ok=True)
    return folder.is_dir()


def _stamps(recorded: json_lines.Recording | None) -> dict[str, str]:
    """The stamps of the recorded images, by file."""
    return dict(zip(recorded.sources, recorded.stamps, strict=True)) if recorded else {}


def _readable(paths: Sequence[Path], failures: list[str]) -> Iterator[tuple[Path, estimates.Image]]:
    """Images that can be read, read ahead; the others are left out."""
    for path, image in prefetch.prefetched(((path, _attempt(path)) for path in paths), 2):
        if isinstance(image, Exception):
            left_out.tell(failures, str(image))
        else:
            yield path, image


def _attempt(path: Path) -> estimates.Image | Exception:
    try:
        return stills.read(path)
    except (ValueError, OSError) as error:
        return error


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Items whose second part is an image, in order, several at a time if these are small."""
    batch, pixels = [], 0
    for item in items:
        size = item[1].shape[0] * item[1].shape[1]
        if batch and (len(batch) == BATCH or pixels + size > BATCH_PX):
            yield batch
            batch, pixels = [], 0
        batch.append(item)
        pixels += size
    if batch:
        yield batch


def _targets(paths: Sequence[Path], out: Path) -> list[Path]:
    """Where the results of each video go, without a suffix unless two would be the same."""
    names = inputs.names(paths)
    counts = Counter([Path(IMAGES), *(name.with_suffix("") for name in names)])
    return [
        out / (name if counts[name.with_suffix("")] > 1 else name.with_suffix("")) for name in names
    ]


def _bar(total: int | None, done: int, unit: str, name: str = "") -> tqdm:
    interval = 0.1 if sys.stderr.isatty() else QUIET_SECONDS
    return tqdm(
        total=total, initial=done, unit=unit, desc=name or None, mininterval=interval,
        dynamic_ncols=True, smoothing=0.05,
    )  # fmt: skip
