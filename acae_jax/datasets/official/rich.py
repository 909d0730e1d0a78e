"""RICH: one or two people in scanned scenes, by six to eight cameras (Huang et al., CVPR 2022).

The joints are those of SMPL-X. The world is that of the first camera, which is not level; upwards
is what each camera has upwards. Cameras without a calibration moved, and are left out.

Somebody whose pose differs by 100 mm from the last 100 kept ones makes a record, in all cameras.
Training and validation sequences together are the split "train".
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from acae_jax.datasets import release
from acae_jax.datasets.readers import body_model, images, opencv_file, pickled_tables
from acae_jax.datasets.readers.body_model import SMPLX_LABELLED, BodyModel
from acae_jax.datasets.release import Frame, Person, Published, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.geometry import cameras

RELEASE = Release(
    name="rich",
    title="RICH",
    version="1.0.0",
    url="https://rich.is.tue.mpg.de",
    access="MPI's licence for non-commercial research; register there",
    size="some TB of images of 4112 x 3008 px",
    layout=(
        "train/*/cam_*",
        "train_body/*/*/*.pkl",
        "val/*/cam_*",
        "val_body/*/*/*.pkl",
        "scan_calibration/*/calibration/*.xml",
    ),
    format="rich",
    quota=4,
    boxes=partial(
        person_boxes.large_enough,
        rule=partial(
            person_boxes.best_detected,
            factor=1.05,
            least_iou=0.5,
            joints_if_unfit=True,
            joints_if_unseen=True,
        ),
        least_side_px=100.0,
    ),
    published=Published(96_146),
)  # fmt: skip
FEMALE = {9, 10, 12, 13, 16, 17, 18, 19, 21}
SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg")
SAMPLING = sampling.buffered(100)
TURNS = ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose")
MM = 1000.0


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each camera of a sequence that did not move."""
    for gender in ("female", "male"):
        body_model.find(raw / "body_models", "smplx", gender)
    found = []
    for folder in sorted(
        path for split in ("train", "val") for path in raw.glob(f"{split}/*/cam_*")
    ):
        split, sequence = folder.relative_to(raw).parts[:2]
        calibration = _calibration(raw, sequence, folder.name)
        needed = (raw / f"{split}_body" / sequence, calibration.parent)
        for path in needed:
            if not path.is_dir():
                raise ValueError(f"rich: no {path}; unpack it, or remove {split}/{sequence}")
        if calibration.exists():
            found.append(Unit(folder.relative_to(raw).as_posix(), "train"))
    return tuple(found)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The images of a camera in which somebody has moved."""
    split, sequence, name = unit.name.split("/")
    camera = read_camera(_calibration(raw, sequence, name))
    up = tuple((-camera.rotation[1]).tolist())
    models = {
        gender: body_model.read(body_model.find(raw / "body_models", "smplx", gender))
        for gender in ("female", "male")
    }
    kept: dict[str, sampling.Kept] = {}
    for folder in sorted(path for path in (raw / f"{split}_body" / sequence).iterdir()):
        people = []
        for path in sorted(folder.glob("*.pkl")):
            model = models["female" if int(path.stem) in FEMALE else "male"]
            try:
                joints_mm = _joints_mm(path, model)
            except (ValueError, OSError) as error:
                yield release.broken(error, sequence, int(folder.name), name)
                continue
            kept[path.stem], is_kept = sampling.step(SAMPLING, kept.get(path.stem), joints_mm)
            if is_kept:
                people.append(Person(path.stem, joints_mm))
        if people:
            read = partial(_image, raw / unit.name / f"{folder.name}_{name.removeprefix('cam_')}")
            yield Frame(read, camera, tuple(people), sequence, int(folder.name), name, up)


def read_camera(path: Path) -> cameras.Camera:
    """The camera of a calibration; ValueError if the file is another."""
    content = opencv_file.read(path)
    try:
        placed, k, lens = (content[name] for name in ("CameraMatrix", "Intrinsics", "Distortion"))
        rotation, shift_m = placed[:3, :3], placed[:3, 3]
        return cameras.create(k, rotation, -MM * rotation.T @ shift_m, lens.ravel())
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no calibration of a camera: {error!r}") from error


def _calibration(raw: Path, sequence: str, camera: str) -> Path:
    scene = sequence.split("_")[0]
    number = int(camera.removeprefix("cam_"))
    return raw / "scan_calibration" / scene / "calibration" / f"{number:03d}.xml"


def _joints_mm(path: Path, model: BodyModel) -> Float[np.ndarray, "42 3"]:
    content = pickled_tables.read(path)

    def numbers(name: str) -> Float[np.ndarray, "1 n"]:
        return pickled_tables.numbers(content, name).astype(float).reshape(1, -1)

    body = np.concatenate([numbers(name) for name in TURNS], axis=1).reshape(1, -1, 3)
    hands = numbers("left_hand_pose"), numbers("right_hand_pose")
    joints_m = body_model.joints_and_surface_m(
        model,
        body_model.pose_with_hands(model, body, *hands),
        numbers("betas"),
        numbers("transl"),
        numbers("expression"),
    )
    return MM * joints_m[0, list(SMPLX_LABELLED)]


def _image(path: Path) -> np.ndarray:
    """The image whose path lacks the suffix, which differs by scene."""
    for suffix in SUFFIXES:
        if (file := path.with_name(path.name + suffix)).exists():
            return images.read(file)
    raise FileNotFoundError(f"no {path}.bmp, .png or .jpg")
