"""The same numbers as torch's networks: features of published classifiers, poses of MeTRAbs.

Skipped without torch. To run, in an environment of its own beside this package's requirements:

    pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
    pip install --no-deps torchvision==0.28.0 timm==1.0.31
    pytest tests/foreign/parity_test.py -s

Weights and running statistics are random; nothing is downloaded. -s prints the differences.
"""

from functools import partial

import jax
import numpy as np
import published_layout
import pytest

from acae_jax import import_weights
from acae_jax.estimation.packing import imported, program
from acae_jax.foreign import metrabs, pretrained
from acae_jax.models import backbones, layers

torch = pytest.importorskip("torch")

import metrabs_torch  # noqa: E402

MODELS = [(lib, name) for lib in import_weights.LIBRARIES for name in pretrained.models(lib)]


def torch_features(library, name):
    """A model with random weights, and the function that gives its features."""
    torch.manual_seed(0)
    if library == "torchvision":
        model = getattr(metrabs_torch.torchvision().models, name)()
    else:
        metrabs_torch.torchvision()
        timm = pytest.importorskip("timm")
        # tf_* pad so that the sampling grid moves: their weights are compared on ours.
        model = timm.create_model(name, **({"pad_type": ""} if name.startswith("tf_") else {}))
    if library == "timm":
        features = model.forward_features
    elif hasattr(model, "features"):
        features = model.features
    else:
        stem = torch.nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
        stages = (model.layer1, model.layer2, model.layer3, model.layer4)
        features = torch.nn.Sequential(stem, *stages)
    metrabs_torch.randomise(model, features, torch.randn(4, 3, 128, 128))
    return model, features


@pytest.mark.parametrize("library, name", MODELS)
def test_features_are_those_of_torch(library, name, tmp_path):
    model, features = torch_features(library, name)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    state = pretrained.read_state(tmp_path / "weights.pth")
    found = pretrained.convert(state, library, name, "")
    images = np.random.default_rng(0).uniform(size=(1, 96, 64, 3)).astype(np.float32)
    mean, std = (np.array(one, np.float32) for one in layers.PIXELS[found.pixels])
    with torch.no_grad():
        normalised = torch.tensor(((images - mean) / std).transpose(0, 3, 1, 2).copy())
        single = features(normalised).numpy().transpose(0, 2, 3, 1)
        model.double()
        expected = features(normalised.double()).numpy().transpose(0, 2, 3, 1)
    module = backbones.create(found.name, ghost_size=1, centred=False, pixels=found.pixels)
    ours = jax.jit(partial(module.apply, train=False))(found.variables, images)
    norm = np.linalg.norm(expected)
    error, theirs = (np.linalg.norm(one - expected) / norm for one in (ours, single))
    print(f"{library} {name}: {error:.1e} of the features' norm (torch in float32: {theirs:.1e})")
    assert error < 1e-4


CASES = {
    "S/256": {},
    "S/256, not legacy": {"legacy_centered_stride_bug": False},
    "S/256, not centred": {"centered_stride": False, "mix_3d_inside_fov": 0.3},
    "L/384": {"efficientnet_size": "l", "proc_side": 384},
}


@pytest.mark.parametrize("case", CASES)
def test_poses_are_those_of_the_published_crop_model(case, tmp_path):
    config = {**published_layout.CONFIG, **CASES[case]}
    points = 555
    images, intrinsics = crops(config["proc_side"], count=2)
    model = metrabs_torch.random_model(config, points, torch.tensor(images))
    folder = published_layout.write(
        tmp_path / "metrabs", config, points, lambda path: torch.save(model.state_dict(), path)
    )
    if config["centered_stride"]:
        model.shift_last_stage()
    with torch.no_grad():
        single, _ = model(torch.tensor(images), torch.tensor(intrinsics))
        expected, px = model.double()(torch.tensor(images), torch.tensor(intrinsics))
    published = metrabs.read(folder)
    network = imported.pose_network(published)
    weights = program.fold(network, metrabs.variables(published, imported.shapes(network)))
    compiled = jax.jit(imported.crop_model(network, published.settings))
    poses_mm = np.asarray(compiled(weights, images, intrinsics)[0])

    error_mm = np.linalg.norm(poses_mm - expected.numpy(), axis=-1)
    first, last = model.limits_px()
    from_limit = torch.minimum((px - first).abs(), (px - last).abs()).min(-1).values.numpy()
    visible = ((px >= first) & (px <= last)).all(-1).numpy()
    on_limit = from_limit < 1e-3
    print(
        f"{case}: {error_mm[~on_limit].max():.4f} mm at most, median {np.median(error_mm):.5f} "
        f"(torch in float32: {(single - expected).norm(dim=-1).max():.4f}); "
        f"{visible.mean():.0%} of {error_mm.size} joints in view, {on_limit.sum()} on its limit"
    )
    assert 0.05 < visible.mean() < 1
    assert error_mm[~on_limit].max() < 0.1
    assert on_limit.mean() < 0.01


def crops(side_px, count):
    """Coloured clouds, and cameras from near to far."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
    images = np.asarray(jax.image.resize(coarse, (count, side_px, side_px, 3), "linear"))
    intrinsics = np.tile(np.eye(3, dtype=np.float32), (count, 1, 1))
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = np.linspace(1, 4, count) * side_px
    intrinsics[:, :2, 2] = (side_px - 1) / 2
    return images.astype(np.uint8), intrinsics
