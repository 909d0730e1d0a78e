import json

import numpy as np
import pytest

from acae_jax.bundles.facts import Selection
from acae_jax.recordings import json_lines, results

EDGES = ((0, 1), (1, 2))
NAMES = ("pelv_a", "lhip_a", "rhip_a")
SKELETONS = {"a": Selection((0, 1, 2), NAMES, EDGES), "legs": Selection((2, 1), NAMES[:0:-1], ())}
SEEN = ([0, 1, 4], [0.0, 0.11, 0.56])  # frames and their times
FACTS = {"input": "walk.mp4", "num_aug": 5}


def time_of(index: int) -> float:
    return 0.1 * index + 0.01 * index**2


def make_frame(index: int, people: int, source: str = "") -> results.Frame:
    rng = np.random.default_rng(index)
    J = len(NAMES)
    return results.Frame(
        index,
        time_of(index),
        np.arange(people, dtype=np.int32),
        rng.uniform(0, 100, (people, 5)).astype(np.float32),
        rng.normal(0, 1000, (people, J, 3)).astype(np.float32),
        rng.uniform(0, 500, (people, J, 2)).astype(np.float32),
        rng.uniform(10, 90, (people, J)).astype(np.float32),
        source,
    )


def make_sequence(frame_count: int = 7) -> results.Sequence:
    empty = results.blank(NAMES, EDGES, SKELETONS, 29.97)
    return results.join(empty, [make_frame(i, people) for i, people in ((0, 2), (1, 0), (4, 3))], 7)


def assert_equal(one: results.Sequence, other: results.Sequence, within: float) -> None:
    for name, a, b in zip(one._fields, one, other, strict=True):
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, name
            np.testing.assert_allclose(a, b, rtol=0, atol=within, err_msg=name)
        else:
            assert a == b, name


def test_npz_returns_the_sequence_to_the_bit_and_needs_no_pickle(tmp_path):
    sequence = make_sequence()
    sequence.uncertainty_mm[1, 2] = np.nan
    results.write_npz(tmp_path / "walk.npz", sequence, sources=["a.jpg", "ü b.jpg"])
    assert_equal(results.read_npz(tmp_path / "walk.npz"), sequence, within=0)
    with np.load(tmp_path / "walk.npz", allow_pickle=False) as file:
        assert {name: file[name].dtype.hasobject for name in file} == dict.fromkeys(file, False)
        assert file["sources"].tolist() == ["a.jpg", "ü b.jpg"]
        assert "mm" in json.loads(str(file["about"]))["pose3d_mm"]
        assert file["pose3d_mm"].shape == (5, 3, 3)


def test_json_lines_return_the_sequence_to_a_thousandth(tmp_path):
    sequence = make_sequence()
    sequence.uncertainty_mm[1, 2] = np.nan
    path = tmp_path / "walk.jsonl"
    json_lines.write_jsonl(path, sequence, *SEEN, FACTS)
    found = json_lines.read_jsonl(path)
    assert_equal(found.sequence, sequence, within=0.00051)
    assert (found.seen.tolist(), found.seen_s.tolist()) == SEEN
    assert (found.metadata, found.complete) == (FACTS, True)
    rows = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
    assert set(rows[0]["about"]) >= {"frame", "track", "box", "pose3d_mm", "pose2d_px"}
    assert rows[1]["people"][1]["uncertainty_mm"][2] is None


def test_times_of_version_0_1_follow_from_the_rate(tmp_path):
    sequence = make_sequence()
    results.write_npz(tmp_path / "walk.npz", sequence)
    json_lines.write_jsonl(tmp_path / "walk.jsonl", sequence, *SEEN, FACTS)
    with np.load(tmp_path / "walk.npz") as file:
        np.savez(tmp_path / "old.npz", **{name: file[name] for name in file if name != "time_s"})
    rows = [json.loads(line) for line in (tmp_path / "walk.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("time_s", None)
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    even = sequence._replace(time_s=sequence.frame / 29.97)
    assert_equal(results.read_npz(tmp_path / "old.npz"), even, within=1e-12)
    assert_equal(json_lines.read_jsonl(tmp_path / "old.jsonl").sequence, even, within=0.00051)
    # Begun by version 0.1 and continued: not all frames have a time.
    rows[3]["time_s"] = 0.56
    (tmp_path / "both.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    both = json_lines.read_jsonl(tmp_path / "both.jsonl")
    assert_equal(both.sequence, even, within=0.00051)
    np.testing.assert_allclose(both.seen_s, np.array(SEEN[0]) / 29.97)


@pytest.mark.parametrize("times_s", [[0.0, 0.2, 0.1], [0.0, np.nan, 0.2], [0.0, 0.1], [-1, 0, 1.0]])
def test_times_that_cannot_be_follow_from_the_rate(times_s):
    frames = np.array([0, 5, 10], np.int32)
    assert results.rising_times(frames, np.array(times_s), 10.0).tolist() == [0.0, 0.5, 1.0]


def test_a_line_of_which_the_disk_takes_only_parts_is_written_whole(tmp_path):
    class Slow:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            return self.file.write(bytes(data[:100]))

        def close(self):
            self.file.close()

    for path in (tmp_path / "fast.jsonl", tmp_path / "slow.jsonl"):
        with json_lines.Lines(path, make_sequence(), FACTS) as lines:
            if path.stem == "slow":
                lines._file = Slow(lines._file)
            lines.write(make_frame(0, 2))
            lines.end(1)
    assert (tmp_path / "slow.jsonl").read_bytes() == (tmp_path / "fast.jsonl").read_bytes()


def test_sequences_without_people_or_without_frames(tmp_path):
    empty = results.blank(NAMES, EDGES, SKELETONS, 25.0)
    for sequence, seen in ((empty, []), (results.join(empty, [make_frame(0, 0)], 3), [0])):
        results.write_npz(tmp_path / "none.npz", sequence)
        assert_equal(results.read_npz(tmp_path / "none.npz"), sequence, within=0)
        json_lines.write_jsonl(tmp_path / "none.jsonl", sequence, seen, np.zeros(len(seen)), {})
        assert_equal(json_lines.read_jsonl(tmp_path / "none.jsonl").sequence, sequence, within=0)


def test_lines_continue_behind_the_last_whole_line(tmp_path):
    path, empty = tmp_path / "walk.jsonl", results.blank(NAMES, EDGES, SKELETONS, 30.0)
    frames = [make_frame(index, 2, f"{index}.jpg") for index in range(4)]
    with json_lines.Lines(path, empty, FACTS) as lines:
        assert lines.recorded is None
        for frame in frames:
            lines.write(frame)
        lines.end(4)
    whole = path.read_bytes()
    starts = [0]
    while starts[-1] < len(whole):
        starts.append(whole.index(b"\n", starts[-1]) + 1)
    path.write_bytes(whole[: starts[1] - 1])  # not even the first line
    with json_lines.Lines(path, empty, FACTS) as lines:
        assert lines.recorded is None
    assert path.read_bytes() == whole[: starts[1]]
    # Cut in the middle of frame 2, at its last byte, and between two lines.
    for cut in (starts[3] + 25, starts[4] - 1, starts[3]):
        path.write_bytes(whole[:cut])
        with json_lines.Lines(path, empty, FACTS) as lines:
            assert lines.recorded is not None and not lines.recorded.complete
            assert lines.recorded.sources == ("0.jpg", "1.jpg")
            for frame in frames[2:]:
                lines.write(frame)
            lines.end(4)
        assert path.read_bytes() == whole


def test_lines_refuse_to_continue_another_run(tmp_path):
    path, empty = tmp_path / "walk.jsonl", results.blank(NAMES, EDGES, SKELETONS, 30.0)
    with json_lines.Lines(path, empty, FACTS) as lines:
        lines.write(make_frame(0, 1))
    before = path.read_bytes()
    for other, facts in ((empty, FACTS | {"num_aug": 1}), (empty._replace(fps=25.0), FACTS)):
        with pytest.raises(ValueError, match="another way"):
            json_lines.Lines(path, other, facts)
    assert path.read_bytes() == before


def test_the_people_of_a_frame():
    sequence = make_sequence()
    for index, people in ((0, 2), (1, 0), (4, 3), (6, 0)):
        found = results.at(sequence, index, time_of(index))
        assert found.track.tolist() == list(range(people))
        np.testing.assert_array_equal(found.poses_mm, make_frame(index, people).poses_mm)


def test_selecting_a_skeleton():
    sequence = make_sequence()
    legs = results.select(sequence, "legs")
    assert (legs.joint_names, legs.edges) == (("rhip_a", "lhip_a"), ())
    np.testing.assert_array_equal(legs.poses_px, sequence.poses_px[:, [2, 1]])
    assert_equal(results.select(legs, "legs"), legs, within=0)
    with pytest.raises(ValueError, match=r"no skeleton 'arms' here; there is a, legs"):
        results.select(sequence, "arms")


@pytest.mark.parametrize("content", [b"", b"\x00" * 50, b"PK\x03\x04 cut", b'{"a": 1}\n'])
def test_other_files_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "poses"
    path.write_bytes(content)
    for read in (results.read_npz, json_lines.read_jsonl):
        with pytest.raises(ValueError, match="poses") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_pickles_in_an_npz_are_refused(tmp_path):
    np.savez(tmp_path / "evil.npz", joint_names=np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds no poses"):
        results.read_npz(tmp_path / "evil.npz")


def test_an_npz_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    results.write_npz(tmp_path / "walk.npz", make_sequence())
    monkeypatch.setattr(results, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="limit is 100"):
        results.read_npz(tmp_path / "walk.npz")


def test_damage_before_the_last_line_is_named(tmp_path):
    path = tmp_path / "walk.jsonl"
    json_lines.write_jsonl(path, make_sequence(), *SEEN, FACTS)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b'{"frame": 1, "peo\n', *lines[3:]]))
    with pytest.raises(ValueError, match="line 3"):
        json_lines.read_jsonl(path)
