"""CHI3D: both people of a tiny official release come back, and the one of an older release."""

from pathlib import Path

import imar_release
import miniature

from acae_jax.datasets.frames_to_records import projected_px
from acae_jax.datasets.official import chi3d
from acae_jax.geometry import boxes, cameras

PEOPLE_MM = imar_release.people_mm(2)
PEOPLE_MM[1, 2:4] = PEOPLE_MM[1, 1]  # the partner stands still for two frames
PEOPLE_MM[0, 3] = PEOPLE_MM[0, 2]  # and then both


def write_release(raw: Path) -> None:
    imar_release.write(raw, "s02", "Hug 2", PEOPLE_MM)
    imar_release.write(raw, "s03", "Grab 4", PEOPLE_MM[:1], rate=4)


def test_people_and_cameras_come_back(raw):
    for name, frames in miniature.frames(chi3d, raw).items():
        is_old = name.startswith("s03/Grab 4.")
        ids = ["s03"] if is_old else ["s02", "s02_partner"]
        assert [frame.index for frame in frames] == [0, 1, 2, 4, 6, 7]
        for frame in frames:
            assert [person.id for person in frame.people] == ids
            imar_release.assert_camera(frame.camera, frame.camera_name, PEOPLE_MM[:, frame.index])
            for person, truth_mm in zip(frame.people, PEOPLE_MM[:, frame.index], strict=False):
                miniature.assert_joints(person.joints_mm, truth_mm)
                assert person.is_kept == (frame.index != 2 or person.id != "s02_partner")


def test_each_record_has_the_box_of_its_person(raw, tmp_path):
    train = miniature.build(chi3d, raw, tmp_path)["train"]
    assert {record.person for record in train} == {"s02", "s02_partner", "s03"}
    for record in train:
        assert record.format == "chi3d"
        own = int(record.person.endswith("partner"))
        truth_mm = PEOPLE_MM[own, record.frame]
        miniature.assert_joints(record.joints_mm, truth_mm)
        miniature.assert_marked(record)
        camera = cameras.create(record.intrinsics, record.rotation, record.position_mm)
        own_iou, other_iou = (
            float(boxes.iou(record.box, boxes.of_points(projected_px(camera, mm))))
            for mm in (truth_mm, PEOPLE_MM[1 - own, record.frame])
        )
        assert own_iou > 0.5 > other_iou
