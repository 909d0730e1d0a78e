"""SAIL-VOS: a tiny official release comes back as it was made."""

import json
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.official import sailvos
from acae_jax.datasets.readers import images
from acae_jax.geometry import cameras
from acae_jax.images import decoding, masks

SIZE = (1280, 800)
COUNT = 4
FAR_MM = np.array([2.1e6, -3.4e6, 3e4])  # from the origin of the game's world
PEOPLE_MM = FAR_MM + miniature.people_mm(400, COUNT, people=4)
PEOPLE_MM[2, 1] = PEOPLE_MM[1, 1]  # stands still for a frame
IDS = (3, 12, 20, 21)  # the third is nearly hidden, the fourth lies 40 m wide
HIDDEN, WIDE = 2, 3
PEOPLE_MM[:, WIDE] = FAR_MM + 40 * (PEOPLE_MM[:, WIDE] - FAR_MM) + [0, 0, 60000]
OF_JOINTS = """341,8 61 216,234 171 164,309 255,39 330 108 45,294 215,131,253 295 144,315 147,342,27
85 152 206,128,102 307,312 130 11 167,188,191,310 194,193,236,78 227,304,58,229 37,260,195
47,148,232 323 160"""
JOINTS = [[int(number) for number in numbers.split(",")] for numbers in OF_JOINTS.split()]
MISSING = (341, 85)  # of two points of the head's top; the only one of the left ankle


def camera(frame: int) -> cameras.Camera:
    """The camera moves and zooms; its centre is the image's middle."""
    found = miniature.ring(8, size=SIZE, lens=(0.0,) * 5)[frame]
    focal = 900.0 + 60 * frame
    k = np.array([[focal, 0, 639.5], [0, focal, 399.5], [0, 0, 1]])
    return cameras.create(k, found.rotation, found.position_mm + FAR_MM)


def joints(points: np.ndarray) -> np.ndarray:
    points = points.copy()
    points[list(MISSING)] = np.nan
    return np.array([
        points[[n for n in numbers if n != 341]].mean(axis=0) for numbers in JOINTS
    ])  # fmt: skip


def seen(frame: int) -> list[np.ndarray]:
    """The joints of those who are drawn, without the ankle that is missing."""
    return [np.delete(joints(mm), 13, axis=0) for mm in PEOPLE_MM[frame, :2]]


def shape(frame: int, person: int) -> np.ndarray:
    return miniature.mask(camera(frame), seen(frame)[person], SIZE).astype(bool)


def numbers(frame: int) -> np.ndarray:
    """Who is seen at each pixel: the second before the first; parts of the others; a car."""
    result = np.zeros(SIZE[::-1], np.int32)
    result[:40] = 99
    for person in (0, 1):
        result[shape(frame, person)] = IDS[person]
    result[-60:, :80] = IDS[HIDDEN]
    result[-60:, -80:] = IDS[WIDE]
    return result


def write_person(folder: Path, frame: int, person: int) -> None:
    folder.mkdir(exist_ok=True)
    mm = PEOPLE_MM[frame, person]
    px, m = cameras.project(camera(frame), mm) + 0.5, mm / 1000
    px[list(MISSING)], m[list(MISSING)] = 0, 0
    if person == WIDE:
        px[:] = 0  # outside of the image
    np.savetxt(folder / f"{frame:06d}_2d.txt", px, "%.5f")
    np.savetxt(folder / f"{frame:06d}_3d.txt", m, "%.6f")
    amodal = np.zeros(SIZE[::-1], np.uint8)
    if person < HIDDEN:
        amodal[shape(frame, person)] = 255
    else:
        amodal[-60:, : 80 if person == WIDE else 640] = 255
    assert cv2.imwrite(str(folder / f"{frame:06d}.png"), amodal)


def write_release(raw: Path) -> None:
    folder = raw / "ah_1_int"
    (folder / "visible").mkdir(parents=True)
    for frame in range(COUNT):
        image = miniature.picture(camera(frame), seen(frame), SIZE)
        miniature.write_image(folder / f"images/{frame:06d}.bmp", image)
        np.save(folder / f"visible/{frame:06d}.npy", numbers(frame))
        for person, identity in enumerate(IDS):
            write_person(folder / f"{identity}_Ped_{person}", frame, person)
    np.save(folder / f"visible/{COUNT - 1:06d}.npy", np.array(["no", "numbers"], object))
    (raw / "no_poses/images").mkdir(parents=True)
    (raw / "no_poses/visible").mkdir()


@pytest.fixture(scope="module")
def found(raw):
    (frames,) = miniature.frames(sailvos, raw).values()
    return frames


def test_people_and_cameras_come_back(found):
    origin_mm = camera(0).position_mm
    assert [frame.index for frame in found] == list(range(COUNT))
    assert not found[-1].people  # its map of people is broken
    for index, frame in enumerate(found[:-1]):
        truth = camera(index)
        truth = truth._replace(position_mm=truth.position_mm - origin_mm)
        miniature.assert_same_camera(frame.camera, truth, PEOPLE_MM[index, :2] - origin_mm)
        assert frame.up == (0, 0, 1) and [p.id for p in frame.people] == [str(i) for i in IDS]
        for number, person in enumerate(frame.people):
            expected_mm = joints(PEOPLE_MM[index, number]) - origin_mm
            miniature.assert_joints(person.joints_mm, expected_mm)
            assert abs(expected_mm[np.isfinite(expected_mm)]).max() < 1e6
        kept = [person.is_kept for person in frame.people]
        assert kept == [True, index != 2, False, False]
        rows, columns = np.nonzero(numbers(index) == IDS[1])
        expected = [columns.min() - 0.5, rows.min() - 0.5, np.ptp(columns) + 1, np.ptp(rows) + 1]
        np.testing.assert_allclose(frame.people[1].box, expected)


def test_records_show_people_and_everybodys_mask(raw, tmp_path):
    train = miniature.build(sailvos, raw, tmp_path)["train"]
    assert {record.person for record in train} == {"3", "12"} and len(train) >= 4
    for record in train:
        if record.person == "12":
            miniature.assert_marked(record)
        shown = masks.decode(record.mask_rle, *decoding.size(record.image)).astype(bool)
        image = decoding.decode(record.image).astype(int)
        near = [np.abs(image - colour).max(axis=-1) < 60 for colour in miniature.COLOURS[:2]]
        for is_person in near:
            assert (is_person & shown).sum() > 0.95 * is_person.sum()
    report = json.loads(next(tmp_path.glob("sailvos/*/report.json")).read_text())
    assert report["total"]["worst_reprojection_px"] < 0.5
    assert report["total"]["left_out"]["broken"] == 1


@pytest.mark.parametrize(
    ("scale", "labelled", "side", "is_kept"),
    [(1, 6, 51, True), (0.05, 26, 200, False), (1, 5, 200, False), (1, 26, 49, False)],
)
def test_people_must_be_plausible(scale, labelled, side, is_kept):
    mm = np.full((400, 3), np.nan)
    for numbers_of_joint in JOINTS[:labelled]:
        mm[numbers_of_joint] = scale * (PEOPLE_MM[0, 0] - FAR_MM)[numbers_of_joint]
    mask = np.zeros(SIZE[::-1], bool)
    mask[10 : 10 + side, 10:300] = True
    person = sailvos._person("3", sailvos.Points(mm[:, :2], mm), mask, mask)
    assert person.is_kept == is_kept


def test_bitmaps_are_read(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    miniature.write_image(tmp_path / "a.bmp", image)
    np.testing.assert_array_equal(images.read(tmp_path / "a.bmp"), image)
    for content in (b"BM", b"BM" + bytes(16) + b"\xff\xff\xff\x7f" * 2 + bytes(60)):
        (tmp_path / "b.bmp").write_bytes(content)
        with pytest.raises(ValueError, match=r"b.bmp: BMP "):
            images.read(tmp_path / "b.bmp")


def test_a_sequence_without_masks_is_one_line(raw, tmp_path):
    (tmp_path / "ah_1_int").symlink_to(raw / "ah_1_int")
    (tmp_path / "b/images").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"no .*b/visible; unpack all of b"):
        building.plan(sailvos, tmp_path, tmp_path / "out")
