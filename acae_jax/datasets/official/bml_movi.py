"""BML-MoVi: one person with markers in a studio (Ghorbani et al., PLoS ONE 2021).

The two PointGrey cameras only, which are calibrated and started with the motion capture. For the
two others, of which one is held in a hand, the recipe finds the camera and the time by a model that
was trained before; a first model has none.

Round F has all 67 markers and 20 virtual ones. Rounds S1 and S2 have few: those that have a name of
round F take its place, all else is not labelled.

A missing marker lies at the origin. The public code of PosePile takes single coordinates below
1e-3 for missing, and so loses all negative ones; and of a person whom no detection overlaps it
takes any detection, where here the box is that of the markers.

Calibrations are MATLAB's: matrices act from the right, pixels count from 1.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import mat, videos
from acae_jax.datasets.release import Frame, Person, Published, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.files import numpy_files
from acae_jax.geometry import cameras

RELEASE = Release(
    name="bml_movi",
    title="BML-MoVi",
    version="1.0.0",
    url="https://doi.org/10.5683/SP2/JRHDRN",
    access="non-commercial research; public by Dataverse",
    size="some 100 GB of videos",
    layout=(
        "**/F_PG[12]_Subject_*.*",
        "**/F_v3d_Subject_*.mat",
        "**/cameraParams_PG1.npz",
        "**/cameraParams_PG2.npz",
        "**/Extrinsics_PG1.npz",
        "**/Extrinsics_PG2.npz",
    ),
    format="bml_movi",
    quota=5,
    boxes=partial(
        person_boxes.best_detected,
        factor=1.05,
        least_iou=0.001,
        joints_if_unfit=True,
        joints_if_unseen=True,
    ),
    published=Published(562_691),
)
VIDEO = re.compile(r"(F|S1|S2)_(PG[12])_(Subject_\d+)(?:_L)?\.(?:avi|mp4)")
KINDS = {"marker": 67, "virtualMarker": 20}
MOCAP_HZ = 120.0
MISSING_MM = 1e-3  # all coordinates of a marker are less
KEPT_POSES = 500
LIMIT_BYTES = 1 << 20  # of a calibration


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each video of the calibrated cameras."""
    for name in ("PG1", "PG2"):
        read_camera(raw, name)
    return tuple(Unit(name, "train") for name in sorted(_videos(raw)))


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of a video whose pose is new."""
    video = _videos(raw)[unit.name]
    take, subject, camera_name = unit.name.split("/")
    camera = read_camera(raw, camera_name)
    poses_mm = _at(_markers(raw, take, subject), MOCAP_HZ / videos.frame_rate_hz(video))
    poses_mm = poses_mm[: videos.frame_count(video) or None]
    is_new = sampling.sample(sampling.buffered(KEPT_POSES), poses_mm)
    for index, image in videos.chosen(video, np.flatnonzero(is_new).tolist()):
        person = Person(subject, poses_mm[index])
        clip = f"{take}/{subject}"
        yield Frame(image, camera, (person,), clip, index, camera_name, release.Z_UP)


def read_camera(raw: Path, name: str) -> cameras.Camera:
    """The camera "PG1" or "PG2"; ValueError if its files are others."""
    own = _arrays(raw, f"cameraParams_{name}.npz", {"IntrinsicMatrix": 9, "RadialDistortion": 2})
    place = _arrays(raw, f"Extrinsics_{name}.npz", {"rotationMatrix": 9, "translationVector": 3})
    k = own["IntrinsicMatrix"].reshape(3, 3).T - np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    rotation = place["rotationMatrix"].reshape(3, 3).T
    lens = np.concatenate([own["RadialDistortion"], [0.0, 0.0]])
    return cameras.create(k, rotation, -rotation.T @ place["translationVector"], lens)


def _arrays(raw: Path, name: str, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    path = next(raw.glob(f"**/{name}"))
    try:
        arrays = numpy_files.arrays(path, list(sizes), LIMIT_BYTES)
    except ValueError as error:
        raise ValueError(f"{path} is no calibration of MoVi: {error}") from None
    found = {key: np.ravel(array).astype(float) for key, array in zip(sizes, arrays, strict=True)}
    if any(found[key].size != size for key, size in sizes.items()):
        raise ValueError(f"{path} has other sizes than {sizes}")
    return found


def _videos(raw: Path) -> dict[str, Path]:
    """Videos by round, subject and camera."""
    found = {path: VIDEO.fullmatch(path.name) for path in sorted(raw.glob("**/*_PG[12]_Subject_*"))}
    return {f"{m[1]}/{m[3]}/{m[2]}": path for path, m in found.items() if m}


def _markers(raw: Path, take: str, subject: str) -> Float[np.ndarray, "f 87 3"]:
    """The markers and virtual markers of all frames of motion capture, mm; NaN where missing."""
    recording = _recording(raw, f"{take[0]}_v3d_{subject}.mat", take)
    whole = recording if take == "F" else _recording(raw, "F_v3d_Subject_*.mat", "F")
    return np.concatenate([_placed(recording, whole, kind) for kind in KINDS], axis=1)


def _recording(raw: Path, pattern: str, take: str) -> dict[str, Any]:
    """What a file of motion capture has of a round."""
    path = next(raw.glob(f"**/{pattern}"), None)
    if path is None:
        raise FileNotFoundError(f"{raw} has no {pattern}")
    content = mat.read(path)
    found = [
        one
        for name, subject in content.items()
        if name.startswith("Subject_")
        for one in mat.listed(subject["move"])
    ]
    number = 0 if take == "F" else int(take[1]) - 1
    if number >= len(found):
        raise ValueError(f"{path} has no round {take}")
    return found[number]


def _placed(
    recording: dict[str, Any], whole: dict[str, Any], kind: str
) -> Float[np.ndarray, "f m 3"]:
    """The markers of a kind where a whole recording has those of the same name."""
    located_mm = _located(recording, kind)
    if recording is whole:
        if located_mm.shape[1] != KINDS[kind]:
            raise ValueError(f"{located_mm.shape[1]} markers in {kind}Location, not {KINDS[kind]}")
        return located_mm
    result = np.full((len(located_mm), KINDS[kind], 3), np.nan)
    names, all_names = (mat.listed(one.get(f"{kind}Name", [])) for one in (recording, whole))
    for own, name in enumerate(names):
        if name in all_names:
            result[:, all_names.index(name)] = located_mm[:, own]
    return result


def _located(recording: dict[str, Any], kind: str) -> Float[np.ndarray, "f m 3"]:
    values = np.asarray(recording[f"{kind}Location"], float)
    located = values.reshape(len(values), -1, 3)
    return np.where((np.abs(located) < MISSING_MM).all(axis=-1, keepdims=True), np.nan, located)


def _at(values: Float[np.ndarray, "f j 3"], step: float) -> Float[np.ndarray, "n j 3"]:
    """The values at times 0, step, 2 step, … in frames, by linear interpolation."""
    times = np.round(np.arange(int((len(values) - 1) / step + 1e-6) + 1) * step, 6)
    low = np.floor(times).astype(int)
    share = (times - low)[:, None, None]
    after = values[np.minimum(low + 1, len(values) - 1)]
    return np.where(share == 0, values[low], (1 - share) * values[low] + share * after)
