"""python -m acae_jax.skeletons fit: from images and a tiny bundle to one with one more name."""

import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from acae_jax.bundles import bundle as bundles
from acae_jax.bundles.facts import Facts, Selection
from acae_jax.estimation.packing import program
from acae_jax.inference import estimator as estimators
from acae_jax.own_skeletons import __main__ as command
from acae_jax.own_skeletons import extended_bundle
from acae_jax.skeletons.skeleton import Skeleton

SIDE = 16
JOINTS = ("pelv_a", "lhip_a", "rhip_a", "lkne_a", "rkne_a", "neck_a")
EDGES = ((0, 1), (0, 2), (1, 3), (2, 4), (0, 5))
COUNT = 12
WEIGHTS = np.zeros((3, 6))
WEIGHTS[0, [0, 5]] = 0.7, 0.3  # belly
WEIGHTS[1, [1, 3]] = WEIGHTS[2, [2, 4]] = 0.5, 0.5  # lthi, rthi
NEW = {
    "name": "mine",
    "joint_names": ["belly", "lthi", "rthi"],
    "edges": [["belly", "lthi"], ["belly", "rthi"]],
}


def crop_model(weights, images, intrinsics):
    """A pose that depends on the colour of the crop."""
    colour = jnp.mean(images.astype(jnp.float32), axis=(1, 2)) / 255 - 0.5
    poses_mm = weights["rest"][None] + jnp.einsum("bc,cjx->bjx", colour, weights["change"])
    return poses_mm, jnp.full(poses_mm.shape[:2], 50.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(0)
    rest = rng.normal(size=(6, 3)) * 300 + [0, 0, 4000]
    change = rng.normal(size=(3, 6, 3)) * 400
    weights = {"rest": rest.astype(np.float32), "change": change.astype(np.float32)}
    bones = tuple(float(np.linalg.norm(rest[a] - rest[b])) for a, b in EDGES)
    whole = Selection(tuple(range(6)), tuple(n[:-2] for n in JOINTS), EDGES)
    facts = Facts("tiny", SIDE, JOINTS, EDGES, {"a": whole}, "a", bones, None, {})
    contents = bundles.Contents(
        facts,
        program.export(crop_model, weights, SIDE),
        weights,
        None,
        program.reference(crop_model, weights, SIDE),
        "# tiny\n",
    )
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    bundles.write(folder, contents)
    return folder


@pytest.fixture(scope="module")
def examples(folder, tmp_path_factory):
    """Images of one colour, and the new joints in them as the tiny network's poses have them."""
    rng = np.random.default_rng(1)
    place = tmp_path_factory.mktemp("examples")
    estimator = estimators.load(folder)
    content = {"skeleton": NEW, "examples": []}
    for i in range(COUNT):
        image = np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), (40, 50, 3))
        Image.fromarray(np.ascontiguousarray(image)).save(place / f"{i}.png")
        camera = [[60.0 + i, 0, 24.5], [0, 60.0 + i, 19.5], [0, 0, 1]]
        box = [10, 5, 20, 25]
        found = estimator.estimate_poses(image, np.array([box]), intrinsic_matrix=camera)
        points = (WEIGHTS @ found["poses3d"][0]).tolist()
        joints = dict(zip(NEW["joint_names"], points, strict=True))
        content["examples"].append(
            {"image": f"{i}.png", "box": box, "intrinsic_matrix": camera, "joints_mm": joints}
        )
    path = place / "mine.json"
    path.write_text(json.dumps(content))
    return path


def run(*arguments):
    return command.main([str(argument) for argument in arguments])


def test_from_images_to_a_bundle_with_one_more_name(folder, examples, tmp_path, capsys):
    out = tmp_path / "new"
    assert run("fit", "--examples", examples, "--bundle", folder, "--out", out) == 0
    said = capsys.readouterr().out
    assert "lthi, rthi" in said and "0.50 lhip_a" in said and "Mean error of a joint" in said
    assert (tmp_path / "new.png").read_bytes().startswith(b"\x89PNG")
    opened = bundles.load(out)
    assert opened.facts.joint_names == (*JOINTS, "belly_mine", "lthi_mine", "rthi_mine")
    assert opened.facts.skeletons["mine"] == Selection(
        (6, 7, 8), ("belly", "lthi", "rthi"), ((0, 1), (0, 2))
    )
    assert opened.facts.edges[5:] == ((6, 7), (6, 8)) and len(opened.facts.bones_mm) == 7
    np.testing.assert_allclose(opened.matrix[:6], np.eye(6))
    np.testing.assert_allclose(opened.matrix[6:], WEIGHTS, atol=1e-3)
    assert "mine" in (out / "README.md").read_text()
    assert bundles.verify(out).poses_mm < 0.1


def test_the_new_name_gives_the_new_joints(folder, examples, tmp_path):
    out = tmp_path / "new"
    run("fit", "--examples", examples, "--bundle", folder, "--out", out, "--name", "yours")
    estimator = estimators.load(out)
    image = np.full((40, 50, 3), (200, 30, 90), np.uint8)
    box = np.array([[10, 5, 20, 25]], np.float32)
    new = estimator.estimate_poses(image, box, skeleton="yours")["poses3d"][0]
    old = estimator.estimate_poses(image, box, skeleton="a")["poses3d"][0]
    np.testing.assert_allclose(new, WEIGHTS @ old, atol=1.0)
    # A second one, on top of the first.
    run("fit", "--examples", examples, "--bundle", out, "--out", tmp_path / "second")
    both = estimators.load(tmp_path / "second")
    assert list(both.bundle.facts.skeletons) == ["a", "yours", "mine"]
    again = both.estimate_poses(image, box, skeleton="mine")["poses3d"][0]
    np.testing.assert_allclose(again, new, atol=1.0)


def test_folders_are_made_and_the_bundle_comes_first(folder, examples, tmp_path):
    out = tmp_path / "models" / "mine"
    assert run("fit", "--examples", examples, "--bundle", folder, "--out", out) == 0
    assert out.is_dir() and out.with_name("mine.png").is_file()
    # A picture elsewhere leaves the usual place alone.
    (tmp_path / "second.png").write_text("")
    picture = ("--picture", tmp_path / "pictures" / "a.png")
    out = tmp_path / "second"
    assert run("fit", "--examples", examples, "--bundle", folder, "--out", out, *picture) == 0
    assert picture[1].is_file() and (tmp_path / "second.png").read_text() == ""
    (tmp_path / "file").write_text("")
    out, picture = tmp_path / "third", ("--picture", tmp_path / "file" / "a.png")
    assert run("fit", "--examples", examples, "--bundle", folder, "--out", out, *picture) == 1
    assert bundles.load(out).facts.joint_names[-1] == "rthi_mine"


def test_without_out_it_only_reports(folder, examples, tmp_path, capsys):
    before = sorted(examples.parent.iterdir())
    assert run("fit", "--examples", examples, "--bundle", folder) == 0
    assert "Mean error" in capsys.readouterr().out
    assert sorted(examples.parent.iterdir()) == before


def test_what_a_user_can_mend_is_one_line(folder, examples, tmp_path, capsys):
    def refused(*arguments):
        assert run("fit", *arguments) == 1
        text = capsys.readouterr().err
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and text.rstrip().endswith(errors[0])
        return errors[0]

    tiny = ("--bundle", folder)
    assert "no examples at" in refused("--examples", tmp_path / "none.json", *tiny)
    assert "is no acae_jax bundle" in refused("--examples", examples, "--bundle", tmp_path)
    assert "exists" in refused("--examples", examples, *tiny, "--out", folder)
    assert "exists" in refused("--examples", examples, *tiny, "--out", ".")
    (tmp_path / "taken.png").write_text("mine")
    assert "taken.png exists" in refused("--examples", examples, *tiny, "--out", tmp_path / "taken")
    assert (tmp_path / "taken.png").read_text() == "mine" and not (tmp_path / "taken").exists()
    assert "must not say left" in refused("--examples", examples, *tiny, "--name", "hand_left")
    assert "'a' already" in refused("--examples", examples, *tiny, "--name", "a")
    content = json.loads(examples.read_text())
    content["examples"][3]["image"] = "3.gone"
    wrong = examples.with_name("wrong.json")
    wrong.write_text(json.dumps(content))
    assert "3.gone" in refused("--examples", wrong, *tiny)
    wrong.unlink()


def test_the_documented_command_is_this_one():
    command_line = [sys.executable, "-m", "acae_jax.skeletons", "fit", "--help"]
    shown = subprocess.run(command_line, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0 and "--examples" in shown.stdout, shown


def test_usage_is_told(capsys):
    for arguments in ((), ("fit",), ("fitt",)):
        with pytest.raises(SystemExit) as stop:
            run(*arguments)
        assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_bundle_without_bones_stays_without(folder):
    contents = bundles.read(folder)
    contents = contents._replace(facts=contents.facts._replace(bones_mm=()))
    new = Skeleton("mine", ("belly", "lthi", "rthi"), ((0, 1), (0, 2)))
    changed = extended_bundle.with_skeleton(contents, new, WEIGHTS, np.ones(2), "a note")
    assert changed.facts.bones_mm == () and "a note" in changed.card


@pytest.mark.parametrize("sides", [("left_hip", "right_hip"), ("Hip.L", "Hip.R")])
def test_a_bundle_with_sides_in_another_spelling_is_still_mirrored(folder, tmp_path, sides):
    contents = bundles.read(folder)
    new = Skeleton("coco_like", ("Pelvis", *sides), ((0, 1), (0, 2)))
    changed = extended_bundle.with_skeleton(contents, new, WEIGHTS, np.ones(2), "a note")
    bundles.write(tmp_path / "new", changed)
    estimator = estimators.load(tmp_path / "new")
    image, box = np.full((40, 50, 3), (200, 30, 90), np.uint8), np.array([[10.0, 5, 20, 25]])
    found = estimator.estimate_poses(image, box, num_aug=5)["poses3d"][0]  # with mirror images
    np.testing.assert_allclose(found[6:], WEIGHTS @ found[:6], atol=0.5)
