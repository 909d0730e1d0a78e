"""3D human pose in every skeleton format at once, and in agreement."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from acae_jax.inference.detection import Detector
    from acae_jax.inference.estimator import Estimator


def load(folder: str | Path | None = None, detector: Detector | None = None) -> Estimator:
    """Open a model to find people in images: `acae_jax.load().detect_poses(image)`.

    Args:
        folder: a bundle, as `acae_jax.export` and `acae_jax.import_weights` write them, or an ONNX
            export, which onnxruntime then runs; or the name of a model that comes with the
            package: "blazepose_full", the default, which is for photographs, or "embedded", which
            was trained on the embedded synthetic people.
        detector: any callable from (images, threshold, nms_iou_threshold, max_detections) to one
            array (n, 5) of boxes for each image; by default the packaged NanoDet.

    Raises:
        OSError, ValueError: if the folder holds no bundle, or one that cannot be used.
    """
    # Imported only now: `import acae_jax` costs nothing.
    from acae_jax.inference import estimator

    return estimator.load(folder, detector)
