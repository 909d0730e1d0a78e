"""Files of annotated examples: what they become, in one view and in several, and every refusal."""

import copy
import json

import numpy as np
import pytest

from acae_jax.geometry import cameras
from acae_jax.own_skeletons import examples_file

SKELETON = {
    "name": "mine",
    "joint_names": ["pelv", "lhip", "rhip"],
    "edges": [["pelv", "lhip"], ["pelv", "rhip"]],
}
INTRINSICS = [[900.0, 0.0, 320.0], [0.0, 900.0, 240.0], [0.0, 0.0, 1.0]]
MODEL_JOINTS = 4


def looking_at(place):
    """A camera at `place` that looks at (0, 0, 4000)."""
    return cameras.turn_towards(
        cameras.create(np.array(INTRINSICS), position_mm=np.array(place, float)),
        world_point_mm=np.array([0.0, 0.0, 4000.0]),
    )


def extrinsic_matrix(camera):
    translation = -camera.rotation @ camera.position_mm
    return np.concatenate([camera.rotation, translation[:, None]], 1).tolist()


def pose(index):
    """A pose in the world, about (0, 0, 4000)."""
    return np.random.default_rng(index).normal(size=(3, 3)) * 200 + [0, 0, 4000]


def predicted(index, camera=None):
    points = np.random.default_rng(50 + index).normal(size=(MODEL_JOINTS, 3)) * 200 + [0, 0, 4000]
    return points if camera is None else cameras.world_to_camera(camera, points)


def named(points):
    values = {n: p.tolist() for n, p in zip(SKELETON["joint_names"], points, strict=True)}
    return {n: None if np.isnan(p).any() else p for n, p in values.items()}


def one_view():
    """A file of single views in the camera's space."""
    examples = [
        {"predicted_mm": predicted(i).tolist(), "joints_mm": named(pose(i))} for i in range(4)
    ]
    return {"skeleton": copy.deepcopy(SKELETON), "examples": examples}


def two_views(noise_px=0.0):
    """A file of 2D annotations in two cameras, of which the second has a lens."""
    lens = [-0.1, 0.02, 0.001, 0.0]
    rig = [looking_at((-1500, 0, 0)), looking_at((2000, -300, 500))]
    rig[1] = cameras.create(*rig[1][:3], distortion=np.array(lens))
    rng = np.random.default_rng(9)
    examples = []
    for i in range(4):
        views = []
        for camera, distortion in zip(rig, (None, lens), strict=True):
            points = cameras.project(camera, pose(i)) + rng.normal(size=(3, 2)) * noise_px
            view = {
                "intrinsic_matrix": INTRINSICS,
                "extrinsic_matrix": extrinsic_matrix(camera),
                "joints_px": named(points),
                "predicted_mm": predicted(i, camera).tolist(),
            }
            views.append(view | ({"distortion_coeffs": distortion} if distortion else {}))
        examples.append({"views": views})
    return {"skeleton": copy.deepcopy(SKELETON), "examples": examples}


def read(tmp_path, content):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    return examples_file.read(path, MODEL_JOINTS)


def never(view):
    raise AssertionError("the model was asked although its joints are given")


def test_single_views_are_read_as_they_are(tmp_path):
    content = one_view()
    content["examples"][2]["joints_mm"]["lhip"] = None
    del content["examples"][3]["joints_mm"]["pelv"]
    new, moments = read(tmp_path, content)
    assert new.joint_names == ("pelv", "lhip", "rhip") and new.edges == ((0, 1), (0, 2))
    seen = examples_file.predict(moments, never)
    np.testing.assert_array_equal(seen.moment, range(4))
    for i in range(4):
        np.testing.assert_allclose(seen.predicted_mm[i], predicted(i))
    expected = np.stack([pose(i) for i in range(4)])
    expected[2, 1] = expected[3, 0] = np.nan
    np.testing.assert_allclose(seen.annotated_mm, expected)


def test_the_skeleton_may_be_a_file_or_of_the_catalogue(tmp_path):
    (tmp_path / "skeleton.json").write_text(json.dumps(SKELETON))
    content = one_view() | {"skeleton": "skeleton.json"}
    assert read(tmp_path, content)[0].name == "mine"
    content = one_view() | {"skeleton": "h36m"}
    for example in content["examples"]:
        example["joints_mm"] = {"pelv": [0, 0, 4000], "lhip": [9, 0, 4000]}
    with pytest.raises(ValueError, match="is annotated nowhere"):
        read(tmp_path, content)


def test_two_views_are_triangulated_and_each_is_an_example_in_its_own_space(tmp_path):
    _, moments = read(tmp_path, two_views())
    seen = examples_file.predict(moments, never)
    np.testing.assert_array_equal(seen.moment, np.repeat(range(4), 2))
    for row, (moment, camera) in enumerate(
        (i, c) for i in range(4) for c in (looking_at((-1500, 0, 0)), looking_at((2000, -300, 500)))
    ):
        true = cameras.world_to_camera(camera, pose(moment))
        np.testing.assert_allclose(seen.annotated_mm[row], true, atol=1e-2)


def test_clicks_with_noise_are_off_by_little(tmp_path):
    _, moments = read(tmp_path, two_views(noise_px=2.0))
    errors = [np.linalg.norm(m.joints_mm - pose(i), axis=-1) for i, m in enumerate(moments)]
    assert 1 < np.mean(errors) < 25  # 2 px are 9 mm at 4 m


def test_the_model_is_asked_with_the_camera(tmp_path):
    content = two_views()
    for example in content["examples"]:
        for view in example["views"]:
            del view["predicted_mm"]
            view |= {"image": "a.png", "box": [10, 20, 30, 40]}
    _, moments = read(tmp_path, content)

    def model(picture):
        assert picture.path == tmp_path / "a.png" and picture.box.tolist() == [10, 20, 30, 40]
        np.testing.assert_allclose(picture.camera.intrinsics, INTRINSICS)
        return cameras.world_to_camera(picture.camera, np.tile([0.0, 0.0, 4000.0], (4, 1)))

    assert examples_file.predict(moments, model).predicted_mm.shape == (8, 4, 3)


def test_a_person_elsewhere_is_refused(tmp_path):
    content = one_view()
    content["examples"][1]["predicted_mm"] = (predicted(1) + np.array([2500, 0, 0])).tolist()
    _, moments = read(tmp_path, content)
    with pytest.raises(ValueError, match=r"examples\[1\].* beside the person"):
        examples_file.predict(moments, never)


@pytest.mark.parametrize("wrong_mm", [0.0, -4000.0])
def test_predicted_poses_that_are_not_in_front_of_the_camera_are_refused(tmp_path, wrong_mm):
    content = one_view()
    content["examples"][1]["predicted_mm"] = np.full((MODEL_JOINTS, 3), wrong_mm).tolist()
    _, moments = read(tmp_path, content)
    with pytest.raises(ValueError, match=r"examples\[1\]: .* not in front .* check predicted_mm"):
        examples_file.predict(moments, never)


def test_a_model_that_predicts_nan_is_refused(tmp_path):
    content = one_view()
    del content["examples"][2]["predicted_mm"]
    content["examples"][2] |= {"image": "a.png", "box": [10, 20, 30, 40]}
    _, moments = read(tmp_path, content)
    with pytest.raises(ValueError, match=r"examples\[2\]: .* check box and image"):
        examples_file.predict(moments, lambda picture: np.full((MODEL_JOINTS, 3), np.nan))


def change(content, *path_and_value):
    *path, key, value = path_and_value
    for part in path:
        content = content[part]
    if value is None:
        del content[key]
    else:
        content[key] = value


REFUSED = {
    "few": (("examples", [{}]), "at least 3"),
    "no skeleton": (("skeleton", None), "lacks the key 'skeleton'"),
    "no such skeleton": (("skeleton", "h36n"), "did you mean 'h36m'"),
    "unpaired": (("skeleton", "joint_names", ["pelv", "lhip", "hip"]), "no joint 'rhip'"),
    "unknown key": (("examples", 1, "boxes", [0, 0, 1, 1]), r"examples\[1\].*'boxes'.*'box'"),
    "unknown joint": (("examples", 1, "joints_mm", "lhop", [0, 0, 1]), "did you mean 'lhip'"),
    "two numbers": (("examples", 1, "joints_mm", "lhip", [0, 1]), "lhip must be 3 finite"),
    "text": (("examples", 1, "joints_mm", "lhip", ["a", 1, 2]), "finite numbers"),
    "not finite": (("examples", 1, "joints_mm", "lhip", [0, 1, float("inf")]), "finite numbers"),
    "beyond floats": (("examples", 1, "joints_mm", "lhip", [0, 1, 10**400]), "3 finite numbers"),
    "nothing predicted": (("examples", 1, "predicted_mm", None), "either image and box"),
    "image without box": (("examples", 1, "image", "a.png"), "either image and box"),
    "another model": (("examples", 1, "predicted_mm", [[0, 0, 1]]), "4 × 3 finite numbers"),
    "no joints": (("examples", 1, "joints_mm", None), "either joints_mm, or joints_px"),
    "none annotated": (("examples", 1, "joints_mm", {}), r"examples\[1\] annotates no joint"),
    "root-relative": (("examples", 1, "joints_mm", "lhip", [0, 1, -5]), "behind a camera"),
    "lens": (("examples", 1, "distortion_coeffs", [1, 2, 3]), "4, 5, 8 or 12"),
    "intrinsics": (("examples", 1, "intrinsic_matrix", np.eye(3).T[::-1].tolist()), "fx"),
    "scaled": (("examples", 1, "extrinsic_matrix", np.diag([2, 2, 2, 1]).tolist()), "rotation"),
    "not a matrix": (("examples", 1, "extrinsic_matrix", [[1, 0], [0, 1]]), r"give \(3, 4\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_one_line_with_its_place(tmp_path, case):
    where, message = REFUSED[case]
    content = one_view()
    change(content, *where)
    with pytest.raises(ValueError, match=message) as raised:
        read(tmp_path, content)
    assert str(raised.value).startswith(str(tmp_path / "mine.json"))
    assert "\n" not in str(raised.value)


def test_joints_that_are_never_annotated_are_named(tmp_path):
    content = one_view()
    for example in content["examples"]:
        del example["joints_mm"]["pelv"]
    with pytest.raises(ValueError, match="'pelv' is annotated nowhere"):
        read(tmp_path, content)
    content = one_view()
    for example in content["examples"]:
        del example["joints_mm"]["rhip"]
    read(tmp_path, content)  # the left one tells


def test_metres_are_noticed(tmp_path):
    content = one_view()
    for i, example in enumerate(content["examples"]):
        example["joints_mm"] = named(pose(i) / 1000)
    with pytest.raises(ValueError, match="metres"):
        read(tmp_path, content)


def test_views_that_cannot_be_of_one_pose_are_refused(tmp_path):
    content = two_views()
    pixels = content["examples"][1]["views"][0]["joints_px"]
    for point in pixels.values():
        point[1] += 150
    with pytest.raises(ValueError, match=r"examples\[1\]: its views disagree"):
        read(tmp_path, content)
    content = two_views()
    del content["examples"][1]["views"][0]["intrinsic_matrix"]
    with pytest.raises(ValueError, match="need their intrinsic_matrix"):
        read(tmp_path, content)
    content = two_views()
    for view in content["examples"][1]["views"]:
        del view["extrinsic_matrix"]
    with pytest.raises(ValueError, match="two directions"):
        read(tmp_path, content)


def test_one_view_of_2d_joints_is_not_enough(tmp_path):
    content = two_views()
    del content["examples"][1]["views"][0]
    with pytest.raises(ValueError, match="at least two of its views"):
        read(tmp_path, content)


def test_files_that_are_not_there_or_not_json(tmp_path):
    with pytest.raises(FileNotFoundError, match="no examples at"):
        examples_file.read(tmp_path / "none.json", MODEL_JOINTS)
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        examples_file.read(tmp_path / "bad.json", MODEL_JOINTS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_of_windows_programs_are_read(tmp_path, encoding):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(one_view()), encoding=encoding)
    new, moments = examples_file.read(path, MODEL_JOINTS)
    assert new.name and len(moments) == len(one_view()["examples"])
