"""Joints of random bodies, against the models' definition written out vertex by vertex in 4 × 4
matrices.

The bodies have the fields and forms of the official files, but no vertex of theirs.
"""

import pickle

import numpy as np
import pytest
import python_2
import scipy.sparse

from acae_jax.datasets.readers import body_model

RANDOM = np.random.default_rng(0)
ROOT = 2**32 - 1  # the parent of the root, in the files


def body(joints, vertices=40, shapes=10):
    parents = [ROOT, *(int(RANDOM.integers(0, j)) for j in range(1, joints))]
    regressor = RANDOM.random((joints, vertices)) * (RANDOM.random((joints, vertices)) < 0.2)
    weights = RANDOM.random((vertices, joints)) ** 8
    posedirs = np.zeros((vertices, 3, 9 * (joints - 1)), np.float16)  # a small file
    some = slice(None, None, 1 if vertices < 100 else 25)
    posedirs[:, :, some] = RANDOM.normal(size=posedirs[:, :, some].shape) / 100
    content = {
        "v_template": RANDOM.normal(size=(vertices, 3)),
        "shapedirs": RANDOM.normal(size=(vertices, 3, shapes)) / 10,
        "posedirs": posedirs,
        "weights": weights / weights.sum(1, keepdims=True),
        "J_regressor": regressor,
        "kintree_table": np.array([parents, range(joints)], np.uint32),
    }
    if joints > 24:
        for side in "lr":
            content[f"hands_components{side}"] = RANDOM.normal(size=(45, 45))
            content[f"hands_mean{side}"] = RANDOM.normal(size=45)
    return content


def rotation(turn):
    """Rodrigues' formula."""
    angle = np.linalg.norm(turn)
    x, y, z = turn / angle
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K


def in_words(content, pose, shape, translation):
    """Joints and all vertices of one pose."""
    numbers = content["kintree_table"][1].tolist()
    v_shaped = content["v_template"] + content["shapedirs"][..., : len(shape)] @ shape
    rest = content["J_regressor"] @ v_shaped
    world = {}

    def placed(joint):
        parent = content["kintree_table"][0, joint]
        local = np.eye(4)
        local[:3, :3] = rotation(pose[joint])
        local[:3, 3] = rest[joint]
        if parent == ROOT:
            return local
        parent = numbers.index(parent)
        local[:3, 3] -= rest[parent]
        if parent not in world:
            world[parent] = placed(parent)
        return world[parent] @ local

    for joint in range(len(rest)):
        world[joint] = placed(joint)
    joints = np.array([world[j][:3, 3] for j in range(len(rest))])
    bent = np.concatenate([(rotation(turn) - np.eye(3)).ravel() for turn in pose[1:]])
    v_posed = v_shaped + content["posedirs"] @ bent
    vertices = np.zeros_like(v_posed)
    for joint, matrix in world.items():
        moved = (v_posed - rest[joint]) @ matrix[:3, :3].T + matrix[:3, 3]
        vertices += content["weights"][:, [joint]] * moved
    return joints + translation, vertices + translation


def save(path, content):
    np.savez(path, **content)
    return path


def parameters(joints, count=3, betas=10):
    return (
        RANDOM.normal(size=(count, joints, 3)),
        RANDOM.normal(size=(count, betas)),
        RANDOM.normal(size=(count, 3)),
    )


@pytest.mark.parametrize("joints, kind", [(24, "smpl"), (52, "smplh"), (55, "smplx")])
def test_joints_are_those_of_the_definition(tmp_path, joints, kind):
    content = body(joints, shapes=20)
    model = body_model.read(save(tmp_path / "model.npz", content))
    assert model.kind == kind
    pose, betas, translation = parameters(joints)
    result = body_model.joints_m(model, pose, betas, translation)
    for one, expected in zip(result, zip(pose, betas, translation, strict=True), strict=True):
        np.testing.assert_allclose(one, in_words(content, *expected)[0], atol=1e-12)
    # One shape for all poses, and fewer coefficients, which means that the others are 0.
    short = body_model.joints_m(model, pose, betas[:1, :3], translation)
    full = np.tile(betas[:1] * (np.arange(10) < 3), (3, 1))
    np.testing.assert_allclose(short, body_model.joints_m(model, pose, full, translation))


def test_a_table_in_another_order_keeps_the_joints_in_the_order_of_the_regressor(tmp_path):
    content = body(24)
    order = RANDOM.permutation(24)
    names = RANDOM.permutation(100)[:24]  # numbers that say nothing about the places
    parents, numbers = content["kintree_table"][:, order].astype(np.int64)
    table = [[ROOT if p == ROOT else names[p] for p in parents], names[numbers]]
    shuffled = {
        **content,
        "kintree_table": np.array(table, np.int64),
        "J_regressor": content["J_regressor"][order],
    }
    pose, betas, translation = parameters(24)
    straight, mixed = (
        body_model.joints_m(
            body_model.read(save(tmp_path / "model.npz", one)), turns, betas, translation
        )
        for one, turns in ((content, pose), (shuffled, pose[:, order]))
    )
    np.testing.assert_allclose(mixed, straight[:, order], atol=1e-12)


def test_expression_counts_from_the_half_of_smplx_coefficients(tmp_path):
    content = body(55, shapes=20)
    model = body_model.read(save(tmp_path / "model.npz", content))
    pose, betas, translation = parameters(55)
    expression = RANDOM.normal(size=(3, 10))
    result = body_model.joints_m(model, pose, betas, translation, expression)
    shape = np.concatenate([betas, expression], 1)
    expected = in_words(content, pose[1], shape[1], translation[1])[0]
    np.testing.assert_allclose(result[1], expected, atol=1e-12)
    with pytest.raises(ValueError, match="11 coefficients of shape are given; the model has 10"):
        body_model.joints_m(model, pose, np.zeros((3, 11)), translation)
    many = body_model.read(save(tmp_path / "many.npz", body(55, shapes=400)))
    assert many.beta_count == 300


def test_hands_are_means_and_principal_components(tmp_path):
    content = body(52)
    model = body_model.read(save(tmp_path / "model.npz", content))
    start, left, right = (RANDOM.normal(size=size) for size in ((2, 22, 3), (2, 12), (2, 12)))
    pose = body_model.pose_with_hands(model, start, left, right)
    np.testing.assert_array_equal(pose[:, :22], start)
    for side, first, values in (("l", 22, left), ("r", 37, right)):
        expected = content[f"hands_mean{side}"] + sum(
            values[1, i] * content[f"hands_components{side}"][i] for i in range(12)
        )
        np.testing.assert_allclose(pose[1, first : first + 15].ravel(), expected)


def test_all_joints_of_smplx_are_those_of_the_definition(tmp_path):
    vertices = body_model.SMPLX_VERTICES
    content = body(55, vertices, shapes=12)
    faces = RANDOM.integers(0, vertices, (30, 3))
    landmarks = RANDOM.integers(0, 30, 51)
    shares = RANDOM.dirichlet(np.ones(3), 51)
    content |= {"f": faces, "lmk_faces_idx": landmarks, "lmk_bary_coords": shares}
    model = body_model.read(save(tmp_path / "model.npz", content))
    pose, betas, translation = parameters(55, 2, 6)
    expression = RANDOM.normal(size=(2, 6))
    result = body_model.joints_and_surface_m(model, pose, betas, translation, expression)
    assert result.shape == (2, 127, 3)
    shape = np.concatenate([betas, expression], 1)
    joints, surface = in_words(content, pose[1], shape[1], translation[1])
    np.testing.assert_allclose(result[1, :55], joints, atol=1e-9)
    chosen = list(body_model.SMPLX_JOINTS_ON_VERTICES)
    np.testing.assert_allclose(result[1, 55:76], surface[chosen], atol=1e-9)
    expected = (surface[faces[landmarks]] * shares[..., None]).sum(1)
    np.testing.assert_allclose(result[1, 76:], expected, atol=1e-9)


def test_only_smplx_with_its_own_surface_has_joints_there(tmp_path):
    model = body_model.read(save(tmp_path / "model.npz", body(24)))
    with pytest.raises(ValueError, match="smpl has no joints on the surface"):
        body_model.joints_and_surface_m(model, *parameters(24))


@pytest.mark.parametrize("protocol", [0, 2])
def test_pickles_of_python_2_with_chumpy_and_sparse_arrays_are_the_same_model(tmp_path, protocol):
    content = body(24)
    names = ("chumpy.ch.Ch", "chumpy.reordering.Select", "scipy.sparse.csc.csc_matrix")
    with python_2.foreign_classes(*names) as (ch, select, csc):
        whole = ch(x=np.concatenate([content["shapedirs"], content["shapedirs"]], 2))
        chosen = np.arange(whole.x.size).reshape(whole.x.shape)[..., :10].ravel()
        official = {
            **content,
            "v_template": ch(x=content["v_template"]),
            "shapedirs": select(a=whole, idxs=chosen, preferred_shape=(40, 3, 10)),
            "J_regressor": csc(**scipy.sparse.csc_matrix(content["J_regressor"]).__dict__),
            "bs_style": "lbs",
        }
        (tmp_path / "model.pkl").write_bytes(python_2.dumps(official, protocol))
    from_pickle = body_model.read(tmp_path / "model.pkl")
    from_npz = body_model.read(save(tmp_path / "model.npz", content))
    for name in ("parents", "rest_m", "by_shape_m"):
        np.testing.assert_array_equal(getattr(from_pickle, name), getattr(from_npz, name))


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"J_regressor": np.zeros((23, 40))}, "it has 23 joints"),
        ({"v_template": np.zeros((39, 3))}, "24 joints"),
        ({"kintree_table": np.tile(np.arange(24), (2, 1))}, "no tree with one root"),
        ({"kintree_table": np.array([[ROOT] * 24, range(24)])}, "no tree with one root"),
        ({"shapedirs": "code"}, "'shapedirs' cannot be read: it calls"),
        ({"v_template": None}, "'v_template'"),
    ],
)
def test_what_is_no_model_is_one_line(tmp_path, changes, error):
    content = {**body(24), **changes}
    with python_2.foreign_classes("chumpy.ch.MatVecMult") as (product,):
        if changes.get("shapedirs") == "code":
            content["shapedirs"] = product(mtx=1)
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=rf"a\.pkl is no model [^\n]*{error}[^\n]*$"):
        body_model.read(tmp_path / "a.pkl")


@pytest.mark.parametrize(
    "kind, gender, name",
    [
        ("smpl", "male", "SMPL_python_v.1.1.0/smpl/models/basicmodel_m_lbs_10_207_0_v1.1.0.pkl"),
        ("smpl", "female", "basicModel_f_lbs_10_207_0_v1.0.0.pkl"),
        ("smpl", "neutral", "smpl/SMPL_NEUTRAL.pkl"),
        ("smplh", "male", "smplh/male/model.npz"),
        ("smplh", "female", "models/SMPLH_female.pkl"),
        ("smplx", "neutral", "models/smplx/SMPLX_NEUTRAL.npz"),
    ],
)
def test_official_files_are_found_under_their_names(tmp_path, kind, gender, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    assert body_model.find(tmp_path, kind, gender) == path
    others = [(one, gender) for one in ("smpl", "smplh", "smplx") if one != kind]
    for other in (*others, (kind, "female" if gender == "male" else "male")):
        with pytest.raises(FileNotFoundError, match=r"register at https://\S+, download .* there$"):
            body_model.find(tmp_path, *other)
