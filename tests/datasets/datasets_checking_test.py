"""`acae prepare --check`: right numbers, a warning for each fault, and complete pages."""

import json
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import known_people
import numpy as np
import pytest
import toy_release
from known_people import NAMES

from acae_jax import prepare
from acae_jax.data.sources import UnreadableRecordError
from acae_jax.datasets import building, official, shards
from acae_jax.datasets.checking import judgement, looked_at, measures, page, tiles
from acae_jax.datasets.checking.measures import Measures
from acae_jax.datasets.release import Published
from acae_jax.skeletons import catalogue, skeleton

SCALES = {"S1": 1.0, "S2": 1.1}
SKELETON = catalogue.dataset_skeleton("h36m")[1:]


@pytest.fixture(scope="module")
def people():
    return known_people.records(SCALES, mask_every=4)


def measured(some, **changes) -> Measures:
    return measures.measure(
        looked_at.look(known_people.dataset({"train": some}, Path(), **changes))
    )


def warned(some, facts=known_people.RELEASE, **changes) -> tuple[str, ...]:
    dataset = known_people.dataset({"train": some}, Path(), **changes)
    sample = looked_at.look(dataset)
    found = measures.measure(sample)
    return judgement.warnings(facts, dataset.report, found, sample.unreadable_count)


def test_people_of_known_bones(people):
    found = measured(people)
    bone = found.bone_names.index
    first, second = sorted(found.subjects, key=lambda subject: subject.name)
    assert (first.name, second.name, found.subject_count) == ("S1", "S2", 2)
    assert (first.records, second.records) == (8, 8)
    for subject, scale in ((first, 1.0), (second, 1.1)):
        expected = [scale * known_people.THIGH_MM, scale * known_people.UPPER_ARM_MM]
        middle = subject.bones.spread_mm[1]
        assert middle[[bone("lhip–lkne"), bone("rsho–relb")]] == pytest.approx(expected, abs=0.05)
        assert subject.height_m == pytest.approx(scale * known_people.HEIGHT_M, abs=1e-3)
        assert measures.typical(measures.relative(subject.bones)) == pytest.approx(0, abs=1e-5)
    is_left = np.array(["l" in (name[0], name.split("–")[1][0]) for name in found.bone_names])
    ratios = found.bones.left_right
    assert is_left.sum() == 10 and np.isnan(ratios[~is_left]).all()
    assert ratios[is_left] == pytest.approx(1, abs=1e-5)
    assert found.within == pytest.approx(0, abs=1e-5)
    assert found.cameras == {"left": 8, "right": 8}
    assert (found.masks, found.in_box, found.upright, found.knees_forward) == (0.25, 1, 1, 1)
    assert set(found.labelled.values()) == {1.0} and len(found.labelled) == 25
    assert found.distance_m is not None and 3.5 < found.distance_m.middle < 4.5
    boxes = np.array([one.box[3] for one in people])
    assert found.person_px.middle == pytest.approx(np.median(boxes))


def test_percentiles_are_those_of_numpy():
    values = np.random.default_rng(0).normal(size=(7, 4))
    values[2:, 1] = values[:6, 2] = np.nan
    expected = np.nanpercentile(values, measures.PERCENTILES, axis=0)
    np.testing.assert_allclose(measures.percentiles(values), expected)
    values[:, 0] = np.nan
    assert np.isnan(measures.percentiles(values)[:, 0]).all()


def test_a_dataset_in_order_has_no_warning():
    assert warned(known_people.records(SCALES)) == ()


def longer_left_arm(joints_mm):
    changed = joints_mm.copy()
    shoulder = joints_mm[NAMES.index("lsho")]
    for name in ("lelb", "lwri", "lthu", "lfin"):
        changed[NAMES.index(name)] = shoulder + 1.2 * (joints_mm[NAMES.index(name)] - shoulder)
    return changed


def sides_exchanged(joints_mm):
    return joints_mm[skeleton.mirror_map(NAMES)]


def wrist_for_spine(joints_mm):
    changed = joints_mm.copy()
    changed[NAMES.index("spin")] = 1000 * np.sin(joints_mm[0, 0]) + joints_mm[NAMES.index("lwri")]
    return changed


def without_neck(joints_mm):
    return np.where(np.array(NAMES)[:, None] == "neck", np.nan, joints_mm)


def upside_down(joints_mm):
    return joints_mm * (1, -1, 1) + np.array([0, 1700, 0])


def beside_the_box(joints_mm):
    return joints_mm + np.array([400, 0, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (longer_left_arm, "lsho–lelb +20%; joints may be confused"),
        (lambda mm: mm / 1000, "people are 0.00176 m tall: units are wrong; the labels seem to be"),
        (lambda mm: mm / 10, "the labels seem to be in centimetres, not in millimetres"),
        (sides_exchanged, "only 0% of the bent knees are bent forwards"),
        (wrist_for_spine, "lengths of bones vary by more than 30% within a subject: spin–"),
        (without_neck, "joints that are never labelled: neck"),
        (upside_down, "the head is above the feet in only 0% of the crops"),
        (beside_the_box, "of the labelled joints are in their box"),
    ],
)
def test_each_fault_of_labels_is_told(people, change, message):
    told = warned(known_people.changed(people, change))
    assert any(message in warning for warning in told), told


def test_each_fault_of_a_build_is_told(people):
    assert warned(people) == ("only 25% of the records have a mask",)
    no_masks = [one._replace(mask_rle=np.zeros(0, np.uint32)) for one in people]
    facts = known_people.RELEASE._replace(finds_masks=False)
    assert warned(no_masks, facts) == ()
    masked = known_people.records({"S1": 1.0})
    for published, expected in ((9, "8 records of train are 11% fewer than the 9"), (8, None)):
        told = warned(masked, known_people.RELEASE._replace(published=Published(published)))
        assert (expected is None and not told) or expected in told[0]
    other = Published(1000, ("test",))
    assert "0 records of test" in warned(masked, known_people.RELEASE._replace(published=other))[0]
    total = {"frames": 50, "records": 8, "left_out": {"no box": 1}, "worst_reprojection_px": 0.0}
    assert "11% of what was there is left out: 1 no box" in warned(masked, total=total)[0]
    unit = {"unit": "a", "split": "train", "records": 8, "broken": [], "reprojection_error_px": 1.4}
    empty = unit | {"unit": "b", "records": 0, "reprojection_error_px": None}
    told = warned(masked, units=[unit, empty])
    assert told[0] == "1 of 2 units have no record: b"
    assert told[1] == "3D labels miss the release's 2D labels by 1.40 px in a"


def test_people_with_numbers_are_others_in_each_clip():
    assert looked_at.subjects_of(["0", "1"], ["a", "b"]) == ("a/0", "b/1")
    assert looked_at.subjects_of(["", ""], ["a", "b"]) == ("a", "b")
    assert looked_at.subjects_of(["S1", "1"], ["a", "b"]) == ("S1", "1")


def test_samples_are_runs_spread_evenly_over_each_split(people):
    assert looked_at.chosen(5, 5) == [0, 1, 2, 3, 4]
    assert looked_at.chosen(100, 6, run=2) == [0, 1, 49, 50, 98, 99]
    large = looked_at.chosen(5_000_000, looked_at.MOST, looked_at.RUN)
    assert len(set(large)) == len(large) == looked_at.MOST and large[-1] == 4_999_999
    dataset = known_people.dataset({"train": people, "test": people[:3]}, Path())
    sample = looked_at.look(dataset, most=4, run=2)
    assert sample.splits == ("train",) * 4 + ("test",) * 3
    assert [one.key for one in sample.tiles] == [one.key for one in (*people, *people[:3])]
    many = [people[0]._replace(key=str(index)) for index in range(84)]
    shown = looked_at.look(known_people.dataset({"train": many, "test": people[:3]}, Path())).tiles
    assert len(shown) == looked_at.TILES
    assert [one.key for one in shown[:21]] == [str(index) for index in range(2, 84, 4)]
    assert [one.key for one in shown[21:]] == [one.key for one in people[:3]]


class Damaged(list):
    """Records of which some cannot be read."""

    def __getitem__(self, index):
        if index in (3, 5):
            raise UnreadableRecordError(f"record {index} is broken")
        return super().__getitem__(index)


def test_records_that_cannot_be_read_are_named_and_left_out(people):
    dataset = known_people.dataset({"train": Damaged(people)}, Path())
    sample = looked_at.look(dataset)
    assert len(sample.splits) == 14 and sample.unreadable_count == 2
    assert sample.unreadable == ("record 3 is broken", "record 5 is broken")
    assert "2 records cannot be read: prepare the dataset again" in warned(Damaged(people))
    other = [people[0]._replace(joints_mm=people[0].joints_mm[:9])]
    with pytest.raises(ValueError, match=r"known: no record can be read; .*has 9 joints, but h36m"):
        looked_at.look(known_people.dataset({"train": other}, Path()))


class Page(HTMLParser):
    """What is on a page; the parser checks that what is opened is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.counts: dict[str, int] = {}
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page_of(splits) -> Page:
    dataset = known_people.dataset(splits, Path())
    sample = looked_at.look(dataset)
    return Page(page.html(dataset, sample, measures.measure(sample), ["<units> are wrong"]))


def test_the_page_of_a_dataset(people):
    shown = page_of({"train": people, "test": people[:5]})
    assert shown.counts["img"] == 16 + 5 and shown.counts["svg"] == 1
    assert all(source.startswith(("data:image/jpeg", "#")) for source in shown.sources)
    for text in (
        "Known <people>", "21 records; 1 warning.", "<units> are wrong", "all 21 records",
        "lhip–lkne", "2 people", "known/S1/left/000000", "Nothing was left out", "1.68 m",
    ):  # fmt: skip
        assert text in shown.text, text


def test_the_page_of_a_2d_dataset(people):
    shown = page_of({"train": [known_people.in_2d(one) for one in people]})
    assert shown.counts["img"] == 16 and "svg" not in shown.counts
    assert "Bones" not in shown.text and "16 records" in shown.text
    found = measured([known_people.in_2d(one) for one in people])
    assert (found.in_box, found.upright, found.knees_forward) == (1, 1, None)
    assert found.height_m is None and found.distance_m is None and found.bone_names == ()


def test_a_tile_shows_the_skeleton_at_the_mark_box_and_mask(people):
    for one in people[:2]:
        image = tiles.tile(one, *SKELETON)
        assert max(image.shape) == tiles.SIDE_PX
        camera = known_people.CAMERAS[one.camera]
        zoom = image.shape[1] / 320
        x, y = (known_people.projected_px(camera, one.joints_mm)[0] + 0.5) * zoom - 0.5
        assert np.abs(image[round(y), round(x)] - np.array([255, 120, 40.0])).max() < 40
        left, top = (one.box[:2] + 0.5) * zoom - 0.5
        column = image[round(top) : round(top) + 60, round(left)].astype(int)
        assert (np.abs(column - tiles.BOX).max(axis=1) < 90).mean() > 0.8
    masked, without = (tiles.tile(one, *SKELETON).astype(int) for one in people[:2])
    count = [int((np.abs(i - tiles.MASK).max(axis=-1) < 60).sum()) for i in (masked, without)]
    assert count[0] > count[1] + 100
    broken = tiles.html((people[0]._replace(image=b"\xff\xd8\xff"),), *SKELETON)
    assert "<img" not in broken and people[0].key in broken


@pytest.fixture
def with_toy(monkeypatch):
    monkeypatch.setattr(official, "NAMES", ("toy", "h36m"))
    monkeypatch.setitem(sys.modules, "acae_jax.datasets.official.toy", toy_release)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    toy_release.write(folder)
    return folder


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built")
    shards.build(building.plan(toy_release, raw, out), workers=1)
    return out


def test_the_command_checks_after_a_build_and_what_is_there(raw, built, tmp_path, capsys, with_toy):
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    out = ["--out", str(tmp_path)]
    assert prepare.main(["toy", "--raw", str(raw), *out, "--jobs", "1", "--check"]) == 0
    told = capsys.readouterr().out
    assert "30 records of 15 frames" in told and f"look at {tmp_path / 'check.html'}" in told
    assert told.splitlines()[1].split()[:3] == ["dataset", "records", "published"]
    place = tmp_path / "toy/1.0.0"
    first = (place / "check.html").read_text()
    row = json.loads((place / "check.json").read_text())
    assert (row["records"], row["masks"], row["worst_reprojection_px"]) == (30, 0, pytest.approx(0))
    assert all(f"toy: {warning}" in told for warning in row["warnings"])
    assert Page(first).counts["img"] == 24
    (place / "check.html").unlink()
    assert prepare.main(["--all", "--check", *out]) == 0
    assert (place / "check.html").read_text() == first
    summary = Page((tmp_path / "check.html").read_text())
    assert summary.sources == ["toy/1.0.0/check.html"]
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_cannot_be_checked_is_one_line(built, tmp_path, capsys, with_toy):
    def refused(*arguments: str) -> str:
        assert prepare.main([*arguments, "--check", "--out", str(tmp_path)]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "Traceback" not in error
        return error

    assert "holds no official dataset; build one: acae prepare" in refused("--all")
    assert f"finished dataset; run: acae prepare toy --raw … --out {tmp_path}" in refused("toy")
    assert "did you mean 'h36m'" in refused("h36n")
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    report = tmp_path / "toy/1.0.0/report.json"
    kept = report.read_text()
    report.write_text('{"units": [{}]}')
    assert "is no report of a build" in refused("toy")
    report.write_text(kept)
    (tmp_path / "toy/1.0.0/features.json").write_text("{}")
    assert "cannot be opened" in refused("toy")
    assert not list(tmp_path.rglob("check.*"))


def test_a_check_that_is_stopped_leaves_nothing(built, tmp_path, capsys, with_toy, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(page, "html", interrupted)
    assert prepare.main(["toy", "--check", "--out", str(tmp_path)]) == 130
    assert "stopped; the same command continues from here" in capsys.readouterr().err
    assert not list(tmp_path.rglob("check.*"))


@pytest.mark.parametrize("arguments", [["--check"], ["toy", "--all", "--check"]])
def test_unclear_options_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        prepare.main(arguments)
    assert "with --check a dataset or --all is enough" in capsys.readouterr().err
