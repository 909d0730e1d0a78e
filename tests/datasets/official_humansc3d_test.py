"""HumanSC3D: a tiny official release comes back as it was made."""

import imar_release
import miniature

from acae_jax.datasets.official import humansc3d


def test_people_and_records_come_back(tmp_path):
    people_mm = imar_release.people_mm(1)
    raw = tmp_path / "raw"
    imar_release.write(raw, "s01", "001", people_mm)
    for frames in miniature.frames(humansc3d, raw).values():
        assert len(frames) == 7  # one pose occurs twice
        for frame in frames:
            truth_mm = people_mm[0, frame.index]
            miniature.assert_joints(frame.people[0].joints_mm, truth_mm)
            imar_release.assert_camera(frame.camera, frame.camera_name, truth_mm)
    train = miniature.build(humansc3d, raw, tmp_path / "out")["train"]
    assert len(train) == 14
    for record in train:
        assert record.format == "humansc3d"
        miniature.assert_marked(record)
