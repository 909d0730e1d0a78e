"""The packaged model as an ONNX file and as a SavedModel, made and run where their packages are.

Skipped without them, because they do not go together with everything else here. To run, each in an
environment of its own:

    pip install jax2onnx onnxruntime safetensors flatbuffers jaxtyping pytest
    pip install -e '.[savedmodel]' pytest
    pytest tests/packaging/packaging_other_runtimes_test.py -o addopts= -o filterwarnings=
"""

import numpy as np
import pytest

from acae_jax import export
from acae_jax.bundles import bundle
from acae_jax.packaging import forms

NEEDED = {"onnx": "jax2onnx", "savedmodel": "tensorflow"}


@pytest.mark.parametrize("form", NEEDED)
def test_it_leaves_and_gives_the_same(form, tmp_path, capsys):
    pytest.importorskip(NEEDED[form])
    opened = bundle.load(bundle.EMBEDDED)
    out = tmp_path / form
    assert export.main([str(bundle.EMBEDDED), "--to", form, "--out", str(out)]) == 0
    assert "all files are as written" in capsys.readouterr().out
    assert max(one.largest for one in forms.verify(out).values()) < 0.02

    side_px = opened.facts.side_px
    images = np.random.default_rng(1).integers(0, 256, (3, side_px, side_px, 3), dtype=np.uint8)
    camera = np.array([[2 * side_px, 0, side_px / 2], [0, 2 * side_px, side_px / 2], [0, 0, 1]])
    intrinsics = np.stack([camera * (1, 1, 1), camera * (1.5, 1.5, 1), camera]).astype(np.float32)
    model = forms.module(form).load(out, forms.checked(out).signature)
    for given in ((images, intrinsics), (images[:1], intrinsics[:1])):
        for found, expected in zip(model(*given), opened.crop_model(*given), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=0.05)

    largest = max(
        (path for path in out.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    held = bytearray(largest.read_bytes())
    held[len(held) // 2] ^= 1
    largest.write_bytes(held)
    with pytest.raises(ValueError, match=largest.name):
        forms.verify(out)
