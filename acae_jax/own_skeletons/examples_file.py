"""The JSON file of annotated poses for a skeleton of one's own, and a model's predictions for them.

    {
      "skeleton": {"name": "mine", "joint_names": ["pelv", "lhip", "rhip"],
                   "edges": [["pelv", "lhip"], ["pelv", "rhip"]]},
      "examples": [
        {"image": "frames/0001.jpg", "box": [412, 90, 210, 540],
         "intrinsic_matrix": [[1145, 0, 511.5], [0, 1145, 511.5], [0, 0, 1]],
         "joints_mm": {"pelv": [12.0, -40.5, 4310.2], "lhip": [130.1, -38.0, 4290.7]}},
        {"views": [
          {"image": "left/0007.jpg", "box": […], "intrinsic_matrix": …, "extrinsic_matrix": …,
           "joints_px": {"pelv": [501.2, 377.0], "lhip": [522.8, 379.1], "rhip": null}},
          {"image": "right/0007.jpg", …}]}
      ]
    }

* `skeleton` is the content of a skeleton file, or the path of one, or a name of the catalogue.
* An example is one moment in one or several `views`. The keys of a single view may stand in the
  example itself. The joints are either `joints_mm` of the example, in world space, or `joints_px`
  of at least two views, which are triangulated. Joints that are null or left out are missing.
* A view has an `image` (a path relative to the file's folder) and a `box` (x and y of the top-left
  corner, width and height, in px) for the model. Or it has `predicted_mm`: all joints that the
  bundle predicted for this view, in its camera's space.
* Cameras have the estimator's arguments: `intrinsic_matrix` (3, 3) in px, with pixel centres at
  integers; `distortion_coeffs` (4, 5, 8 or 12 of OpenCV's); `extrinsic_matrix` (3, 4) or (4, 4),
  from world to camera, in mm. Without an extrinsic matrix, world space is the camera's space:
  x right, y down, z forward. `joints_px` need an intrinsic matrix. Without one, the model assumes a
  field of view of 55 degrees.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tqdm
from jaxtyping import Float

from acae_jax.files import json_files
from acae_jax.geometry import cameras, triangulation
from acae_jax.geometry.cameras import Camera
from acae_jax.inference import arguments
from acae_jax.own_skeletons import fitting
from acae_jax.own_skeletons.fitting import Examples
from acae_jax.skeletons import catalogue, skeleton
from acae_jax.skeletons.skeleton import Skeleton

FEWEST = 3
CAMERA_KEYS = ("intrinsic_matrix", "distortion_coeffs", "extrinsic_matrix")
VIEW_KEYS = ("image", "box", "predicted_mm", "joints_px", *CAMERA_KEYS)
UNIT_INTRINSICS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
METRES = 50.0  # if all coordinates are below this, they are in metres, not mm
DISAGREEMENT_PX = 30.0  # if the median is above this, the views cannot show one pose
BESIDE_MM = 1000.0  # no part of a person lies farther from the person's middle


class Picture(NamedTuple):
    """The model's input: a person in a box of an image."""

    path: Path
    box: Float[np.ndarray, "4"]
    camera: Camera | None  # for its lens; None if unknown


class View(NamedTuple):
    """One camera's part of an example: the model's input, or its joints in the camera's space."""

    predicted: Picture | Float[np.ndarray, "j 3"]
    camera: Camera  # with unit intrinsics if they are unknown
    knows_intrinsics: bool


class Moment(NamedTuple):
    """An annotated pose in world space, NaN where missing, and its views."""

    joints_mm: Float[np.ndarray, "k 3"]
    views: tuple[View, ...]


def read(path: str | Path, model_joints: int) -> tuple[Skeleton, list[Moment]]:
    """Read the skeleton and the examples of a file in the form above.

    `model_joints` is the number of joints in predicted_mm. Raises OSError for a missing file;
    ValueError, in one line with the place in the file and the fix, for everything else.
    """
    path = Path(path)
    try:
        content = json_files.read(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"no examples at {path}; give the path of a JSON file") from None
    try:
        json_files.check_keys(content, "the file", ("skeleton", "examples"), ())
        new = _skeleton(content["skeleton"], path.parent)
        if not isinstance(content["examples"], list) or len(content["examples"]) < FEWEST:
            raise ValueError(f"examples must be a list of at least {FEWEST}; 50 is a good number")
        moments = [
            _moment(one, f"examples[{index}]", new, path.parent, model_joints)
            for index, one in enumerate(content["examples"])
        ]
        _check_together(new, moments)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return new, moments


def predict(
    moments: Sequence[Moment],
    model: Callable[[Picture], Float[np.ndarray, "j 3"]],
    bar: bool = False,
) -> Examples:
    """The model's joints and the annotated ones of every view, in the camera's space.

    `model` gives all joints of the person in a picture, in the camera's space. Raises ValueError
    if a predicted pose is not in front of the camera, or far from the annotated one.
    """
    predicted, annotated, number = [], [], []
    views = [(index, view) for index, moment in enumerate(moments) for view in moment.views]
    for index, view in tqdm.tqdm(views, unit="views", disable=not bar):
        source = view.predicted
        pose_mm = model(source) if isinstance(source, Picture) else source
        if not fitting.in_front(pose_mm[None]).all():
            keys = "box and image" if isinstance(source, Picture) else "predicted_mm"
            raise ValueError(
                f"examples[{index}]: the pose that the model predicts is not in front of the "
                f"camera, or not finite; check {keys}, or remove the example"
            )
        predicted.append(pose_mm)
        annotated.append(cameras.world_to_camera(view.camera, moments[index].joints_mm))
        number.append(index)
    examples = Examples(
        np.stack(predicted).astype(np.float64), np.stack(annotated), np.array(number)
    )
    for index, beside_mm in zip(number, fitting.beside_mm(examples).tolist(), strict=True):
        if beside_mm > BESIDE_MM:
            raise ValueError(
                f"examples[{index}]: the annotated joints lie {beside_mm / 1000:.1f} m beside the "
                "person that the model sees; check box, intrinsic_matrix and extrinsic_matrix, and "
                "that joints_mm are in mm, in the camera's space if there is no extrinsic_matrix"
            )
    return examples


def _skeleton(content: Any, folder: Path) -> Skeleton:
    if isinstance(content, str):
        return catalogue.load(str(folder / content) if content.endswith(".json") else content)
    return skeleton.of_json(content)


def _moment(content: Any, where: str, new: Skeleton, folder: Path, model_joints: int) -> Moment:
    if isinstance(content, dict) and "views" in content:
        json_files.check_keys(content, where, ("views",), ("joints_mm",))
        if not isinstance(content["views"], list) or not content["views"]:
            raise ValueError(f"{where}.views must be a list of views")
        places = [f"{where}.views[{index}]" for index in range(len(content["views"]))]
        contents = content["views"]
    else:
        json_files.check_keys(content, where, (), ("joints_mm", *VIEW_KEYS))
        places = [where]
        contents = [{key: value for key, value in content.items() if key != "joints_mm"}]
    views = []
    for one, place in zip(contents, places, strict=True):
        json_files.check_keys(one, place, (), VIEW_KEYS)
        views.append(_view(one, place, folder, model_joints))
    in_images = [index for index, one in enumerate(contents) if "joints_px" in one]
    if "joints_mm" in content and not in_images:
        return Moment(_joints(content["joints_mm"], f"{where}.joints_mm", new, 3), tuple(views))
    if "joints_mm" in content or len(in_images) < 2:
        raise ValueError(
            f"{where} must have either joints_mm, or joints_px in at least two of its views"
        )
    points = [
        _joints(contents[index]["joints_px"], f"{places[index]}.joints_px", new, 2)
        for index in in_images
    ]
    image_views = [views[index] for index in in_images]
    return Moment(_triangulated(np.stack(points), image_views, where), tuple(views))


def _view(content: dict[str, Any], where: str, folder: Path, model_joints: int) -> View:
    image, box, predicted = (content.get(key) for key in ("image", "box", "predicted_mm"))
    if (predicted is None) == (image is None) or (image is None) != (box is None):
        raise ValueError(f"{where} must have either image and box, or predicted_mm")
    camera, is_known = _camera(content, where), content.get("intrinsic_matrix") is not None
    if image is None:
        place = f"{where}.predicted_mm"
        return View(json_files.numbers(predicted, place, (model_joints, 3)), camera, is_known)
    if not isinstance(image, str):
        raise ValueError(f"{where}.image must be the path of an image")
    box = json_files.numbers(box, f"{where}.box", (4,))
    if (box[2:] <= 0).any():
        raise ValueError(f"{where}.box must be x, y, width, height in px")
    return View(Picture(folder / image, box, camera if is_known else None), camera, is_known)


def _camera(content: dict[str, Any], where: str) -> Camera:
    """The camera of a view; with unit intrinsics if they are not known."""
    intrinsics, extrinsics = content.get("intrinsic_matrix"), content.get("extrinsic_matrix")
    if intrinsics is None:
        intrinsics = UNIT_INTRINSICS
    try:
        lens = arguments.check_lens(intrinsics, content.get("distortion_coeffs"))
        pose = (None, None) if extrinsics is None else arguments.check_extrinsics(extrinsics)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return cameras.create(lens[0], *pose, lens[1])


def _triangulated(
    points_px: Float[np.ndarray, "v k 2"], views: Sequence[View], where: str
) -> Float[np.ndarray, "k 3"]:
    """World joints from the views; ValueError if the cameras do not determine them, or disagree."""
    if not all(view.knows_intrinsics for view in views):
        raise ValueError(f"{where}: views with joints_px need their intrinsic_matrix")
    together = Camera(*(np.stack(parts) for parts in zip(*(v.camera for v in views), strict=True)))
    joints_mm = triangulation.triangulate(together, points_px)
    if np.isnan(joints_mm).all():
        raise ValueError(
            f"{where}: no joint is seen from two directions; every view needs its own "
            "extrinsic_matrix, and joints must be annotated in two views"
        )
    in_every_view = np.broadcast_to(joints_mm, (len(views), *joints_mm.shape))
    off_px = np.linalg.norm(cameras.project(together, in_every_view) - points_px, axis=-1)
    if np.nanmedian(off_px) > DISAGREEMENT_PX:
        raise ValueError(
            f"{where}: its views disagree by {np.nanmedian(off_px):.0f} px; check that "
            "extrinsic_matrix goes from world to camera in mm, and left and right of the joints"
        )
    return joints_mm


def _joints(content: Any, where: str, new: Skeleton, size: int) -> Float[np.ndarray, "k c"]:
    """Points by joint name; NaN where they are null or left out."""
    if not isinstance(content, dict):
        raise ValueError(f"{where} must be an object of joint names and points or null")
    points = np.full((len(new.joint_names), size), np.nan)
    names = [name for name in content if content[name] is not None]
    for name, index in zip(names, skeleton.select(new, names).tolist(), strict=True):
        points[index] = json_files.numbers(content[name], f"{where}.{name}", (size,))
    return points


def _check_together(new: Skeleton, moments: Sequence[Moment]) -> None:
    """Raise ValueError for joints without annotation, and for poses in wrong units or space."""
    joints_mm = np.stack([moment.joints_mm for moment in moments])
    has_label = fitting.known(joints_mm)
    mirror = skeleton.mirror_map(new.joint_names)
    counts = has_label.sum(0) + np.where(
        mirror == np.arange(len(mirror)), 0, has_label[:, mirror].sum(0)
    )
    for name, count in zip(new.joint_names, counts.tolist(), strict=True):
        if count < 2:
            raise ValueError(
                f"joint '{name}' is annotated {('nowhere', 'once')[count]}; annotate it (or its "
                "mirror image) in at least two examples, or take it out of the skeleton"
            )
    if np.nanmax(np.abs(joints_mm)) < METRES:
        raise ValueError("joints_mm are all below 50 mm; are they metres? multiply them by 1000")
    for index, moment in enumerate(moments):
        if not has_label[index].any():
            raise ValueError(f"examples[{index}] annotates no joint; annotate some or remove it")
        for view in moment.views:
            depth = cameras.world_to_camera(view.camera, moment.joints_mm[has_label[index]])[:, 2]
            if (depth <= 0).any():
                raise ValueError(
                    f"examples[{index}]: joints are behind a camera; give them in the camera's "
                    "space (z forward, not relative to a root joint) or with an extrinsic_matrix "
                    "from world to camera"
                )
