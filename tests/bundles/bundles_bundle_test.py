"""A bundle is read as it was written, and refused with one line if anything is wrong with it."""

import hashlib
import io
import json
import pickle
import subprocess
import sys
import zipfile

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from acae_jax.bundles import bundle, compiling, folders, reference
from acae_jax.bundles.bundle import Contents, Facts, Selection
from acae_jax.bundles.facts import Looks, Variation
from acae_jax.bundles.uncertainty import Calibration

SIDE, JOINTS = 8, 3


def crop_model(weights, images, intrinsics):
    """Not a network, but something that depends on every argument."""
    brightness = jnp.mean(images.astype(jnp.float32), axis=(1, 2))
    poses_mm = jnp.expand_dims(weights["offsets"], 0) + jnp.expand_dims(brightness, 1)
    return poses_mm * intrinsics[:, :1, :1], jnp.tile(brightness[:, :1], (1, JOINTS)) + 1.0


def exported(function, side=SIDE, joints=JOINTS):
    (batch,) = jax.export.symbolic_shape("b")
    shapes = (
        {"offsets": jax.ShapeDtypeStruct((joints, 3), jnp.float32)},
        jax.ShapeDtypeStruct((batch, side, side, 3), jnp.uint8),
        jax.ShapeDtypeStruct((batch, 3, 3), jnp.float32),
    )
    made = jax.export.export(jax.jit(function), platforms=("cpu", "cuda", "tpu"))(*shapes)
    return bytes(made.serialize())


def crops(count):
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    return images, rng.uniform(1, 2, (count, 3, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def contents():
    rng = np.random.default_rng(0)
    weights = {"offsets": rng.normal(size=(3, JOINTS)).astype(np.float16).T}
    images, intrinsics = crops(2)
    used = {"offsets": weights["offsets"].astype(np.float32)}
    poses_mm, spread_mm = jax.jit(crop_model)(used, images, intrinsics)
    facts = Facts(
        name="three points",
        side_px=SIDE,
        joint_names=("pelv", "lhip", "rhip", "head"),
        edges=((0, 1), (0, 2)),
        skeletons={"hips": Selection((1, 2), ("lhip", "rhip"), ((0, 1),))},
        default_skeleton="hips",
        bones_mm=(100.0, 101.5),
        uncertainty=Calibration((1.0, 2.0), (3.0, 4.0), (1.0, 1.0, 0.5)),
        about={"licence": "CC0", "scores": {"mean": 1.5}},
        trained=Variation(0.1, (0.9, 1.2)),
    )
    return Contents(
        facts,
        exported(crop_model),
        weights,
        np.array([[1, 0, 0, 2], [0, 1, 0, -0.5], [0, 0, 1, -0.5]], np.float32).T,
        {
            "images": images,
            "intrinsics": intrinsics,
            "poses_mm": np.asarray(poses_mm),
            "spread_mm": np.asarray(spread_mm),
        },
        "# three points\n",
    )


@pytest.fixture
def folder(contents, tmp_path):
    bundle.write(tmp_path / "model", contents)
    return tmp_path / "model"


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv(compiling.SWITCH, "0")


def change(folder, name, data):
    """Replace a file, and its sum in the header."""
    (folder / name).write_bytes(data)
    header = json.loads((folder / "bundle.json").read_text())
    digest = hashlib.sha256(data).hexdigest()
    header["files"][name] = {"bytes": len(data), "sha256": digest}
    (folder / "bundle.json").write_text(json.dumps(header))


def change_header(folder, *path, to):
    header = json.loads((folder / "bundle.json").read_text())
    block = header
    for name in path[:-1]:
        block = block[name]
    block[path[-1]] = to
    (folder / "bundle.json").write_text(json.dumps(header))


def test_what_is_written_is_read(folder, contents):
    found = bundle.read(folder)
    assert found.facts == contents.facts
    assert found.network == contents.network and found.card == contents.card
    np.testing.assert_array_equal(found.matrix, contents.matrix)
    assert found.weights["offsets"].dtype == np.float16
    np.testing.assert_array_equal(found.weights["offsets"], contents.weights["offsets"])
    assert {path.name for path in folder.iterdir()} == {"bundle.json", "README.md", *bundle.LARGEST}


def test_looks_are_read_and_bundles_of_before_have_none(folder, contents, tmp_path):
    change_header(folder, "facts", "looks", to=Looks(0, 2, 1.5, 2.0, 30.0)._asdict())
    assert bundle.read(folder).facts.looks == Looks(0, 2, 1.5, 2.0, 30.0)
    header = json.loads((folder / "bundle.json").read_text())
    del header["facts"]["looks"]
    (folder / "bundle.json").write_text(json.dumps(header))
    assert bundle.read(folder).facts == contents.facts


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_opened_model_gives_what_was_exported(folder, contents, count):
    opened = bundle.load(folder)
    weights = {"offsets": contents.weights["offsets"].astype(np.float32)}
    for found, expected in zip(
        opened.crop_model(*crops(count)), crop_model(weights, *crops(count)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert opened.facts == contents.facts and opened.folder == folder


def test_it_is_lowered_for_three_platforms(folder):
    network = bundle.network(folder, bundle.read(folder).network)
    assert network.platforms == ("cpu", "cuda", "tpu")


def test_verify_sees_another_output(folder, contents):
    assert max(bundle.verify(folder)) < 1e-4
    moved = {**contents.reference, "poses_mm": contents.reference["poses_mm"] + np.float32(3)}
    change(folder, reference.FILE, reference.encoded(moved))
    assert bundle.verify(folder).poses_mm == pytest.approx(3 * np.sqrt(3), rel=1e-3)


def test_the_packaged_model_gives_what_it_gave():
    folder = bundle.EMBEDDED
    assert bundle.verify(folder).poses_mm < reference.TOLERANCE_MM
    facts = bundle.read(folder).facts
    assert facts.uncertainty is not None and len(facts.bones_mm) == len(facts.edges)


def test_the_digest_tells_models_of_one_name_apart(folder, contents):
    weights = {name: values + 1 for name, values in contents.weights.items()}
    bundle.write(folder.with_name("again"), contents)
    bundle.write(folder.with_name("other"), contents._replace(weights=weights))
    first, again, other = (
        bundle.load(folder.with_name(name)).digest for name in (folder.name, "again", "other")
    )
    assert first == again != other


def test_an_existing_folder_is_left_alone(folder, contents):
    before = (folder / "bundle.json").read_bytes()
    with pytest.raises(FileExistsError, match="exists: choose another folder"):
        bundle.write(folder, contents._replace(card="other"))
    assert (folder / "bundle.json").read_bytes() == before


def test_what_is_not_written_whole_is_not_there(tmp_path, contents):
    broken = contents._replace(facts=contents.facts._replace(bones_mm=(float("nan"),)))
    with pytest.raises(ValueError, match="JSON"):
        bundle.write(tmp_path / "model", broken)
    assert not list(tmp_path.iterdir())


UNOPENABLE = {
    "rows": (lambda c: c._replace(matrix=c.matrix * 2), "must sum to 1"),
    "NaN": (lambda c: c._replace(matrix=c.matrix * np.nan), "must sum to 1"),
    "joints": (lambda c: c._replace(matrix=c.matrix[:2]), "bundle.json names 4"),
    "edges": (
        lambda c: c._replace(facts=c.facts._replace(edges=((0, 9), (0, 1)))),
        "model/bundle.json: edges must be a list of indices below 4",
    ),
    "default": (
        lambda c: c._replace(facts=c.facts._replace(default_skeleton="x")),
        "default_skeleton names no skeleton",
    ),
    "weights": (lambda c: c._replace(weights={}), "does not take weights.safetensors"),
}


@pytest.mark.parametrize("wrong", UNOPENABLE)
def test_what_could_not_be_opened_is_not_written(tmp_path, contents, wrong):
    do, message = UNOPENABLE[wrong]
    with pytest.raises(ValueError, match="not written, as it could not be opened") as caught:
        bundle.write(tmp_path / "model", do(contents))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def with_callback():
    """A network with the call by which XLA enters python, as JAX itself would not export it."""
    one = [jax.ShapeDtypeStruct((JOINTS, 3), jnp.float32)]
    shapes = (
        {"offsets": one[0]},
        jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.uint8),
        jax.ShapeDtypeStruct((1, 3, 3), jnp.float32),
    )
    checks = [jax.export.DisabledSafetyCheck.custom_call("xla_ffi_python_cpu_callback")]

    def foreign(weights, images, intrinsics):
        call = jax.ffi.ffi_call("xla_ffi_python_cpu_callback", one[0], has_side_effect=True)
        moved = call(weights["offsets"], index=np.uint64(7))
        return crop_model({"offsets": moved}, images, intrinsics)

    made = jax.export.export(jax.jit(foreign), platforms=("cpu",), disabled_checks=checks)(*shapes)
    return bytes(made.serialize())


def bomb():
    """A small file that says it is large."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", bytes(64 << 20))
    return file.getvalue()


def pickled():
    file = io.BytesIO()
    arrays = {name: np.zeros(1) for name in reference.NAMES}
    np.savez(file, **(arrays | {"images": np.array([print], object)}))
    return file.getvalue()


def endless_array():
    """An npy header that asks for a million terabytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        header = "{'descr': '<f4', 'fortran_order': False, 'shape': (262144000000000000,)}"
        text = header.ljust(117) + "\n"
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00\x76\x00" + text.encode())
    return file.getvalue()


def tensors(**arrays):
    return safetensors.numpy.save(arrays)


LOOKS = Looks(middle=0, top=2)._asdict()
WRONG = {
    "no header": (lambda f: (f / "bundle.json").unlink(), "is no acae_jax bundle: it holds no"),
    "no weights": (lambda f: (f / bundle.WEIGHTS).unlink(), "is missing"),
    "a folder as file": (
        lambda f: ((f / bundle.WEIGHTS).unlink(), (f / bundle.WEIGHTS).mkdir()),
        "is missing",
    ),
    "truncated": (
        lambda f: (f / bundle.WEIGHTS).write_bytes((f / bundle.WEIGHTS).read_bytes()[:-1]),
        "SHA-256 differs",
    ),
    "a flipped bit": (lambda f: flip(f / bundle.NETWORK), "SHA-256 differs"),
    "no JSON": (lambda f: (f / "bundle.json").write_text('{"format": '), "bundle.json: "),
    "deep JSON": (lambda f: (f / "bundle.json").write_text("[" * 100000), "bundle.json: "),
    "other format": (lambda f: change_header(f, "format", to="x"), "format must be acae_jax"),
    "later version": (lambda f: change_header(f, "version", to=2), "has version 2 and this acae"),
    "path trick": (
        lambda f: change_header(f, "files", "../../secret", to={}),
        "'../../secret' lies outside",
    ),
    "absolute path": (lambda f: change_header(f, "files", "/etc/passwd", to={}), "lies outside"),
    "unknown file": (lambda f: change_header(f, "files", "run.py", to={}), "files must be"),
    "index too large": (
        lambda f: change_header(f, "facts", "skeletons", "hips", "indices", to=[1, 4]),
        "skeletons.hips.indices must be a list of indices below 4",
    ),
    "text as number": (
        lambda f: change_header(f, "facts", "bones_mm", to=["1", "2"]),
        "bones_mm must be a list of finite numbers",
    ),
    "a number beyond floats": (
        lambda f: change_header(f, "facts", "bones_mm", to=[10**400, 1]),
        "bones_mm must be a list of finite numbers",
    ),
    "zooms": (
        lambda f: change_header(f, "facts", "trained", "zoom", to=[1.1, 1.2]),
        "trained must be a roll from 0 to π and two zooms, around 1",
    ),
    "a look at no point": (
        lambda f: change_header(f, "facts", "looks", to=LOOKS | {"top": 3}),
        "looks names joints beyond the network's 3",
    ),
    "a look at half a point": (
        lambda f: change_header(f, "facts", "looks", to=LOOKS | {"top": 0.5}),
        "looks.middle and .top must be indices",
    ),
    "an endless margin": (
        lambda f: change_header(f, "facts", "looks", to=LOOKS | {"margin": 1e9}),
        "looks.margin and .radii must lie between",
    ),
    "a fact too many": (lambda f: change_header(f, "facts", "more", to=1), "facts must be an"),
    "huge side": (lambda f: change_header(f, "facts", "side_px", to=10**9), "side_px must be"),
    "falling curve": (
        lambda f: change_header(f, "facts", "uncertainty", "spreads_mm", to=[2, 1]),
        "rising spreads_mm",
    ),
    "joints without names": (
        lambda f: change_header(f, "facts", "joint_names", to=["a", "b", "c"]),
        "bundle.json names 3",
    ),
    "calibration of others": (
        lambda f: change_header(f, "facts", "uncertainty", "factors", to=[1.0]),
        "calibrates 1 joints",
    ),
    "other crops": (lambda f: change_header(f, "facts", "side_px", to=16), "crops of 16 px"),
    "damaged network": (
        lambda f: change(f, bundle.NETWORK, (f / bundle.NETWORK).read_bytes()[:500]),
        "cannot be opened by JAX",
    ),
    "no network": (lambda f: change(f, bundle.NETWORK, b"x" * 100), "cannot be opened by JAX"),
    "calls python": (
        lambda f: change(f, bundle.NETWORK, with_callback()),
        "calls xla_ffi_python_cpu_callback, which is outside of XLA: refused",
    ),
    "other weights": (
        lambda f: change(f, bundle.WEIGHTS, tensors(offsets=np.zeros((2, 3), np.float32))),
        "does not take weights.safetensors",
    ),
    "integer weights": (
        lambda f: change(f, bundle.WEIGHTS, tensors(offsets=np.zeros((3, 3), np.int32))),
        "offsets is int32",
    ),
    "damaged weights": (lambda f: change(f, bundle.WEIGHTS, b"\xff" * 50), "no safetensors file"),
    "no affine joints": (
        lambda f: change(f, bundle.JOINTS, tensors(matrix=np.ones((4, 3), np.float32))),
        "must sum to 1",
    ),
    "bomb": (lambda f: change(f, reference.FILE, bomb()), "it expands to"),
    "pickle": (lambda f: change(f, reference.FILE, pickled()), "is no reference: "),
    "endless array": (lambda f: change(f, reference.FILE, endless_array()), "is no reference: "),
    "no zip": (lambda f: change(f, reference.FILE, pickle.dumps(1)), "is no reference: "),
}


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_one_line(folder, wrong, monkeypatch):
    monkeypatch.setattr(reference, "LARGEST", 32 << 20)
    do, message = WRONG[wrong]
    do(folder)
    with pytest.raises((ValueError, OSError), match=r".+") as caught:
        bundle.load(folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_large_file_is_not_read(folder, monkeypatch):
    monkeypatch.setitem(bundle.LARGEST, bundle.WEIGHTS, 10)
    with pytest.raises(ValueError, match="such a file may have 10"):
        bundle.load(folder)
    monkeypatch.setattr(folders, "LARGEST_HEADER", 10)
    with pytest.raises(ValueError, match="such a file may have 10"):
        bundle.load(folder)


def test_people_may_change_the_card(folder):
    (folder / "README.md").write_text("# mine\n")
    assert bundle.read(folder).card == "# mine\n"
    (folder / "README.md").unlink()
    assert bundle.read(folder).card == ""


def test_a_missing_folder_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no acae_jax bundle"):
        bundle.load(tmp_path / "nothing")


def test_the_training_half_stays_closed(folder):
    """Opening and running a bundle imports nothing of what trained it."""
    program = f"""
import sys
from acae_jax.bundles import bundle
print(max(bundle.verify({str(folder)!r})))
unwanted = {{"flax", "optax", "orbax", "tensorflow_datasets", "grain", "ml_collections", "absl",
             "matplotlib", "cv2", "array_record"}}
unwanted |= {{"acae_jax." + name for name in
              ("training", "data", "estimation", "models", "packaging", "config")}}
print(sorted(unwanted & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    difference, found = done.stdout.splitlines()
    assert float(difference) < 1e-4 and found == "[]"
