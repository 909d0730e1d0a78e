"""What launch/make_landmark_asset.py makes of the published archives, against ai-edge-litert.

Skipped without litert. To run, with the archive of all variants:

    pip install ai-edge-litert==2.3.0
    npm pack @mediapipe/pose@0.5.1675469404
    LANDMARK_ARCHIVE=mediapipe-pose-0.5.1675469404.tgz pytest \\
        tests/launch/launch_landmark_asset_test.py -s

-s prints the differences.
"""

import os
import tarfile
from pathlib import Path

import jax
import jax.numpy as jnp
import make_landmark_asset
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from safetensors.numpy import load_file

from acae_jax.datasets.synthetic import scenes, studios, takes
from acae_jax.foreign import blazepose_weights
from acae_jax.images import decoding, resizing
from acae_jax.models.blazepose import SIDE_PX, VARIANTS, BlazePose

ARCHIVE = os.environ.get("LANDMARK_ARCHIVE", "")
needs_archive = pytest.mark.skipif(not ARCHIVE, reason="LANDMARK_ARCHIVE names no npm package")


def crops():
    """Rendered people and random colours."""
    studio = studios.STUDIOS["embedded_test"]
    records = [scenes.make(studio, 7, takes.make(studio, 7, i), 24 * i) for i in range(4)]
    people = [resizing.resize(decoding.decode(r.image), SIDE_PX, SIDE_PX) for r in records]
    noise = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    return np.stack([*people, noise]).astype(np.float32) / 255


def litert_outputs(data, images):
    """What litert gives for each image, in the order of the graph's names."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    (into,) = interpreter.get_input_details()
    outputs = sorted(interpreter.get_output_details(), key=lambda output: output["name"])
    rows = []
    for image in images:
        interpreter.set_tensor(into["index"], image[None])
        interpreter.invoke()
        rows.append([interpreter.get_tensor(output["index"])[0].copy() for output in outputs])
    return [np.stack(column) for column in zip(*rows, strict=True)]


@needs_archive
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_gives_what_litert_gives(variant):
    data = make_landmark_asset.read_archive(Path(ARCHIVE), variant)
    arrays = make_landmark_asset.weights(variant, data)
    params = {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
    images = crops()
    points, probability, mask, heatmaps, world = litert_outputs(data, images)
    network = BlazePose(variant)
    ours = jax.jit(network.apply)({"params": unflatten_dict(params, sep="/")}, images)

    points = points.reshape(-1, 39, 5)
    largest = {
        "landmarks (px)": np.abs(ours.landmarks_px - points[..., :3]).max(),
        "visibility, presence": max(
            np.abs(ours.visibility_logits - points[..., 3]).max(),
            np.abs(ours.presence_logits - points[..., 4]).max(),
        ),
        "world (mm)": 1000 * np.abs(ours.world_m - world.reshape(-1, 39, 3)).max(),
        "person": np.abs(ours.probability - probability[:, 0]).max(),
        "mask, share of the largest logit": np.abs(ours.mask_logits - mask[..., 0]).max()
        / np.abs(mask).max(),
        "heat maps": np.abs(ours.heatmaps - heatmaps).max(),
    }
    print(f"\n{variant}: " + ", ".join(f"{name} {value:.1e}" for name, value in largest.items()))
    bounds = (0.05, 0.01, 0.1, 1e-3, 2e-3, 0.01)
    assert all(value <= bound for value, bound in zip(largest.values(), bounds, strict=True))


@needs_archive
def test_the_packaged_weights_are_those_of_this_archive(tmp_path, monkeypatch):
    out = tmp_path / "full.safetensors"
    monkeypatch.setattr("sys.argv", ["make_landmark_asset.py", ARCHIVE, "full", str(out)])
    make_landmark_asset.main()
    network, _ = blazepose_weights.load(out)
    assert network.variant == "full"
    packaged, ours = load_file(blazepose_weights.PACKAGED), load_file(out)
    assert packaged.keys() == ours.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, packaged[name])


@pytest.mark.parametrize(
    "member, message",
    [
        ("package/pose_landmark_full.tflite", "holds no pose_landmark_lite.tflite"),
        ("package/pose_landmark_lite.tflite", "no TensorFlow Lite flatbuffer"),
    ],
)
def test_another_archive_is_refused_in_one_line(tmp_path, monkeypatch, member, message):
    (tmp_path / "file").write_bytes(b"not a flatbuffer")
    with tarfile.open(tmp_path / "archive.tgz", "w:gz") as archive:
        archive.add(tmp_path / "file", member)
    out = tmp_path / "lite.safetensors"
    words = ["make_landmark_asset.py", str(tmp_path / "archive.tgz"), "lite", str(out)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        make_landmark_asset.main()
    assert not out.exists()
