"""AGORA: a tiny official release comes back as it was made.

The release's tables are of pandas; here they are dicts of columns, which read the same (the
reader's own test has tables).
"""

import json
import pickle
from functools import partial
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest

from acae_jax.datasets import building
from acae_jax.datasets.official import agora
from acae_jax.datasets.steps import person_boxes
from acae_jax.datasets.steps.person_boxes import Seen
from acae_jax.geometry import cameras

SIZE = (640, 360)
RED = (255, 0, 0)
LABELS = ((153, 108, 6), (112, 105, 191), (89, 121, 72))
SMPLX = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
         28, 43, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 68, 71, 73]  # fmt: skip
# Forwards, to the right and upwards in m; degrees to the right and downwards; focal length in mm.
PLACES = {
    "ag_trainset_axyz_hdri_5_10_sc0_00003": ((0, 0, 1.7), 0, 0, 50),
    "ag_trainset_3dpeople_bfh_archviz_5_10_cam00_00000": ((4, -2.75, 2.65), 135, 30, 18),
    "ag_validationset_renderpeople_flowers_5_15_00007": ((-5, 0.3, 0.2 + 1.7), 10, 0, 28),
    "ag_trainset_axyz_hdri_5_10_sc0_00004": ((0, 0, 1.7), 0, 0, 50),
}
MASKS = (
    "ag_trainset_axyz_hdri_5_10_sc0_mask_000003",
    "ag_trainset_3dpeople_bfh_archviz_5_10_mask_cam00_000000",
    "ag_validationset_renderpeople_flowers_5_15_mask_000007",
    "ag_trainset_axyz_hdri_5_10_sc0_mask_000004",
)
PEOPLE_M = miniature.people_mm(45 + 127, 4, people=3) / 1000
TABLES = {"train_0": [0, 1, 3], "validation_0": [2]}
HIDDEN = [[10.0, 60.0, 80.0], [0.0, 55.0, 20.0], [5.0, 10.0, 10.0], [0.0, 0.0, 0.0]]
VALID = [[True, True, True], [True, True, True], [True, True, False], [True, True, True]]
DRAWN = [(0, 1, 2), (0, 2), (0, 1, 2), (0, 1, 2)]  # whom the image shows


def in_scene_m(image: int) -> np.ndarray:
    """Three people: forwards, to the right, upwards."""
    points = PEOPLE_M[image].copy()
    points[..., 1] *= 0.6  # closer, so that they hide each other
    x = list(PLACES.values())[image][0][0]
    points = points[..., [1, 0, 2]] + [4.5 if x <= 0 else 0, 0, 0]
    if image == 2:
        points += [-5, 0, 0]
    points[0] += [0.4, 0, 0] if x <= 0 else [-0.4, 0.3, 0]
    return points


def in_camera_m(image: int) -> np.ndarray:
    """The people in the space of an image's camera."""
    place, *angles, _ = list(PLACES.values())[image]
    yaw, pitch = np.radians(angles)
    ahead, aside = np.array([np.cos(yaw), np.sin(yaw), 0]), np.array([-np.sin(yaw), np.cos(yaw), 0])
    up = np.array([0, 0, 1])
    forwards = np.cos(pitch) * ahead - np.sin(pitch) * up
    down = -np.cos(pitch) * up - np.sin(pitch) * ahead
    return (in_scene_m(image) - place) @ np.stack([aside, down, forwards], axis=-1)


def pinhole(image: int) -> cameras.Camera:
    """The camera at the origin; its pixels count from the centre of the first one."""
    focal = list(PLACES.values())[image][3] / 36 * SIZE[0]
    k = [[focal, 0, SIZE[0] / 2 - 0.5], [0, focal, SIZE[1] / 2 - 0.5], [0, 0, 1]]
    return cameras.create(np.array(k))


def released_px(image: int, points_m: np.ndarray) -> np.ndarray:
    focal = list(PLACES.values())[image][3] * SIZE[0] / 36
    return focal * points_m[..., :2] / points_m[..., 2:] + np.array(SIZE) / 2


def regions(image: int) -> list[np.ndarray]:
    return [miniature.mask(pinhole(image), 1000 * p, SIZE) > 0 for p in in_camera_m(image)]


def visible(image: int) -> list[np.ndarray]:
    """The last is in front."""
    found, covered = [], np.zeros(SIZE[::-1], bool)
    for region in regions(image)[::-1]:
        found.append(region & ~covered)
        covered |= region
    return found[::-1]


def painted(parts, colours) -> np.ndarray:
    result = np.full((*SIZE[::-1], 3), RED, np.uint8)
    for part, colour in zip(parts, colours, strict=True):
        result[part] = colour
    return result


def write_tables(raw) -> None:
    for table, rows in TABLES.items():
        names = [f"{list(PLACES)[row]}.png" for row in rows]
        for model, joints in {"SMPL": slice(0, 45), "SMPLX": slice(45, None)}.items():
            points_m = [in_camera_m(row)[:, joints] for row in rows]
            content = {
                "imgPath": names, "camX": [-500.0] * len(rows), "camY": [30.0] * len(rows),
                "camZ": [20.0] * len(rows), "camYaw": [10.0] * len(rows),
                "isValid": [VALID[row] for row in rows], "occlusion": [HIDDEN[row] for row in rows],
                "gt_joints_3d": [list(p) for p in points_m],
                "gt_joints_2d": [
                    list(released_px(*one)) for one in zip(rows, points_m, strict=True)
                ],
            }  # fmt: skip
            path = raw / model / f"{table}_withjv.pkl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(content))


def write_release(raw: Path) -> None:
    write_tables(raw)
    for image, name in enumerate(PLACES):
        points_mm = 1000 * in_camera_m(image)
        people = [points_mm[number] for number in DRAWN[image]]
        picture = miniature.picture(pinhole(image), people, SIZE)
        miniature.write_image(raw / "images/train_0" / f"{name}.png", picture)
        masks = raw / "masks" / MASKS[image]
        labels = painted(visible(image), LABELS)
        miniature.write_image(masks.with_name(f"{masks.name}_00000.png"), labels)
        for number, region in enumerate(regions(image), 1):
            file = masks.with_name(f"{masks.name}_{number:05d}.png")
            miniature.write_image(file, painted([region], [(200, 200, 200)]))
    broken = f"{MASKS[3]}_00002.png"
    (raw / "masks" / broken).write_bytes(b"no image")


def shrink(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(agora, "SIZE_PX", SIZE)
    rule = agora.RELEASE.boxes.keywords["rule"]
    boxes = partial(person_boxes.large_enough, rule=rule, least_side_px=20.0)
    patch.setattr(agora, "RELEASE", agora.RELEASE._replace(boxes=boxes))


def test_joints_cameras_boxes_and_masks_come_back(raw):
    found = miniature.frames(agora, raw)
    assert {name: [frame.index for frame in frames] for name, frames in found.items()} == {
        "train_0": [3, 0, 4], "validation_0": [7]
    }  # fmt: skip
    assert {unit.split for unit in agora.units(raw)} == {"train"}
    frames = [*found["train_0"][:2], *found["validation_0"]]
    for image, frame in enumerate(frames):
        (x, y, z), *_ = list(PLACES.values())[image]
        np.testing.assert_allclose(frame.camera.position_mm, [1000 * y, -1000 * z, 1000 * x])
        assert [p.id for p in frame.people] == [["0", "1"], ["0", "1", "2"], ["0", "1"]][image]
        for person in frame.people:
            number = int(person.id)
            x, y, z = in_scene_m(image)[number, 0]
            np.testing.assert_allclose(person.joints_mm[0], [1000 * y, -1000 * z, 1000 * x])
            points_m = in_camera_m(image)[number]
            points_m = np.concatenate([points_m[:24], points_m[45:][SMPLX]])
            in_camera = cameras.world_to_camera(frame.camera, person.joints_mm)
            miniature.assert_joints(in_camera, 1000 * points_m)
            seen_px = cameras.project(frame.camera, person.joints_mm)
            np.testing.assert_allclose(seen_px + 0.5, released_px(image, points_m), atol=1e-6)
            np.testing.assert_allclose(person.joints_px, seen_px, atol=1e-6)
            part = visible(image)[number]
            expected = cv2.boundingRect(part.astype(np.uint8)) - np.array([0.5, 0.5, 0, 0])
            np.testing.assert_array_equal(person.box, expected)
            np.testing.assert_array_equal(person.mask, np.any(regions(image), axis=0))
            assert person.is_hidden == (HIDDEN[image][number] > 50)
        # What is up in the world is up in the image.
        up = cameras.world_to_camera(frame.camera, person.joints_mm + 100 * np.array(frame.up))
        assert (up[:, 1] < in_camera[:, 1]).all()


def test_records_are_of_detected_people_or_of_those_who_are_not_hidden(raw, tmp_path):
    splits = miniature.build(agora, raw, tmp_path)
    assert list(splits) == ["train"]
    people = {record.key for record in splits["train"]}
    archviz = "agora/ag_trainset_3dpeople_bfh_archviz_5_10_cam00/000000"
    assert people == {
        "agora/ag_trainset_axyz_hdri_5_10_sc0/000003/0",
        "agora/ag_trainset_axyz_hdri_5_10_sc0/000003/1",
        f"{archviz}/0", f"{archviz}/2",  # 1 is hidden, and the detector does not see it
        "agora/ag_validationset_renderpeople_flowers_5_15/000007/0",
        "agora/ag_validationset_renderpeople_flowers_5_15/000007/1",
    }  # fmt: skip
    for record in splits["train"]:
        assert record.joints_mm.shape == (66, 3) and len(record.mask_rle)
        miniature.assert_marked(record)
    report = json.loads(next(tmp_path.glob("agora/*/report.json")).read_text())
    assert report["total"]["left_out"] == {"broken": 1, "no box": 1}
    assert report["total"]["worst_reprojection_px"] < 0.01
    assert "sc0_mask_000004_00002.png" in json.dumps(report)


def test_boxes_are_detections_or_the_visible_parts():
    rule = partial(agora.RELEASE.boxes, least_side_px=100.0)
    image = np.array([-0.5, -0.5, 3840, 2160])
    given = [[100, 100, 200, 400], [1000, 100, 200, 400], [2000, 100, 200, 400], [3000, 9, 99, 500]]
    people = [Seen(np.zeros((0, 2)), np.array(box, float)) for box in given]
    people[1] = people[1]._replace(is_hidden=True)
    seen = np.array([[110, 110, 200, 400, 0.9], [2000, 100, 90, 150, 0.8]], np.float32)
    found = rule(people, image, lambda: seen)
    np.testing.assert_allclose(found[0], seen[0, :4])
    np.testing.assert_allclose(found[2], given[2])
    assert found[1] is None and found[3] is None


def test_a_person_wholly_in_front_of_another_keeps_its_colour():
    """The front one lies within the hidden one's amodal mask, of which it fills more."""
    back, front, unseen = np.zeros((3, 80, 80), bool)
    back[8:72, 8:72], front[16:68, 16:68], unseen[20:60, 20:76] = True, True, True
    labels = np.full((80, 80, 3), RED, np.uint8)
    labels[back], labels[front] = LABELS[0], LABELS[1]
    labels[20:60, 72:] = LABELS[2]  # a thing that is half before, half beside who cannot be seen
    labels[60:68, 20:40] = np.add(LABELS[1], 5)
    found = agora.visible_parts(labels, [back, front, unseen])
    np.testing.assert_array_equal(found[0], back & ~front)
    np.testing.assert_array_equal(found[1], front)
    assert found[2] is None


def test_missing_tables_are_one_line(raw, tmp_path):
    for name in ("SMPL", "images", "masks"):
        (tmp_path / name).symlink_to(raw / name, target_is_directory=True)
    with pytest.raises(ValueError, match=r"^agora: no .*SMPLX/train_0_withjv.pkl; unpack [^\n]*$"):
        building.plan(agora, tmp_path, tmp_path / "out")
