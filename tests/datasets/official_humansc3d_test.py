"""HumanSC3D: a tiny official release comes back as it was made."""

from pathlib import Path

import imar_release
import miniature

from acae_jax.datasets.official import humansc3d

PEOPLE_MM = imar_release.people_mm(1)


def write_release(raw: Path) -> None:
    imar_release.write(raw, "s01", "001", PEOPLE_MM)


def test_people_and_records_come_back(raw, tmp_path):
    for frames in miniature.frames(humansc3d, raw).values():
        assert len(frames) == 7  # one pose occurs twice
        for frame in frames:
            truth_mm = PEOPLE_MM[0, frame.index]
            miniature.assert_joints(frame.people[0].joints_mm, truth_mm)
            imar_release.assert_camera(frame.camera, frame.camera_name, truth_mm)
    train = miniature.build(humansc3d, raw, tmp_path)["train"]
    assert len(train) == 14
    for record in train:
        assert record.format == "humansc3d"
        miniature.assert_marked(record)
