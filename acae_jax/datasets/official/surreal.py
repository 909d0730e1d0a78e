"""SURREAL: one rendered SMPL person before a photograph, 320 x 240 px (Varol et al., CVPR 2017).

The release's camera is a mirror: its images are mirrored here, which makes the world right-handed.
Blender's image counts from its corner, so that the principal point is (159.5, 119.5) px. The
release's 2D labels are whole numbers of this kind.

The joints are those of the body model, with the pelvis where the release has it. PosePile subtracts
a fixed pelvis instead of the one of the person's shape, which shifts whole people by some
millimetres. Training and validation clips together are the split "train".
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from acae_jax.datasets import release
from acae_jax.datasets.readers import body_model, mat, videos
from acae_jax.datasets.readers.body_model import BodyModel
from acae_jax.datasets.release import Frame, Person, Release, Unit
from acae_jax.datasets.steps import person_boxes, sampling
from acae_jax.geometry import cameras

RELEASE = Release(
    name="surreal",
    title="SURREAL",
    version="1.0.0",
    url="https://www.di.ens.fr/willow/research/surreal/data",
    access="research; register there for a login",
    size="86 GB",
    layout=(
        "cmu/train/run*/*/*_info.mat",
        "cmu/train/run*/*/*_segm.mat",
        "cmu/train/run*/*/*.mp4",
        "cmu/val/run*/*/*_info.mat",
    ),
    format="surreal",
    quota=5,
    boxes=person_boxes.given,
    drops_implausible=False,
)
GENDERS = ("female", "male")  # by the release's number
SIZE_PX = (320, 240)
FOCAL_PX = 600.0
ROTATION = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0.0]])  # the release's, with its x axis reversed
STANDING = Rotation.from_euler("x", 90, degrees=True)  # z upwards → y downwards
MM = 1000.0


def units(raw: Path) -> tuple[Unit, ...]:
    """One for each sequence of a run, with its clips."""
    for gender in GENDERS:
        body_model.find(raw / "body_models", "smpl", gender)
    folders = sorted(path for split in ("train", "val") for path in raw.glob(f"cmu/{split}/run*/*"))
    return tuple(Unit(path.relative_to(raw / "cmu").as_posix(), "train") for path in folders)


def frames(raw: Path, unit: Unit) -> Iterator[Frame]:
    """The frames of clips whose pose has moved by 100 mm."""
    folder = raw / "body_models"
    models = [body_model.read(body_model.find(folder, "smpl", gender)) for gender in GENDERS]
    for path in sorted((raw / "cmu" / unit.name).glob("*_info.mat")):
        stem = path.name.removesuffix("_info.mat")
        clip = f"{unit.name}/{stem}"
        try:
            yield from _of_clip(path.parent / stem, clip, models)
        except (ValueError, OSError, LookupError) as error:
            yield release.broken(ValueError(f"{path}: {error}"), clip, 0)


def _of_clip(path: Path, clip: str, models: list[BodyModel]) -> Iterator[Frame]:
    info = mat.read(f"{path}_info.mat")
    labels = np.asarray(info["joints2D"], float).reshape(2, 24, -1)  # one frame has no third axis
    joints_mm = _joints_mm(info, models[int(np.ravel(info["gender"])[0])])
    # The middle of the first pixel is at 0.5 in the release, and the image is mirrored.
    labels_px = np.stack([SIZE_PX[0] - 0.5 - labels[0], labels[1] - 0.5], axis=-1)
    labels_px = np.roll(labels_px, -1, axis=0)
    centre = (np.array(SIZE_PX) - 1) / 2
    k = np.array([[FOCAL_PX, 0, centre[0]], [0, FOCAL_PX, centre[1]], [0, 0, 1]])
    camera = cameras.create(k, ROTATION, MM * np.ravel(info["camLoc"]).astype(float))
    parts = mat.read(f"{path}_segm.mat")
    chosen = np.flatnonzero(sampling.sample(sampling.PLAIN, joints_mm)).tolist()
    for index, image in videos.chosen(Path(f"{path}.mp4"), chosen):
        mask = np.asarray(parts[f"segm_{index + 1}"])[:, ::-1] > 0
        box = person_boxes.of_mask(mask)
        person = Person("0", joints_mm[index], labels_px[:, index], box, mask)
        mirrored = np.ascontiguousarray(image[:, ::-1])
        yield Frame(mirrored, camera, (person,), clip, index, "", release.Y_DOWN)


def _joints_mm(info: dict, model: BodyModel) -> Float[np.ndarray, "f 24 3"]:
    """The joints in the world, the pelvis last."""
    pose = np.asarray(info["pose"], float).reshape(24, 3, -1).transpose(2, 0, 1)
    about_z = Rotation.from_euler("z", np.reshape(info["zrot"], (-1, 1)).astype(float))
    pose[:, 0] = (STANDING * about_z * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    betas = np.asarray(info["shape"], float).reshape(10, -1).T
    pelvis_m = np.asarray(info["joints3D"], float).reshape(3, 24, -1)[:, 0].T
    joints_m = body_model.joints_m(model, pose, betas, np.zeros((1, 3)))
    joints_m += pelvis_m[:, None] - joints_m[:, :1]
    return MM * np.roll(joints_m, -1, axis=1)
