"""MuCo-3DHP: tiny composites come back with the people that they were made of."""

import functools
from pathlib import Path

import h5py
import miniature
import numpy as np
import pytest
import release_3dhp
from release_3dhp import OFFICIAL

from acae_jax.datasets.official import muco_3dhp
from acae_jax.datasets.readers import mpi_inf_3dhp
from acae_jax.geometry import boxes, cameras

COUNT = 3  # frames of a sequence
SEQUENCES = tuple(f"S{subject}/Seq{number}" for subject in range(1, 9) for number in (1, 2))
# The joints that the scripts keep, counted from 1 in the official order; the 15th is the pelvis.
EXTENDED = (8, 6, 15, 16, 17, 10, 11, 12, 24, 25, 26, 19, 20, 21, 5, 4, 7, 18, 13, 28, 23)
# By number of the composite: sequence, camera and file of its people, and how large their universal
# height makes them. The third person of the second one is behind the others by it only.
COMPOSITES = {
    1: (("S1/Seq1", 0, 1, 1), ("S1/Seq2", 0, 2, 1), ("S2/Seq1", 0, 3, 1), ("S2/Seq2", 0, 1, 1)),
    2: (("S5/Seq1", 4, 2, 1), ("S5/Seq2", 4, 2, 1), ("S6/Seq1", 4, 2, 5), ("S6/Seq2", 4, 2, 1)),
    4: (("S7/Seq1", 4, 2, 1), ("S7/Seq2", 4, 1, 1), ("S8/Seq1", 4, 3, 1), ("S8/Seq2", 4, 1, 1)),
}
CHAIR = (slice(200, 215), slice(30, 60))  # of the front person of the first composite


@functools.cache
def people(sequence: str) -> np.ndarray:
    """By frame. The people of a composite stand 500 mm from each other, the later ones behind."""
    number = SEQUENCES.index(sequence)
    joints_mm = 0.8 * miniature.people_mm(28, COUNT + number % 3, up="y")[-COUNT:, 0]
    camera = release_3dhp.CAMERAS[0 if number < 4 else 4]
    right, _, forward = camera.rotation * np.array([1, 0, 1])
    return joints_mm + 500 * (number % 4 - 1.5) * right + 40 * number * forward


def late(file: int) -> int:
    """The frame of which the scripts take the labels for a file."""
    return min(file, COUNT - 1)


def mask_of(joints_mm: np.ndarray, number: int) -> np.ndarray:
    """A person with a green mark in the middle of it."""
    camera = release_3dhp.CAMERAS[number]
    image = miniature.picture(camera, [joints_mm])
    is_mark = (image == miniature.GREEN).all(axis=-1)
    return is_mark | (miniature.mask(camera, joints_mm) > 0)


def ordered(number: int) -> list[int]:
    """The people of a composite front to back, by the depth of the universal pelvis."""

    def depth(one):
        sequence, camera, file, scale = one
        joints_mm = people(sequence)[late(file)]
        in_camera_mm, _ = release_3dhp.seen(release_3dhp.CAMERAS[camera], joints_mm)
        return scale * in_camera_mm[release_3dhp.CATALOGUE.index("pelv"), 2]

    return sorted(range(4), key=lambda place: depth(COMPOSITES[number][place]))


def composite(number: int) -> np.ndarray:
    """As the scripts paste: the hindmost image, and before it the chair and person of each."""
    image = None
    for place in reversed(ordered(number)):
        sequence, camera, file, _ = COMPOSITES[number][place]
        joints_mm = people(sequence)[file - 1]
        own = miniature.picture(release_3dhp.CAMERAS[camera], [joints_mm])
        own[(own == miniature.COLOURS[0]).all(axis=-1)] = miniature.COLOURS[place]
        if number == 1 and place == ordered(1)[0]:
            own[CHAIR] = 30
        if image is None:
            image = own
            continue
        if number == 1 and place == ordered(1)[0]:
            image[CHAIR] = own[CHAIR]
        shown = mask_of(joints_mm, camera)
        image[shown] = own[shown]
    return image


def write_info(path: Path) -> None:
    """A cell array of composites and people, each a cell array of six."""
    with h5py.File(path, "w") as file:

        def store(name, values, kind=b"double"):
            stored = file.create_dataset(name, data=values)
            stored.attrs["MATLAB_class"] = np.bytes_(kind)
            return stored.ref

        references = np.empty((4, max(COMPOSITES)), object)
        for number in range(1, max(COMPOSITES) + 1):
            for place, origin in enumerate(COMPOSITES.get(number, COMPOSITES[1])):
                sequence, camera, name, scale = origin
                joints_mm = people(sequence)[late(name)][None]
                in_camera_mm, labels_px = release_3dhp.seen(release_3dhp.CAMERAS[camera], joints_mm)
                pick = [index - 1 for index in EXTENDED]
                parts = (
                    np.array([[int(sequence[1]), int(sequence[-1]), camera, name]], float),
                    np.array([[1.0, 2, 3, 4]]),
                    release_3dhp.official(labels_px).reshape(28, 2)[pick].T,
                    scale * release_3dhp.official(in_camera_mm).reshape(28, 3)[pick].T,
                    np.zeros((3, 21)),
                    np.zeros((3, 21)),
                )
                where = f"#refs#/{number}_{place}"
                inner = [[store(f"{where}_{i}", part.T)] for i, part in enumerate(parts)]
                stored = file.create_dataset(where, data=inner, dtype=h5py.ref_dtype)
                stored.attrs["MATLAB_class"] = np.bytes_("cell")
                references[place, number - 1] = stored.ref
        outer = file.create_dataset("composite_info", data=references, dtype=h5py.ref_dtype)
        outer.attrs["MATLAB_class"] = np.bytes_("cell")


def write_release(raw: Path) -> None:
    for sequence in SEQUENCES:
        release_3dhp.write_cameras(raw / sequence / "camera.calibration")
        release_3dhp.write_labels(raw / sequence / "annot.mat", people(sequence))
    for number, origins in COMPOSITES.items():
        miniature.write_image(raw / f"unaugmented_set_001/{number:06d}.jpg", composite(number))
        for place, (sequence, camera, name, _) in enumerate(origins):
            shown = np.zeros((*miniature.SIZE[::-1], 3), np.uint8)
            shown[..., 0] = 255 * mask_of(people(sequence)[name - 1], camera)
            shown[..., 1] = 255
            file = f"img_{camera}_{name:06d}.jpg"
            miniature.write_image(raw / sequence / "FGmasks" / file, shown)
            chairs = np.full_like(shown, 255)
            if number == 1 and place == ordered(1)[0]:
                chairs[CHAIR] = 0
            miniature.write_image(raw / sequence / "ChairMasks" / file, chairs)
    (raw / "S7/Seq2/FGmasks/img_4_000001.jpg").unlink()
    write_info(raw / "sampled_dataset_info.mat")


def test_a_unit_holds_composites_one_after_another(raw, monkeypatch):
    assert [tuple(u) for u in muco_3dhp.units(raw)] == [("unaugmented_set_001/000001", "train")]
    monkeypatch.setattr(muco_3dhp, "COMPOSITES", 2)
    monkeypatch.setattr(muco_3dhp, "END", 4)
    assert [u.name[-6:] for u in muco_3dhp.units(raw)] == ["000001"]
    monkeypatch.setattr(muco_3dhp, "END", 5)
    assert [u.name[-6:] for u in muco_3dhp.units(raw)] == ["000001", "000003"]


def test_people_come_back_front_to_back(raw):
    ((frame, other, broken),) = miniature.frames(muco_3dhp, raw).values()
    assert [f.index for f in (frame, other, broken)] == [1, 2, 4]
    for found in (frame, other):
        origins = COMPOSITES[found.index]
        camera = release_3dhp.CAMERAS[origins[0][1]]
        assert ordered(2)[-1] == 2 and found.camera_name == str(origins[0][1])
        for place, person in zip(ordered(found.index), found.people, strict=True):
            sequence, _, name, _ = origins[place]
            expected_mm = people(sequence)[name - 1]
            miniature.assert_joints(person.joints_mm, expected_mm)
            miniature.assert_same_camera(found.camera, camera, expected_mm)
            np.testing.assert_allclose(
                person.joints_px, cameras.project(camera, expected_mm), atol=0.1
            )
    with pytest.raises(OSError, match=r"img_4_000001.jpg"):
        broken.image()


def test_boxes_are_of_what_is_seen_and_masks_of_all(raw):
    ((frame, *_),) = miniature.frames(muco_3dhp, raw).values()
    everything, nearer = np.zeros(miniature.SIZE[::-1], bool), np.zeros(miniature.SIZE[::-1], bool)
    for place, person in zip(ordered(1), frame.people, strict=True):
        sequence, camera, name, _ = COMPOSITES[1][place]
        shown = mask_of(people(sequence)[name - 1], camera)
        rows, columns = np.nonzero(shown & ~nearer)
        expected = np.array(
            [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1], float
        )
        assert boxes.iou(person.box, expected) > 0.85
        nearer |= shown
        if place == ordered(1)[0]:
            nearer[CHAIR] = True
        everything |= nearer
    for person in frame.people:
        assert np.mean(person.mask == everything) > 0.98
        assert np.mean(person.mask[CHAIR]) > 0.9


def test_records_show_the_people_where_the_labels_are(raw, tmp_path):
    train = miniature.build(muco_3dhp, raw, tmp_path)["train"]
    assert len(train) >= 6 and {record.frame for record in train} == {1, 2}
    for record in train:
        if record.person == "0":
            miniature.assert_marked(record)


def test_files_that_count_from_0_have_the_rows_of_their_numbers(raw, tmp_path):
    for path in raw.iterdir():
        if path.name != "S5":
            (tmp_path / path.name).symlink_to(path)
    folder = tmp_path / "S5/Seq1/FGmasks"
    folder.mkdir(parents=True)
    for path in (raw / "S5/Seq1").iterdir():
        if path.name != "FGmasks":
            (folder.parent / path.name).symlink_to(path)
    (tmp_path / "S5/Seq2").symlink_to(raw / "S5/Seq2")
    for name in ("000000", "000002"):
        (folder / f"img_4_{name}.jpg").symlink_to(raw / "S5/Seq1/FGmasks/img_4_000002.jpg")
    ((_, found, _),) = miniature.frames(muco_3dhp, tmp_path).values()
    person = found.people[ordered(2).index(0)]
    miniature.assert_joints(person.joints_mm, people("S5/Seq1")[2])


def test_other_files_are_one_line(raw, tmp_path):
    for path in raw.iterdir():
        if path.name not in ("S4", "unaugmented_set_001"):
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(ValueError, match=r"no .*S4/Seq1/annot.mat; it needs all of 3DHP"):
        muco_3dhp.units(tmp_path)
    (tmp_path / "S4").symlink_to(raw / "S4")
    (tmp_path / "unaugmented_set_001").mkdir()
    (tmp_path / "unaugmented_set_001/000005.jpg").touch()
    with pytest.raises(ValueError, match="knows 4 composites, not number 5"):
        muco_3dhp.units(tmp_path)


def test_all_joints_and_sequences_are_known():
    assert len(OFFICIAL) == 28 and set(mpi_inf_3dhp.FRAME_COUNTS) == set(SEQUENCES)
    assert OFFICIAL[EXTENDED[muco_3dhp.PELVIS] - 1] == "pelv"
