"""Published MeTRAbs folders: what is in them is read, and what does not fit or is not supported is
one line that names the file.

That poses are those of the published crop model is in parity_test.py, which needs torch.
"""

import hashlib
import pickle
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import published_layout
import pytest
import torch_bytes

from acae_jax import import_weights
from acae_jax.bundles import bundle
from acae_jax.estimation.packing import imported
from acae_jax.foreign import conversion, layouts, metrabs
from acae_jax.foreign.metrabs import PublishedSettings
from acae_jax.models import efficientnet
from acae_jax.models.efficientnet import Stage

# Of the published state dicts, without num_batches_tracked: number of arrays and SHA-256 of their
# sorted names and shapes.
LAYOUTS = {"s": (672, "cbe0614934f41010"), "l": (1331, "2fa00cb64af589d6")}
SETTINGS = PublishedSettings("s", 256, True, True, 8, 2200.0, 0.5)


@pytest.fixture
def folder(tmp_path):
    return published_layout.write(tmp_path / "metrabs_s")


@pytest.mark.parametrize("size", LAYOUTS)
def test_names_and_shapes_are_the_published_ones(size):
    published = metrabs.Published(SETTINGS._replace(size=size), 555, (), (), {}, None, {})
    like = imported.shapes(imported.pose_network(published))
    layers = metrabs.layers(size)
    shapes = dict(
        conversion.counterpart(path, leaf.shape, layers)
        for path, leaf in jax.tree_util.tree_leaves_with_path(like)
    )
    digest = hashlib.sha256(repr(sorted(shapes.items())).encode()).hexdigest()[:16]
    assert (len(shapes), digest) == LAYOUTS[size]
    assert len(layers) < len(layouts.layers(f"efficientnetv2_{size}", "torchvision")) + 2


def test_a_folder_is_read(folder):
    found = metrabs.read(folder)
    assert found.settings == SETTINGS
    assert found.points == 4
    assert found.joint_names == (*published_layout.NAMES, "middle_kinectv2")
    assert found.edges == ((0, 1), (0, 2))
    assert found.matrix is not None
    np.testing.assert_array_equal(found.matrix, published_layout.matrix().T)
    assert found.skeletons["smpl_24"] == ((2, 0), ("rhip", "pelv"), ((0, 1),))
    assert found.skeletons[""].indices == (0, 1, 2, 3)
    assert found.skeletons["kinectv2_25"].edges == ()


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_skeletons_of_any_pickle_protocol(folder, protocol):
    content = pickle.dumps(published_layout.skeletons(), protocol=protocol)
    (folder / "skeleton_infos.pkl").write_bytes(content)
    assert metrabs.read(folder).skeletons["smpl_24"].names == ("rhip", "pelv")


def test_without_a_matrix_the_joints_are_those_of_the_head(folder):
    (folder / "joint_transform_matrix.npy").unlink()
    skeletons = published_layout.skeletons()
    del skeletons["kinectv2_25"]
    (folder / "skeleton_infos.pkl").write_bytes(pickle.dumps(skeletons))
    found = metrabs.read(folder)
    assert found.matrix is None and found.joint_names == published_layout.NAMES


def test_malicious_skeletons_do_not_run(folder, tmp_path):
    marker = tmp_path / "ran"
    code = torch_bytes.Call(eval, f"open({str(marker)!r}, 'w').close()")
    skeletons = {
        **published_layout.skeletons(),
        "evil": {"indices": [0], "names": code, "edges": []},
    }
    path = folder / "skeleton_infos.pkl"
    path.write_bytes(pickle.dumps(skeletons))
    with pytest.raises(ValueError, match=r"skeleton_infos\.pkl: it calls builtins\.eval, which is"):
        metrabs.read(folder)
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists()


@pytest.mark.parametrize(
    "config, message",
    [
        ({"transform_coords": True}, "transform_coords is set: models with this setting cannot"),
        ({"predict_all_and_latents": True}, "predict_all_and_latents is set"),
        ({"weak_perspective": True}, "weak_perspective is set"),
        ({"stride_test": 16}, "stride_test is 16; only 32"),
        ({"efficientnet_size": "xl"}, "efficientnet_size is 'xl'; it must be s, m or l"),
        ({"proc_side": 250}, "a side of 250 px"),
        ({"depth": "eight"}, "'eight' for depth_bins is of the wrong type"),
        ({"centered_stride": 1}, "1 for centred is of the wrong type"),
        ({"proc_side": "!!python/object/apply:os.system [ls]"}, "not plain YAML"),
    ],
)
def test_settings_that_are_not_supported(tmp_path, config, message):
    folder = published_layout.write(tmp_path / "metrabs", config)
    with pytest.raises(ValueError, match=rf"config\.yaml: .*{message}") as error:
        metrabs.read(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["config.yaml", "joint_info.npz", "skeleton_infos.pkl", "ckpt.pt"])
def test_missing_and_truncated_files_are_named(folder, name):
    path = folder / name
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=name.replace(".", r"\.")) as error:
        metrabs.read(folder)
    assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=name.replace(".", r"\.")):
        metrabs.read(folder)


def test_a_missing_setting_is_named(folder):
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("box_size_mm", "box_size"))
    with pytest.raises(ValueError, match=r"config\.yaml: it lacks 'box_size_mm'"):
        metrabs.read(folder)


def test_parts_that_do_not_belong_together(folder):
    np.save(folder / "joint_transform_matrix.npy", np.eye(3))
    with pytest.raises(ValueError, match=r"matrix\.npy takes 3 joints, but the head in .* gives 4"):
        metrabs.read(folder)
    np.save(folder / "joint_transform_matrix.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"joint_transform_matrix\.npy: "):
        metrabs.read(folder)
    np.save(folder / "joint_transform_matrix.npy", published_layout.matrix())
    np.savez(folder / "joint_info.npz", joint_names=["a"], joint_edges=[[0, 0]])
    with pytest.raises(ValueError, match=r"joint_info\.npz names 1 joints, but the head"):
        metrabs.read(folder)


@pytest.mark.parametrize(
    "info, message",
    [
        ({"names": ["a"], "edges": []}, "lacks indices, names or edges"),
        ({"indices": [5], "names": ["a"], "edges": []}, "takes joints beyond the 5"),
        ({"indices": [0, 1], "names": ["a"], "edges": []}, "must have an index for each name"),
        ({"indices": [0], "names": ["a"], "edges": [[0, 1]]}, "edges beyond its joints"),
        ({"indices": [0], "names": ["a"], "edges": [[0, 1, 2]]}, "must be pairs"),
        ({"indices": [0], "names": [1], "edges": []}, "must be a list of texts"),
    ],
)
def test_skeletons_that_make_no_sense(folder, info, message):
    (folder / "skeleton_infos.pkl").write_bytes(pickle.dumps({"mine": info}))
    with pytest.raises(ValueError, match=rf"skeleton_infos\.pkl: .*{message}"):
        metrabs.read(folder)


def test_archives_that_expand_are_refused(folder):
    with zipfile.ZipFile(folder / "joint_info.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("joint_names.npy", bytes(metrabs.LIMIT_BYTES + 1))
    with pytest.raises(ValueError, match=r"joint_info\.npz: it expands to more than"):
        metrabs.read(folder)


def test_a_folder_becomes_a_bundle(tmp_path, monkeypatch, capsys):
    """The whole way, with a network of five small blocks for EfficientNetV2-S."""
    stages = [
        Stage(True, 1, 1, 8, 1),
        Stage(True, 4, 2, 8, 1),
        *[Stage(False, 4, 2, 8, 1)] * 3,
    ]
    monkeypatch.setitem(efficientnet.STAGES, "s", tuple(stages))
    config = {"proc_side": 64}
    settings = SETTINGS._replace(side_px=64)
    published = metrabs.Published(settings, 4, (), (), {}, None, {})
    network = imported.pose_network(published)
    like = imported.shapes(network)
    rng = np.random.default_rng(0)
    state = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(like):
        key, shape = conversion.counterpart(path, leaf.shape, metrabs.layers("s"))
        kernel = rng.normal(size=shape) / np.sqrt(max(1, np.prod(shape[1:])))
        numbers = kernel if len(shape) == 4 else rng.uniform(0.5, 1, shape)
        state[key] = numbers.astype(np.float32)
    folder = published_layout.write(
        tmp_path / "small", config, save=lambda path: torch_bytes.save(path, state)
    )
    import_weights.published_model(folder, tmp_path / "bundle")
    assert "5 joints in 3 skeletons" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="exists: choose another folder"):
        import_weights.published_model(folder, tmp_path / "bundle")

    opened = bundle.load(tmp_path / "bundle")
    assert opened.facts.default_skeleton == "smpl_24" and opened.facts.uncertainty is None
    assert opened.facts.joint_names == (*published_layout.NAMES, "middle_kinectv2")
    assert list(opened.facts.skeletons) == ["all", "smpl_24", "kinectv2_25"]
    np.testing.assert_array_equal(opened.matrix, published_layout.matrix().T)
    images = rng.integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    camera = np.array([[100, 0, 31.5], [0, 100, 31.5], [0, 0, 1]], np.float32)
    intrinsics = np.tile(camera, (2, 1, 1))
    poses_mm, spread_mm = opened.crop_model(images, intrinsics)
    variables = metrabs.variables(metrabs.read(folder), like)
    apply = jax.jit(lambda v, x: network.apply(v, x, False).points)
    points = apply(variables, jnp.asarray(images, jnp.float32) / 255)
    px, relative_mm = metrabs.shifted(points.px, points.relative_mm, settings)
    expected = metrabs.locate(px, relative_mm, jnp.asarray(intrinsics), settings)
    np.testing.assert_allclose(poses_mm, expected, atol=0.1)
    assert float(jnp.std(expected, axis=1).max()) > 10 and np.all(spread_mm > 0)


def test_weights_of_another_size_are_named(folder):
    published = metrabs.read(folder)  # its head is alone
    like = {
        "params": {"backbone": {"stem": {"conv": {"kernel": jnp.zeros((3, 3, 3, 24))}}}},
    }
    with pytest.raises(ValueError, match=r"it lacks backbone\.1\.0\.0\.weight of shape \(24, 3,"):
        metrabs.variables(published, like)


def test_legacy_moves_all_joints_by_half_a_stride():
    px = jnp.asarray(np.random.default_rng(0).uniform(16, 240, (2, 5, 2)), jnp.float32)
    relative_mm = jnp.asarray(np.random.default_rng(1).uniform(0, 2200, (2, 5, 3)), jnp.float32)
    moved_px, moved_mm = metrabs.shifted(px, relative_mm, SETTINGS)
    np.testing.assert_allclose(moved_px - px, 16, rtol=1e-6)
    by_mm = 16 * 2200 / 256
    np.testing.assert_allclose(
        moved_mm - relative_mm, np.tile([by_mm, by_mm, 0], (2, 5, 1)), rtol=1e-5
    )
    plain = metrabs.shifted(px, relative_mm, SETTINGS._replace(legacy=False))
    np.testing.assert_array_equal(plain[0], px)
    np.testing.assert_array_equal(plain[1], relative_mm)


@pytest.mark.parametrize("centred, limits", [(True, (24, 232)), (False, (8, 216))])
def test_poses_are_the_published_least_squares_mixed_in_view(centred, limits):
    """Against the equations as published, written out in float64 for one pose after another."""
    rng = np.random.default_rng(0)
    px = rng.uniform(-20, 276, (3, 40, 2)).astype(np.float32)
    px[0, :2, 0] = limits[0] - 0.01, limits[1] + 0.01
    px[1, :2, 0] = limits[0] + 0.01, limits[1] - 0.01
    relative_mm = rng.uniform(0, 2200, (3, 40, 3)).astype(np.float32)
    camera = np.array([[400, 0, 127.5], [0, 390, 127.5], [0, 0, 1]], np.float32)
    settings = SETTINGS._replace(centred=centred, mix_3d=0.3)
    found = metrabs.locate(
        jnp.asarray(px), jnp.asarray(relative_mm), jnp.tile(camera, (3, 1, 1)), settings
    )
    for pose, at, relative in zip(found, px.astype(float), relative_mm.astype(float), strict=True):
        visible = ((at >= limits[0]) & (at <= limits[1])).all(-1)
        plane = (at - 127.5) / [400, 390]
        scale = np.sqrt(np.mean(plane**2))
        a = np.stack([np.tile([1, 0], 40), np.tile([0, 1], 40), -plane.ravel() / scale], -1)
        b = (plane * relative[:, 2:] - relative[:, :2]).ravel()
        weights = np.repeat(visible + 1e-4, 2)
        a = np.concatenate([a * weights[:, None], 0.1 * np.eye(3)])
        b = np.concatenate([b * weights, np.zeros(3)])
        moved = relative + np.linalg.lstsq(a, b)[0] / [1, 1, scale]
        rays = np.concatenate([plane, np.ones((40, 1))], -1) * moved[:, 2:]
        expected = np.where(visible[:, None], 0.3 * moved + 0.7 * rays, moved)
        np.testing.assert_allclose(pose, expected, atol=0.02)
