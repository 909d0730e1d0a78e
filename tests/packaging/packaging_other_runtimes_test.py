"""The packaged models as an ONNX file and as a SavedModel, made and run where their packages are.

Skipped without them, because they do not go together with everything else here. To run, each in an
environment of its own:

    pip install jax2onnx jax==0.10.2 flax==0.12.8 onnxruntime safetensors flatbuffers jaxtyping
    pip install -e '.[savedmodel]'
    pip install pytest
    pytest tests/packaging/packaging_other_runtimes_test.py -o addopts= -o filterwarnings=
"""

from pathlib import Path

import numpy as np
import pytest

import acae_jax
from acae_jax import export
from acae_jax.bundles import bundle
from acae_jax.images import decoding
from acae_jax.packaging import forms

PHOTOGRAPH = Path(__file__).parents[1] / "photographs" / "skier.jpg"
NEEDED = {"onnx": "jax2onnx", "savedmodel": "tensorflow"}


@pytest.mark.parametrize("source", [bundle.EMBEDDED, bundle.PHOTOGRAPHS], ids=lambda p: p.name)
@pytest.mark.parametrize("form", NEEDED)
def test_it_leaves_and_gives_the_same(form, source, tmp_path, capsys):
    pytest.importorskip(NEEDED[form])
    opened = bundle.load(source)
    out = tmp_path / form
    assert export.main([str(source), "--to", form, "--out", str(out)]) == 0
    assert "all files are as written" in capsys.readouterr().out
    farthest_mm = np.abs(bundle.read(source).reference["poses_mm"]).max()
    apart_mm = max(one.largest for one in forms.verify(out).values())
    assert apart_mm < 3e-5 * farthest_mm  # rounding in another order

    side_px = opened.facts.side_px
    images = np.random.default_rng(1).integers(0, 256, (3, side_px, side_px, 3), dtype=np.uint8)
    camera = np.array([[2 * side_px, 0, side_px / 2], [0, 2 * side_px, side_px / 2], [0, 0, 1]])
    intrinsics = np.stack([camera * (1, 1, 1), camera * (1.5, 1.5, 1), camera]).astype(np.float32)
    model = forms.module(form).load(out, forms.checked(out).signature)
    for given in ((images, intrinsics), (images[:1], intrinsics[:1])):
        points_mm, spread_mm = opened.crop_model(*given)
        expected = [points_mm, spread_mm]
        if opened.matrix is not None:
            expected = [opened.matrix @ points_mm, spread_mm, points_mm]
        for output, values in zip(model(*given), expected, strict=True):
            np.testing.assert_allclose(output, values, rtol=1e-4, atol=0.05)

    if form == "onnx":
        _check_estimates_as(source, out)

    largest = max(
        (path for path in out.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    held = bytearray(largest.read_bytes())
    held[len(held) // 2] ^= 1
    largest.write_bytes(held)
    with pytest.raises(ValueError, match=largest.name):
        forms.verify(out)


def _check_estimates_as(source, out):
    """The estimator gives with an ONNX export what it gives with the bundle."""
    image = decoding.decode(PHOTOGRAPH.read_bytes())
    box = [[0, 0, image.shape[1], image.shape[0]]]
    of_export, of_bundle = (acae_jax.load(p).estimate_poses(image, box) for p in (out, source))
    for name in ("poses3d", "poses2d", "uncertainties"):
        np.testing.assert_allclose(of_export[name], of_bundle[name], rtol=1e-3, atol=0.5)
