"""The report says what the scores say, stands on its own, and works for unfinished workflows."""

import json
import re
import xml.dom.minidom

import numpy as np
import pytest

from acae_jax.estimation.evaluation import per_format
from acae_jax.estimation.model import autoencoder
from acae_jax.estimation.reporting import (
    latent_pictures,
    pictures,
    relations,
    report_page,
    workflow_results,
)
from acae_jax.pages import charts
from acae_jax.skeletons import union as unions
from acae_jax.skeletons.skeleton import Skeleton

BODY = {
    "head": (0, -700),
    "pelv": (0, 0),
    "lsho": (180, -450),
    "lwri": (420, -200),
    "lhip": (110, 10),
    "lank": (120, 850),
}
IMAGES, SIDE = 6, 48


def skeletons():
    """Three formats of one body; each has a joint of its own."""
    names = [*BODY, *(name.replace("l", "r", 1) for name in BODY if name[0] == "l")]
    edges = ((0, 1), (1, 4), (4, 5), (2, 3), (1, 8), (8, 9), (6, 7))
    return [Skeleton(own, (*names, f"top{own}"), edges) for own in ("alpha", "beta", "gamma<3")]


def true_poses(union, rng):
    """The body, turned about the vertical and a little apart for each format, before the camera."""
    poses = np.zeros((IMAGES, len(union.joint_names), 3), np.float32)
    for number, indices in enumerate(union.members.values()):
        for index in indices:
            name = union.joint_names[index].split("_")[0]
            x, y = BODY.get(name, BODY.get(name.replace("r", "l", 1), (0, -750)))
            poses[:, index] = (-x if name[0] == "r" else x, y, 15 * number)
    for pose, angle in zip(poses, rng.uniform(-1, 1, IMAGES), strict=True):
        turn = np.array(
            [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        )
        pose[:] = pose @ turn.T + rng.normal(0, 20, pose.shape) + [0, 0, 4000]
    return poses


@pytest.fixture(scope="module")
def run():
    """A finished workflow whose regularised variant is half as wrong as the separate one."""
    rng = np.random.default_rng(0)
    union = unions.of(skeletons())
    true_mm = true_poses(union, rng)
    noise = rng.normal(0, 60, true_mm.shape).astype(np.float32)
    predicted = {
        "initial": true_mm + 1.5 * noise,
        "separate": true_mm + noise,
        "regularised": true_mm + 0.5 * noise,
    }
    labels = true_mm, np.ones(true_mm.shape[:2], bool)
    counts, pairs = per_format.survey([labels], union)
    sides = autoencoder.sides_of(union.joint_names)
    encode = np.abs(rng.normal(size=(5, len(union.joint_names)))).astype(np.float32)
    mirror = np.arange(len(union.joint_names))
    for left, right in zip(sides.left, sides.right, strict=True):
        mirror[[left, right]] = right, left
    encode[2:4] = encode[:2, mirror]
    encode[4] += encode[4, mirror]
    encode /= encode.sum(axis=1, keepdims=True)
    rows = [{"step": 10 * i, "seconds": float(i), "loss": 1 / (i + 1)} for i in range(30)]
    names = list(union.members)
    return report_page.Run(
        union=union,
        images=dict(enumerate(rng.integers(0, 255, (IMAGES, SIDE, SIDE, 3), np.uint8))),
        intrinsics=np.tile(
            np.array([[90, 0, 23.5], [0, 90, 23.5], [0, 0, 1]], np.float32), (6, 1, 1)
        ),
        true_mm=true_mm,
        counts=counts,
        predictions_mm=predicted,
        scores={n: per_format.scores(p, labels, union, pairs) for n, p in predicted.items()},
        curves={"initial": rows, "autoencoder": rows, "separate": rows, "regularised": rows},
        maps=autoencoder.Matrices(encode=encode, decode=encode.T / encode.T.sum(1, keepdims=True)),
        relations={
            (a, b): relations.Relation(np.full(11, 3.25), np.array([1.0] * 10 + [9.0]))
            for a in names
            for b in names
            if a != b
        },
        mean_pose_mpjpe_mm=200.0,
        seconds=75.0,
    )


@pytest.fixture(scope="module")
def page(run):
    return report_page.page(run)


def test_json_holds_the_scores(run, tmp_path):
    report_page.write(run, tmp_path / "new")
    found = json.loads((tmp_path / "new" / "report.json").read_text())
    assert found["seconds"] == 75.0 and found["mean_pose_mpjpe_mm"] == 200.0
    assert found["images"] == IMAGES
    assert found["poses"]["alpha"] == {"poses": IMAGES, "without_root": 0, "below_three": 0}
    assert list(found["variants"]) == list(run.scores)
    for name, scored in run.scores.items():
        variant = found["variants"][name]
        per_format = variant.pop("per_format")
        assert variant == scored["mean"]
        assert per_format == {key: scored[key] for key in run.union.members}
        assert {"mpjpe_mm", "pa_mpjpe_mm", "disagreement_depth_mm", "disagreement_plane_mm"} <= set(
            variant
        )


def test_page_is_self_contained_and_well_formed(page):
    assert "://" not in page and "<script" not in page and "<link" not in page
    assert all(
        url.startswith("data:image/png;base64,") or url.startswith("#")
        for url in re.findall(r'(?:src|href)="([^"]*)"', page)
    )
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 3 * (3 + 3 + 2) + 3 + 2
    for drawing in drawings:
        xml.dom.minidom.parseString(drawing.replace("<svg", '<svg xmlns:xlink="x"', 1))
    assert len(page) < 5_000_000


def test_page_names_every_variant_and_format(run, page):
    for variant in run.predictions_mm:
        assert pictures.title(variant) in page
    for name in ("alpha", "beta", "gamma&lt;3"):
        assert f"<td>{name}</td>" in page
    assert "<3" not in page
    assert "3.2 (10 of 11)" in page and "1.2 min" in page


def test_headline_follows_the_numbers(run):
    assert "lowered the formats' disagreement in depth by 50.0 %" in report_page.headline(run)
    swapped = {"separate": run.scores["regularised"], "regularised": run.scores["separate"]}
    assert "raised the formats' disagreement in depth by 100.0 %" in report_page.headline(
        run._replace(scores=swapped)
    )
    same = dict.fromkeys(swapped, run.scores["separate"])
    assert "did not change the formats' disagreement in depth" in report_page.headline(
        run._replace(scores=same)
    )


def test_summary_has_a_row_for_each_variant(run):
    lines = report_page.summary(run).splitlines()
    assert [line.split()[0] for line in lines[2:5]] == list(run.scores)
    assert f"{run.scores['separate']['mean']['mpjpe_mm']:.1f}" in lines[3]


@pytest.mark.parametrize("only", ["initial", "separate"])
def test_unfinished_workflow(run, only, tmp_path):
    part = run._replace(
        predictions_mm={only: run.predictions_mm[only]},
        scores={only: run.scores[only]},
        curves={},
        maps=None,
        relations=None,
    )
    report_page.write(part, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert pictures.title(only) in page and "Regularised" not in page
    assert "The autoencoder" not in page and "Training" not in page
    assert report_page.summary(part)


def test_partly_labelled_poses_are_reported_by_what_they_label(run, tmp_path):
    """Half of the images label all formats but one, half only that one, and one lacks its root."""
    union, true_mm = run.union, run.true_mm.copy()
    gamma = list(union.members["gamma<3"])
    others = [joint for joint in range(true_mm.shape[1]) if joint not in gamma]
    true_mm[:3, gamma], true_mm[3:, others] = np.nan, np.nan
    true_mm[3, gamma[1]] = np.nan
    labels = true_mm, np.isfinite(true_mm).all(axis=-1)
    counts, pairs = per_format.survey([labels], union)
    whole = run.predictions_mm
    scores = {n: per_format.scores(p, labels, union, pairs) for n, p in whole.items()}
    part = run._replace(true_mm=true_mm, counts=counts, scores=scores)
    assert np.flatnonzero(
        np.isnan(workflow_results.image_errors_mm(part, "separate"))
    ).tolist() == [3]
    np.testing.assert_allclose(
        workflow_results.whole_poses_mm(part), whole["regularised"]
    )  # no pose has every joint
    report_page.write(part, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "1 of 3 poses in gamma&lt;3 lack the root: MPJPE, PCK and AUC leave them out" in page
    assert pictures.overview(part).startswith(b"\x89PNG")


def test_a_test_set_of_one_format_has_no_disagreement_and_is_reported(run, tmp_path):
    union = run.union
    true_mm = run.true_mm.copy()
    true_mm[:, [j for j in range(true_mm.shape[1]) if j not in union.members["alpha"]]] = np.nan
    labels = true_mm, np.isfinite(true_mm).all(axis=-1)
    counts, pairs = per_format.survey([labels], union)
    scores = {n: per_format.scores(p, labels, union, pairs) for n, p in run.predictions_mm.items()}
    assert set(scores["separate"]) == {"alpha", "mean"}
    assert scores["separate"]["mean"] == scores["separate"]["alpha"]
    assert scores["separate"]["alpha"] == pytest.approx(run.scores["separate"]["alpha"])
    part = run._replace(true_mm=true_mm, counts=counts, scores=scores, mean_pose_mpjpe_mm=None)
    report_page.write(part, tmp_path)
    told = (tmp_path / "report.html").read_text()
    assert "No pose is labelled in beta, gamma&lt;3: not scored." in told
    assert "lowered the joint error" in report_page.headline(part)
    assert "disagreement" not in report_page.headline(
        part
    ) and "mean pose" not in report_page.headline(part)
    assert report_page.summary(part) and pictures.overview(part)


def test_run_without_predictions_is_an_error(run):
    with pytest.raises(ValueError, match="at least one variant"):
        workflow_results.compared(run._replace(predictions_mm={}))


def test_pictures_follow_the_predictions(run):
    """Each kind of picture shows what it should, and only that: depth is not seen by the camera."""
    pose = run.true_mm[0]
    rays = pose / pose[:, 2:]
    farther = (rays * (pose[:, 2:] + np.arange(len(pose))[:, None] * 10)).astype(np.float32)
    assert charts.svg(pictures.crop(run, 0, pose)) == charts.svg(pictures.crop(run, 0, pose))
    wider = pose * np.array([1.1, 1, 1], np.float32)
    assert charts.svg(pictures.crop(run, 0, pose)) != charts.svg(pictures.crop(run, 0, wider))
    sides = [charts.svg(pictures.side_view(run, 0, shown)) for shown in (pose, farther)]
    assert sides[0] != sides[1]
    spreads = [
        charts.svg(pictures.depth_spread(run, 0, name)) for name in workflow_results.compared(run)
    ]
    assert spreads[0] != spreads[1]


def test_depth_errors_ignore_a_shift_of_the_whole_person(run):
    shifted = run.true_mm[0] + np.array([0, 0, 300], np.float32)
    np.testing.assert_allclose(pictures.depth_errors(shifted, run.true_mm[0]), 0.0, atol=1e-3)


def test_examples_stand_at_fixed_ranks(run):
    """Errors 0…8 in a shuffled order: the rule finds ranks 1, 4 and 7."""
    errors = np.random.default_rng(1).permutation(9)
    true_mm = np.repeat(run.true_mm[:1], 9, axis=0)
    wrong = true_mm.copy()
    moved = [i for i, name in enumerate(run.union.joint_names) if name.startswith("lwri")]
    wrong[:, moved, 0] += 10.0 * errors[:, None]
    ranked = run._replace(true_mm=true_mm, predictions_mm={"separate": wrong, "regularised": wrong})
    assert [errors[index] for index in workflow_results.examples(ranked).values()] == [1, 4, 7]


def test_body_points_are_shared_by_most_formats(run):
    points = pictures.body_points(run.union, run.true_mm)
    assert {len(indices) for indices in points.values()} == {3}
    assert next(iter(points)) == "head" and list(points)[-2:] == ["lank", "rank"]
    names = pictures.in_words(["lank", "rank", "head", "left_hip", "right_hip"])
    assert names == ["L ankle", "R ankle", "head", "L hip", "R hip"]


def test_latent_sides_are_found(run):
    assert latent_pictures.latents_of(run.maps, run.union.joint_names) == (2, 1)


def test_the_share_of_latent_points_outside_of_the_crop(run):
    """One point is a joint; the other stands five metres above the heads, as weights allow."""
    names = run.union.joint_names
    encode = np.zeros((2, len(names)), np.float32)
    encode[:, names.index("lank_alpha")] = 1, -3
    encode[1, names.index("topalpha_alpha")] = 4
    planted = run._replace(maps=run.maps._replace(encode=encode))
    np.testing.assert_array_equal(workflow_results.latents_outside(planted), [0, 1])
    assert report_page.figures(planted)["latents_outside_percent"] == 50.0
    moved = run.true_mm.copy()
    moved[:2, :, 0] += 3000.0  # out of view: the crop shows 1.07 m to each side
    shares = workflow_results.latents_outside(planted._replace(true_mm=moved))
    np.testing.assert_allclose(shares, [2 / 6, 1])
    partly = moved.copy()
    partly[0, 3] = np.nan  # not labelled: the image does not count
    shares = workflow_results.latents_outside(planted._replace(true_mm=partly))
    np.testing.assert_allclose(shares, [1 / 5, 1])
    nowhere = planted._replace(true_mm=np.full_like(moved, np.nan))
    assert report_page.figures(nowhere)["latents_outside_percent"] is None
    assert "None of the 5 points" in report_page.page(run)
    without = run._replace(maps=None)
    assert report_page.figures(without)["latents_outside_percent"] is None


def test_typical_pose_stands_upright_and_faces_the_viewer(run):
    names = run.union.joint_names
    pose = latent_pictures.typical_pose(run.true_mm, names)
    assert pose[names.index("head_alpha"), 1] < pose[names.index("lank_alpha"), 1] - 1000
    assert pose[names.index("lsho_alpha"), 0] > pose[names.index("rsho_alpha"), 0] + 250


def test_overview_is_a_small_png(run):
    png = pictures.overview(run)
    assert png.startswith(b"\x89PNG") and len(png) <= 400_000
    noise = np.random.default_rng(2).integers(0, 255, (IMAGES, 256, 256, 3), np.uint8)
    assert len(pictures.overview(run._replace(images=dict(enumerate(noise))))) <= 400_000
