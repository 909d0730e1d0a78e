"""An ONNX export opened as a bundle: the same estimator, with onnxruntime in XLA's place.

On CPUs onnxruntime is 1.3 times as fast as XLA on one crop of EfficientNetV2-S, as fast on many;
its first call does not compile. What a folder must hold, `acae_jax.packaging.onnx_file` writes.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from acae_jax.bundles import bundle, folders
from acae_jax.bundles.bundle import Bundle

HEADER, FORMAT, FILE = folders.EXPORT_HEADER, "acae_jax onnx", "model.onnx"


def load(folder: str | Path) -> Bundle:
    """Open an ONNX export, after checking its files.

    An ImportError if onnxruntime is not here, a ValueError if the export cannot be used.
    """
    folder = Path(folder)
    _, facts, sums = folders.opened(folder, HEADER, (FORMAT,))
    if FILE not in sums:
        raise ValueError(f"{folder / HEADER}: files must have {FILE}")
    model = session(folder, folders.read(folder, FILE, sums))
    matrix, joints = None, len(facts.joint_names)
    if bundle.JOINTS in sums:
        data = folders.read(folder, bundle.JOINTS, sums, bundle.LARGEST[bundle.JOINTS])
        matrix = bundle.joint_matrix(folder / bundle.JOINTS, data)
        joints = matrix.shape[1]

    def crop_model(images: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        poses_mm, spread_mm, *points_mm = model(images, intrinsics)
        return points_mm[0] if points_mm else poses_mm, spread_mm

    side_px = facts.side_px
    camera = np.array([[side_px, 0, side_px / 2], [0, side_px, side_px / 2], [0, 0, 1]], np.float32)
    outputs = crop_model(np.zeros((1, side_px, side_px, 3), np.uint8), camera[np.newaxis])
    if not all(output.shape[1] == joints for output in outputs):
        raise ValueError(
            f"{folder} gives positions and spreads of {outputs[0].shape[1]} and "
            f"{outputs[1].shape[1]} joints instead of {joints}: export it again from its bundle"
        )
    return Bundle(folder, folders.digest(folder, HEADER), facts, matrix, crop_model)


def session(
    folder: Path, model: bytes, names: Sequence[str] = ("images", "intrinsics")
) -> Callable[..., tuple[np.ndarray, ...]]:
    """The function of the inputs of these names, run by onnxruntime on the CPU."""
    try:
        import onnxruntime
    except ImportError:
        raise ImportError(f"{folder} needs onnxruntime: pip install -e '.[onnxruntime]'") from None
    try:
        opened = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own types
        reason = str(error).strip().splitlines()[0][:200]
        raise ValueError(f"{folder / FILE} cannot be opened by onnxruntime: {reason}") from None

    alone = threading.Lock()  # a run takes all cores: two would spin against each other

    def run(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        with alone:
            outputs = opened.run(None, dict(zip(names, arrays, strict=True)))
        return tuple(map(np.asarray, outputs))

    return run
