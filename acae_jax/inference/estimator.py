"""Images in, 3D poses of everybody out: `acae_jax.load()`, then `estimator.detect_poses(image)`.

Boxes (given, or the detector's) → one virtual camera per box and test-time variant → crops → the
network → back to the image's camera, mirror images mirrored back → mean of the variants →
implausible poses out → the chosen skeleton → world space.

Names and meanings of the arguments are those of MeTRAbs' published estimators. Differences: num_aug
is 1 by default, which is the plain crop, as in a model's published scores and the calibration of
its uncertainty (5 costs five times as much); thresholds suit the packaged detector; and there are
uncertainties.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np

from acae_jax import messages
from acae_jax.bundles import bundle as bundles
from acae_jax.bundles import onnx_backend
from acae_jax.geometry import boxes as box_geometry
from acae_jax.geometry import cameras
from acae_jax.inference import (
    arguments,
    box_poses,
    detection,
    following,
    plausibility,
    variants,
    visible_boxes,
)
from acae_jax.inference.arguments import ArrayLike
from acae_jax.inference.detection import Detector

UP = (0.0, -1.0, 0.0)

Images = Sequence[ArrayLike] | np.ndarray


class Poses(TypedDict):
    """The people of one image: n of them, J joints of the skeleton.

    With average_aug=False all but the boxes have an axis for the num_aug variants after n.
    """

    boxes: np.ndarray  # float32 (n, 5): x, y of the top-left corner, width, height in px; score
    poses3d: np.ndarray  # float32 (n, J, 3): mm in the world
    poses2d: np.ndarray  # float32 (n, J, 2): px of the image, with its lens distortion
    uncertainties: np.ndarray  # float32 (n, J): expected distance from the truth in mm


class PosesOfMany(TypedDict):
    """The people of several images: what `Poses` has, in lists with an array for each image."""

    boxes: list[np.ndarray]
    poses3d: list[np.ndarray]
    poses2d: list[np.ndarray]
    uncertainties: list[np.ndarray]


class EstimateArguments(TypedDict, total=False):
    """Arguments of `estimate_poses`; see `Estimator` for what they mean."""

    intrinsic_matrix: ArrayLike | None
    distortion_coeffs: ArrayLike | None
    extrinsic_matrix: ArrayLike | None
    world_up_vector: ArrayLike
    default_fov_degrees: float | int
    num_aug: int
    average_aug: bool
    skeleton: str
    internal_batch_size: int
    antialias_factor: int


class DetectArguments(EstimateArguments, total=False):
    """Arguments of `detect_poses`; see `Estimator` for what they mean."""

    detector_threshold: float | int
    detector_nms_iou_threshold: float | int
    detector_flip_aug: bool
    max_detections: int
    suppress_implausible_poses: bool


class _Request(NamedTuple):
    """Checked arguments: images with their cameras, joints to return, and how to draw crops."""

    scenes: list[arguments.Scene]
    joints: slice | np.ndarray
    average: bool
    drawing: tuple[list[variants.Variant], np.ndarray, int, int]


Found = tuple[np.ndarray, box_poses.People]
"""Boxes, and the people in them."""


def load(folder: str | Path | None = None, detector: Detector | None = None) -> "Estimator":
    """Open a bundle; see `acae_jax.load`."""
    folder = bundles.located(folder)
    is_onnx = (folder / onnx_backend.HEADER).is_file()
    return Estimator((onnx_backend if is_onnx else bundles).load(folder), detector)


class Estimator:
    """A bundle with a detector: finds people in images and estimates their 3D poses.

    Images are uint8 RGB (h, w, 3). Arguments, with their defaults:

    intrinsic_matrix=None: (3, 3), in px, pixel centres at integers. Without it the longer side of
        the image spans default_fov_degrees=55.
    distortion_coeffs=None: 4, 5, 8 or 12 of OpenCV's.
    extrinsic_matrix=None: world to camera, (3, 4) or (4, 4), mm. Without it the world is the
        camera's space: x right, y down, z forward.
    world_up_vector=(0, -1, 0): which way is up in the world. Crops are turned so that it is up in
        them, because networks know people upright.
    num_aug=1: variants of every crop (`variants`). average_aug=True: their mean, otherwise all.
    skeleton='': one of per_skeleton_joint_names; '' is all joints.
    detector_threshold=0.4, detector_nms_iou_threshold=0.6, max_detections=-1 (any number): what
        the detector gets.
    detector_flip_aug=False: look for people in the mirrored image, too; takes twice as long.
    suppress_implausible_poses=True: leave out what is no person, and duplicates (`plausibility`).
    internal_batch_size=64: crops in one call of the network, at most; CPUs never get more than 4.
        Bounds the memory.
    antialias_factor=1: draw crops so many times larger and average them.

    In the forms for several images, which may differ in size, the camera arguments are one for all
    or one for each. Invalid values raise ValueError, unknown names TypeError.
    """

    def __init__(self, bundle: bundles.Bundle, detector: Detector | None = None):
        self.bundle = bundle
        self.per_skeleton_joint_names = {"": bundle.facts.joint_names}
        self.per_skeleton_joint_edges = {"": bundle.facts.edges}
        for name, selection in bundle.facts.skeletons.items():
            self.per_skeleton_joint_names[name] = selection.joint_names
            self.per_skeleton_joint_edges[name] = selection.edges
        self._detector = detector

    @property
    def per_skeleton_edges(self) -> Mapping[str, tuple[tuple[int, int], ...]]:
        """The same as per_skeleton_joint_edges."""
        return self.per_skeleton_joint_edges

    def detect_poses(self, image: ArrayLike, **options: Unpack[DetectArguments]) -> Poses:
        """Find the people in an image and their poses; best score first."""
        _check_names("detect_poses", DetectArguments, options)
        return _only(self._detect([image], **options))

    def estimate_poses(
        self, image: ArrayLike, boxes: ArrayLike, **options: Unpack[EstimateArguments]
    ) -> Poses:
        """Estimate the pose in each box (n, 4) or (n, 5) of an image, in their order."""
        _check_names("estimate_poses", EstimateArguments, options)
        return _only(self._estimate([image], [boxes], **options))

    def detect_poses_batched(
        self, images: Images, **options: Unpack[DetectArguments]
    ) -> PosesOfMany:
        """Find the people in each image and their poses."""
        _check_names("detect_poses_batched", DetectArguments, options)
        return self._detect(images, **options)

    def estimate_poses_batched(
        self, images: Images, boxes: Sequence[ArrayLike], **options: Unpack[EstimateArguments]
    ) -> PosesOfMany:
        """Estimate the pose in each box of each image."""
        _check_names("estimate_poses_batched", EstimateArguments, options)
        return self._estimate(images, boxes, **options)

    def follow_poses(
        self,
        image: ArrayLike,
        before: following.Followed,
        detect: bool,
        **options: Unpack[DetectArguments],
    ) -> tuple[Poses, following.Followed]:
        """Find the people of a video's next frame; also returns what to pass for the frame after.

        They are looked for where they were in the frame `before`, taken by the same camera. The
        detector is asked for new people if `detect` is true, and if somebody is lost or the network
        is unsure of somebody. `suppress_implausible_poses` is taken to be true. Only for models
        that tell where a person is (`bundle.facts.looks`).
        """
        _check_names("follow_poses", DetectArguments, options)
        detecting, rest = _parted(options)
        detecting.pop("suppress_implausible_poses", None)
        request = self._request([image], **rest)
        (scene,) = request.scenes
        boxes, people = self._followed(request, following.sure_ones(before))
        if detect or len(boxes) < len(before.boxes):
            detected = arguments.check_boxes(self._detected([scene.image], **detecting), 1)[0]
            new, boxes[:, 4] = following.parted(detected, boxes)
            in_view = visible_boxes.check(new, scene, leave_out=True)
            (others,) = box_poses.estimate(self.bundle, [scene], [in_view.seen], *request.drawing)
            boxes = np.concatenate([boxes, in_view.boxes])
            people = box_poses.People(*map(np.concatenate, zip(people, others, strict=True)))
        kept = self._plausible(scene.camera, boxes, people)
        most = detecting.get("max_detections", -1)
        boxes, people = _of(boxes, people, kept[:most] if most > 0 else kept)
        sure = following.is_sure(people.doubts_mm.mean(1))
        regions_mm = np.where(sure[:, None, None], people.regions_mm.mean(1), np.nan)
        return _only(self._poses(request, [(boxes, people)])), following.Followed(boxes, regions_mm)

    def _followed(self, request: _Request, before: following.Followed) -> Found:
        """Those people of the frame before who are surely still there, in boxes around them."""
        (scene,) = request.scenes
        height, width = scene.image.shape[:2]
        (people,) = box_poses.estimate(self.bundle, [scene], [before.regions_mm], *request.drawing)
        regions_mm = following.steadied(before.regions_mm, people.regions_mm)
        people = people._replace(regions_mm=regions_mm)
        poses_px = box_poses.project(scene.camera, people.joints_mm.mean(1))
        boxes = following.around(poses_px, before.boxes[:, 4], height, width)
        sure = following.is_sure(people.doubts_mm.mean(1)) & (box_geometry.area(boxes[:, :4]) > 0)
        return _of(boxes, people, np.flatnonzero(sure))

    def _detect(self, images: Images, **options: Unpack[DetectArguments]) -> PosesOfMany:
        pixels = arguments.check_images(images)
        detecting, rest = _parted(options)
        suppress = bool(detecting.pop("suppress_implausible_poses", True))
        boxes = self._detected(pixels, **detecting)
        return self._estimate(pixels, boxes, are_detected=True, suppress=suppress, **rest)

    def _estimate(
        self,
        images: Images,
        boxes: Sequence[ArrayLike],
        *,
        are_detected: bool = False,
        suppress: bool = False,
        **options: Unpack[EstimateArguments],
    ) -> PosesOfMany:
        request = self._request(images, **options)
        checked = arguments.check_boxes(boxes, len(request.scenes))
        in_view = [
            visible_boxes.check(of_image, scene, leave_out=are_detected)
            for scene, of_image in zip(request.scenes, checked, strict=True)
        ]
        everybody = box_poses.estimate(
            self.bundle, request.scenes, [part.seen for part in in_view], *request.drawing
        )
        found = (
            _of(of_image, people, self._plausible(scene.camera, of_image, people))
            if suppress
            else (of_image, people)
            for scene, (of_image, _), people in zip(request.scenes, in_view, everybody, strict=True)
        )
        return self._poses(request, found)

    # Any: what is passed here is checked below, with errors for people.

    def _detected(
        self,
        pixels: list[np.ndarray],
        *,
        detector_threshold: Any = 0.4,
        detector_nms_iou_threshold: Any = 0.6,
        detector_flip_aug: Any = False,
        max_detections: Any = -1,
    ) -> Sequence[np.ndarray]:
        """The detector's boxes in each image."""
        threshold = arguments.check_number("detector_threshold", detector_threshold)
        overlap = arguments.check_number("detector_nms_iou_threshold", detector_nms_iou_threshold)
        most = arguments.check_whole("max_detections", max_detections)
        if self._detector is None:
            self._detector = detection.load()
        if detector_flip_aug:
            return detection.with_mirror_images(self._detector, pixels, threshold, overlap, most)
        return self._detector(pixels, threshold, overlap, most)

    def _request(
        self,
        images: Images,
        *,
        intrinsic_matrix: ArrayLike | None = None,
        distortion_coeffs: ArrayLike | None = None,
        extrinsic_matrix: ArrayLike | None = None,
        world_up_vector: ArrayLike = UP,
        default_fov_degrees: Any = 55,
        num_aug: Any = 1,
        average_aug: Any = True,
        skeleton: Any = "",
        internal_batch_size: Any = 64,
        antialias_factor: Any = 1,
    ) -> _Request:
        joints = self._joints_of(skeleton)
        up = arguments.check_up(world_up_vector)
        count = arguments.check_whole("num_aug", num_aug)
        batch_size = arguments.check_whole("internal_batch_size", internal_batch_size)
        antialias = arguments.check_whole("antialias_factor", antialias_factor)
        if antialias < 1:
            raise ValueError(f"antialias_factor is {antialias}; give 1, 2, 3 or 4")
        scenes = arguments.create(
            images, intrinsic_matrix, distortion_coeffs, extrinsic_matrix, default_fov_degrees
        )
        views = variants.schedule(count, self.bundle.facts.trained)
        return _Request(scenes, joints, bool(average_aug), (views, up, antialias, batch_size))

    def _poses(self, request: _Request, found: Iterable[Found]) -> PosesOfMany:
        """The chosen joints of the people in each image, in world space."""
        poses = PosesOfMany(boxes=[], poses3d=[], poses2d=[], uncertainties=[])
        for scene, (boxes, people) in zip(request.scenes, found, strict=True):
            joints_mm, uncertainty_mm = people.joints_mm, people.uncertainty_mm
            if request.average:
                joints_mm, uncertainty_mm = joints_mm.mean(1), uncertainty_mm.mean(1)
            joints_mm = joints_mm[..., request.joints, :]
            poses["boxes"].append(boxes)
            poses["poses3d"].append(_f32(cameras.camera_to_world(scene.camera, joints_mm)))
            poses["poses2d"].append(_f32(box_poses.project(scene.camera, joints_mm)))
            poses["uncertainties"].append(_f32(uncertainty_mm[..., request.joints]))
        return poses

    def _joints_of(self, skeleton: Any) -> slice | np.ndarray:
        if not isinstance(skeleton, str):
            raise ValueError(f"skeleton is {skeleton!r}; give a name, or '' for all joints")
        if skeleton == "":
            return slice(None)
        selections = self.bundle.facts.skeletons
        if skeleton not in selections:
            hint = messages.near_misses(skeleton, selections)
            raise ValueError(f"no skeleton {skeleton!r} in this model; {hint} ('': all joints)")
        return np.array(selections[skeleton].indices)

    def _plausible(
        self, camera: cameras.Camera, boxes: np.ndarray, people: box_poses.People
    ) -> np.ndarray:
        facts, joints_mm = self.bundle.facts, people.joints_mm
        poses_px = box_poses.project(camera, joints_mm.mean(1))
        return plausibility.select(joints_mm, poses_px, boxes, facts.edges, facts.bones_mm)


def _check_names(method: str, known: type, options: Mapping[str, object]) -> None:
    """A TypeError that tells the name which was perhaps meant."""
    for name in set(options) - set(known.__annotations__):
        hint = messages.near_misses(name, known.__annotations__)
        raise TypeError(f"{method}() has no argument '{name}'; {hint}")


def _parted(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of the detector, and those of the estimation."""
    rest = {name: options[name] for name in options if name in EstimateArguments.__annotations__}
    return {name: options[name] for name in options if name not in rest}, rest


def _of(boxes: np.ndarray, people: box_poses.People, indices: np.ndarray) -> Found:
    return boxes[indices], box_poses.People(*(part[indices] for part in people))


def _f32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def _only(poses: PosesOfMany) -> Poses:
    """Those of the one image there was."""
    return Poses(
        boxes=poses["boxes"][0],
        poses3d=poses["poses3d"][0],
        poses2d=poses["poses2d"][0],
        uncertainties=poses["uncertainties"][0],
    )
