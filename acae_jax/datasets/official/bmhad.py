"""Berkeley MHAD: a person with 43 markers among 12 cameras and 2 Kinects (Ofli et al., WACV 2013).

The cameras stand in four clusters; a camera's place is given in its cluster, and the cluster's in
the world. Their images are stored as the sensor's pattern of green, red, blue, green. A file of
correspondences tells the frame of motion capture, from 0, of each image.

The markers are taken from the text files, which are in the world of the cameras (mm, y upwards);
where there is none, from the C3D files, whose axes are others. A missing marker is a zero.

Left out by the release are repetition 5 of action 8 of subject 4, and in clusters 3 and 4 also
repetition 5 of action 2 of subject 5 and of action 8 of subject 10.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from acae_jax.datasets import release
from acae_jax.datasets.readers import c3d_points, opencv_file, portable_maps
from acae_jax.datasets.release import Frame, Person, Published, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.geometry import cameras

RELEASE = Release(
    name="bmhad",
    title="Berkeley MHAD",
    version="1.0.0",
    url="https://tele-immersion.citris-uc.org/berkeley_mhad",
    access="public; see the terms there",
    size="some 100 GB of images",
    layout=(
        "Camera/Cluster*/Cam*/S*/A*/R*",
        "Camera/Correspondences/corr_moc_img_s*.txt",
        "Kinect/Kin*/S*/A*/R*",
        "Kinect/Correspondences/corr_moc_kin*.txt",
        "Mocap/OpticalData/moc_s*",
        "Calibration/RwTw_*.txt",
        "Calibration/camcfg_*.yml",
    ),
    format="bmhad",
    quota=3,
    boxes=partial(person_boxes.of_joints, factor=1.05),
    published=Published(527_458),
)
MARKERS = 43
WORLD_OF_C3D = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
MM = {"mm": 1.0, "m": 1000.0}  # in a unit of C3D


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each action of a subject in a camera."""
    found = []
    for pattern in ("Camera/Cluster*/Cam*/S*/A*", "Kinect/Kin*/S*/A*"):
        for folder in sorted(raw.glob(pattern)):
            *above, subject, action = folder.relative_to(raw).parts[1:]
            camera = "_".join(_SHORT[name[:-2]] + name[-2:] for name in above)
            found.append(Unit(f"{camera}/{subject}/{action}", "train"))
            for repetition in folder.glob("R*"):
                clip = f"{subject}/{action}/{repetition.name}"
                _recording(raw, clip)
                if not (path := _correspondences(raw, camera, clip)).exists():
                    raise ValueError(f"bmhad: no {path}, but {repetition}; unpack it too")
    for camera in {unit.name.split("/")[0] for unit in found}:
        read_camera(raw, camera)
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of an action's repetitions whose pose is new in its repetition."""
    camera_name, subject, action = unit.name.split("/")
    camera = read_camera(raw, camera_name)
    for folder in sorted((_images(raw, camera_name) / subject / action).glob("R*")):
        clip = f"{subject}/{action}/{folder.name}"
        markers_mm = _markers(_recording(raw, clip))
        pairs = np.loadtxt(_correspondences(raw, camera_name, clip), ndmin=2)[:, [0, 2]].astype(int)
        pairs = pairs[(pairs[:, 1] >= 0) & (pairs[:, 1] < len(markers_mm))]
        poses_mm = markers_mm[pairs[:, 1]]
        rule = sampling.buffered(len(poses_mm) + 1)
        for chosen in np.flatnonzero(sampling.sample(rule, poses_mm)):
            index = int(pairs[chosen, 0])
            read = partial(_read, folder, camera_name, clip, index)
            person = Person(subject, poses_mm[chosen])
            yield Frame(read, camera, (person,), clip, index, camera_name, release.Y_UP)


def read_camera(raw: Path, name: str) -> cameras.Camera:
    """The camera "l02_c01", the first of cluster 2, or "k01", a Kinect."""
    cluster, _, number = name.partition("_c")
    path = raw / f"Calibration/RwTw_{cluster}.txt"
    text = path.read_text(encoding="utf-8")
    placed = {
        m[1]: np.array(m[2].split(), float) for m in re.finditer(r"(Rw|Tw)\s*=([^RT]*)", text)
    }
    if {key: value.size for key, value in placed.items()} != {"Rw": 9, "Tw": 3}:
        raise ValueError(f"{path} does not have the 9 numbers of Rw and the 3 of Tw")
    path = raw / f"Calibration/camcfg_{cluster}.yml"
    entries = {key: value for key, value in opencv_file.read(path).items() if "Camera" in key}
    order = sorted(entries, key=lambda key: int(re.sub(r"\D", "", key) or 0))
    index = int(number or 1) - 1
    if index >= len(order):
        raise ValueError(f"{path} has {len(order)} cameras; {name} is missing")
    own = {key: np.asarray(entries[order[index]][key], float) for key in ("K", "Dist", "PosRel")}
    place = own["PosRel"].ravel()
    turn = cv2.Rodrigues(place[3:])[0]
    rotation = turn @ placed["Rw"].reshape(3, 3)
    translation_mm = turn @ placed["Tw"] + place[:3]
    return cameras.create(own["K"], rotation, -rotation.T @ translation_mm, own["Dist"].ravel())


_SHORT = {"Cluster": "l", "Cam": "c", "Kin": "k"}


def _images(raw: Path, camera: str) -> Path:
    if camera[0] == "k":
        return raw / f"Kinect/Kin{camera[1:]}"
    return raw / f"Camera/Cluster{camera[1:3]}/Cam{camera[-2:]}"


def _correspondences(raw: Path, camera: str, clip: str) -> Path:
    kind, device = ("Kinect", f"kin{camera[1:]}") if camera[0] == "k" else ("Camera", "img")
    return raw / f"{kind}/Correspondences/corr_moc_{device}_{_in_names(clip)}.txt"


def _recording(raw: Path, clip: str) -> Path:
    """The file of markers: text rather than C3D; ValueError without either."""
    stem = raw / f"Mocap/OpticalData/moc_{_in_names(clip)}"
    for suffix in (".txt", ".c3d"):
        if (path := stem.with_suffix(suffix)).exists():
            return path
    raise ValueError(f"bmhad: no {stem}.txt or .c3d; unpack the mocap of {clip}, or remove it")


def _in_names(clip: str) -> str:
    return clip.lower().replace("/", "_")


def _markers(path: Path) -> Float[np.ndarray, "f 43 3"]:
    """The markers of all frames, mm; NaN where one is missing."""
    if path.suffix == ".txt":
        table = np.loadtxt(path, ndmin=2)
        markers_mm = table[:, : 3 * MARKERS].reshape(-1, MARKERS, 3)
        return np.where((markers_mm == 0).all(axis=-1, keepdims=True), np.nan, markers_mm)
    points = c3d_points.read(path)
    if len(points.names) != MARKERS or points.unit not in MM:
        raise ValueError(f"{path} has {len(points.names)} points in {points.unit!r}, not 43 in mm")
    return points.positions @ WORLD_OF_C3D.T * MM[points.unit]


def _read(folder: Path, camera: str, clip: str, index: int) -> UInt8[np.ndarray, "h w 3"]:
    """An image of a Kinect, or one of a camera in colours."""
    if camera[0] == "k":
        return portable_maps.read(folder / f"kin_{camera}_{_in_names(clip)}_color_{index:05d}.ppm")
    pattern = portable_maps.read(folder / f"img_{camera}_{_in_names(clip)}_{index:05d}.pgm")
    return cv2.cvtColor(pattern, cv2.COLOR_BayerGRBG2RGB)
