"""Labels of one's own come back from every form of file as they were written."""

import json

import ezc3d
import miniature
import numpy as np
import own_folder
import pytest
from own_folder import COUNT, JOINTS, VIEWS, seen_px, truth_mm

from acae_jax.geometry import cameras

CLIP = {"video": "{media}/walk/{camera}.avi", "camera": list(VIEWS), "name": "walk"}
IMAGES = {**CLIP, "images": "{media}/walk/{camera}/*.png"}
del IMAGES["video"]


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    return own_folder.write(tmp_path_factory.mktemp("own"))


def clips(media, clip, **changes) -> list[dict]:
    filled = {
        key: value.replace("{media}", str(media)) if isinstance(value, str) else value
        for key, value in {**clip, **changes}.items()
    }
    return [filled]


def text(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


def long_csv(folder, view, unit_mm=1.0):
    lines = ["frame,person,joint,x,y,z,u,v"]
    for frame in range(COUNT):
        for joint, name in enumerate(JOINTS):
            place = [*truth_mm()[frame, joint] / unit_mm, *seen_px(view)[frame, joint]]
            lines.append(",".join([str(frame), "anna", name, *map(text, place)]))
    (folder / f"{view}.csv").write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")


def wide_csv(folder, view):
    columns = [f"{name}_{axis}" for name in JOINTS for axis in "xyzuv"]
    lines = [",".join(["person", "image", *columns, "box_x", "box_y", "box_w", "box_h"])]
    for frame in range(COUNT):
        both = np.concatenate([truth_mm()[frame], seen_px(view)[frame]], axis=-1)
        cells = ["anna", f"{view}/{frame + 7}.png", *map(text, both.ravel())]
        lines.append(",".join([*cells, *map(text, own_folder.boxes(view)[frame])]))
    (folder / f"{view}.csv").write_text("\n".join(lines))


def people_json(folder, view):
    content = [
        {
            "frame": frame,
            "person": "anna",
            "joints_m": own_folder.points(truth_mm()[frame] / 1000),
            "joints_px": own_folder.points(seen_px(view)[frame]),
            "box": own_folder.boxes(view)[frame],
        }
        for frame in range(COUNT)
    ]
    (folder / f"{view}.json").write_text(json.dumps(content))


def npz(folder, view):
    np.savez(
        folder / f"{view}.npz",
        joints_cm=truth_mm()[::-1, None] / 10,
        joints_px=seen_px(view)[::-1, None],
        frames=np.arange(COUNT)[::-1] + 100,
        people=np.array(["anna"]),
    )


FORMS = {
    "long CSV": (long_csv, ".csv", CLIP, {}),
    "wide CSV": (wide_csv, ".csv", IMAGES, {}),
    "JSON": (people_json, ".json", CLIP, {}),
    "npz": (npz, ".npz", IMAGES, {"first_frame": 100}),
}


@pytest.mark.parametrize("form", FORMS)
def test_labels_and_cameras_come_back(media, tmp_path, form):
    write, suffix, clip, more = FORMS[form]
    for view in VIEWS:
        write(tmp_path, view)
    listed = clips(media, clip, annotations="{camera}" + suffix, **more)
    found = own_folder.frames(own_folder.describe(tmp_path, media, listed))
    assert list(found) == ["walk/left", "walk/right"]
    for name, frames in found.items():
        view = name.split("/")[1]
        assert [frame.index for frame in frames] == list(range(COUNT))
        for frame in frames:
            (person,) = frame.people
            miniature.assert_joints(person.joints_mm, truth_mm()[frame.index])
            np.testing.assert_allclose(person.joints_px, seen_px(view)[frame.index], atol=0.01)
            if form in ("wide CSV", "JSON"):
                box = own_folder.boxes(view)[frame.index]
                np.testing.assert_allclose(person.box, box, atol=0.01)
            expected = own_folder.CAMERAS[view]
            miniature.assert_same_camera(frame.camera, expected, truth_mm())
            assert person.id == "anna" and frame.clip == "walk" and frame.up == (0, 0, 1)
            marks = list(miniature.marks_px(miniature.image_of(frame)))
            distances = [np.linalg.norm(m - seen_px(view)[frame.index, 0]) for m in marks]
            assert min(distances) < 1.5


def coco(categories, images, annotations):
    return json.dumps({"categories": categories, "images": images, "annotations": annotations})


def test_keypoints_in_cocos_form_by_image(media, tmp_path):
    names = ["nose", *JOINTS]  # one more than the skeleton has
    annotations = []
    for frame in range(COUNT):
        for number, view in enumerate(VIEWS):
            triples = np.c_[seen_px(view)[frame], np.full(len(JOINTS), 2)]
            triples = np.where(np.isnan(triples), 0, triples)
            triples[triples[:, 0] == 0] = 0
            box = np.array(own_folder.boxes(view)[frame]) + np.array([0.5, 0.5, 0, 0])
            annotations.append(
                {
                    "id": 10 * frame + number,
                    "image_id": 10 * frame + number,
                    "category_id": 1,
                    "keypoints": [1, 1, 2, *triples.ravel().tolist()],
                    "bbox": box.tolist(),
                    "iscrowd": 0,
                }
            )
    annotations.append({**annotations[0], "iscrowd": 1})
    images = [
        {"id": 10 * frame + number, "file_name": f"{view}/{frame + 7}.png"}
        for frame in range(COUNT)
        for number, view in enumerate(VIEWS)
    ]
    categories = [{"id": 1, "keypoints": names}, {"id": 2, "name": "chair"}]
    (tmp_path / "coco.json").write_text(coco(categories, images, annotations))
    joints = {name: name for name in JOINTS}
    listed = clips(media, IMAGES, annotations="coco.json", joints=joints)
    found = own_folder.frames(own_folder.describe(tmp_path, media, listed))
    for name, frames in found.items():
        view = name.split("/")[1]
        assert len(frames) == COUNT
        for frame in frames:
            (person,) = frame.people
            assert person.joints_mm.shape == (0, 3)
            np.testing.assert_allclose(person.joints_px, seen_px(view)[frame.index], atol=0.01)
            np.testing.assert_allclose(person.box, own_folder.boxes(view)[frame.index], atol=0.01)


def test_files_of_videopose3d_are_joined(media, tmp_path):
    order = [5, 4, 3, 2, 1, 0]
    in_m = np.concatenate([truth_mm(), truth_mm()[-1:]])[:, order] / 1000  # one frame too many
    both = [seen_px(view)[:, order].astype(np.float32) for view in VIEWS]
    metadata = {"layout_name": "mine", "num_joints": 6, "keypoints_symmetry": [[1, 3], [2, 4]]}
    np.savez_compressed(
        tmp_path / "data_2d_mine.npz",
        positions_2d={"S1": {"Walk 1": both, "Sit": [both[0][:1]]}},
        metadata=metadata,
    )
    np.savez_compressed(tmp_path / "data_3d_mine.npz", positions_3d={"S1": {"Walk 1": in_m}})
    listed = clips(
        media,
        CLIP,
        annotations=["data_3d_mine.npz", {"file": "data_2d_mine.npz", "subject": "S1"}],
        action="Walk 1",
        person="S1",
        joints={name: order.index(place) for place, name in enumerate(JOINTS)},
    )
    found = own_folder.frames(own_folder.describe(tmp_path, media, listed))
    for name, frames in found.items():
        assert len(frames) == COUNT
        for frame in frames:
            (person,) = frame.people
            miniature.assert_joints(person.joints_mm, truth_mm()[frame.index])
            expected_px = seen_px(name.split("/")[1])[frame.index]
            np.testing.assert_allclose(person.joints_px, expected_px, atol=0.01)
            assert person.id == "S1"


def test_2d_labels_of_several_cameras_become_3d_labels(media, tmp_path):
    for view in VIEWS:
        seen = seen_px(view)[1:] if view == "left" else seen_px(view)
        first = COUNT - len(seen)
        np.savez(tmp_path / f"{view}.npz", joints_px=seen, frames=np.arange(first, COUNT))
    listed = clips(media, CLIP, annotations="{camera}.npz", triangulate=True)
    found = own_folder.frames(own_folder.describe(tmp_path, media, listed))
    for name, frames in found.items():
        assert [frame.index for frame in frames] == list(range(name == "walk/left", COUNT))
        for frame in frames:
            (person,) = frame.people
            if frame.index == 0:  # which one camera has only
                assert person.joints_mm.shape == (0, 3)
            else:
                miniature.assert_joints(person.joints_mm, truth_mm()[frame.index])
            expected_px = seen_px(name.split("/")[1])[frame.index]
            np.testing.assert_allclose(person.joints_px, expected_px, atol=0.01)


# ----------------------------------------------------------------------------------------- motion

RATE = 4  # times as many frames as the videos of 50 Hz have
EARLY = 10  # frames of the motion before the videos begin


def motion_mm() -> np.ndarray:
    """The truth at a higher rate: linear between its frames, and standing before and after."""
    times = np.clip((np.arange(EARLY + RATE * COUNT) - EARLY) / RATE, 0, COUNT - 1)
    before = np.minimum(times.astype(int), COUNT - 2)
    share = (times - before)[:, None, None]
    one, other = truth_mm()[before], truth_mm()[before + 1]
    between = (1 - share) * one + share * other
    return np.where(share == 0, one, np.where(share == 1, other, between))


def assert_motion(media, tmp_path, annotation, joints):
    listed = clips(media, CLIP, annotations=[annotation], first_frame=EARLY)
    found = own_folder.frames(own_folder.describe(tmp_path, media, listed))
    for frames in found.values():
        assert [frame.index for frame in frames] == list(range(COUNT))
        for frame in frames:
            (person,) = frame.people
            expected_mm = np.full((len(JOINTS), 3), np.nan)
            expected_mm[list(joints)] = truth_mm()[frame.index, list(joints)]
            miniature.assert_joints(person.joints_mm, expected_mm)


def test_markers_of_c3d_at_another_rate(media, tmp_path):
    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["UNITS"]["value"], point["RATE"]["value"] = ["cm"], [50.0 * RATE]
    names = ["Mine:LASI", "Mine:RASI", *(f"Mine:{name}" for name in JOINTS[1:])]
    point["LABELS"]["value"] = names
    pelvis = motion_mm()[:, :1]
    apart = np.array([50.0, 20, 10])
    both = np.concatenate([pelvis - apart, pelvis + apart, motion_mm()[:, 1:]], 1)
    file["data"]["points"] = np.concatenate([both / 10, np.ones((*both.shape[:2], 1))], axis=-1).T
    file["data"]["meta_points"]["residuals"] = np.where(np.isnan(both[..., 0]), -1.0, 0).T[None]
    file["data"]["points"] = np.nan_to_num(file["data"]["points"])
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, both.shape[1], len(both)), bool)
    file.write(str(tmp_path / "walk.c3d"))
    joints = {name: f"Mine:{name}" for name in JOINTS[1:]}
    joints["pelv"] = names[:2]
    assert_motion(media, tmp_path, {"file": "walk.c3d", "joints": joints}, range(6))


def test_bones_of_bvh_in_another_world(media, tmp_path):
    """A root without children but for its end, which moves as the pelvis does, with y up."""
    x, y, z = np.moveaxis(motion_mm()[:, 0] / 1000, -1, 0)
    lines = [
        "HIERARCHY", "ROOT Hips", "{", "OFFSET 0 0 0",
        "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation",
        "End Site", "{", "OFFSET 0 1 0", "}", "}",
        "MOTION", f"Frames: {len(x)}", f"Frame Time: {1 / (50 * RATE):.7f}",
    ]  # fmt: skip
    # World y is the file's -z, moved by 2 m.
    lines += [f"{a:.6f} {c:.6f} {2 - b:.6f} 0 0 0" for a, b, c in zip(x, y, z, strict=True)]
    (tmp_path / "walk.bvh").write_text("\n".join(lines))
    to_world = [[1, 0, 0, 0], [0, 0, -1, 2000], [0, 1, 0, 0]]
    annotation = {"file": "walk.bvh", "unit": "m", "to_world": to_world, "joints": {"pelv": "Hips"}}
    assert_motion(media, tmp_path, annotation, joints=(0,))


def test_labels_between_frames_are_interpolated(media, tmp_path):
    """The videos' frames lie a quarter of a frame after those of the labels, at half the rate."""
    moments = np.arange(2 * COUNT + 2)
    ramp_mm = truth_mm()[0] + 10.0 * moments[:, None, None]
    np.savez(tmp_path / "walk.npz", joints_mm=ramp_mm)
    listed = clips(media, CLIP, annotations="walk.npz", labels_fps=100, first_frame=1.25)
    for frames in own_folder.frames(own_folder.describe(tmp_path, media, listed)).values():
        assert len(frames) == COUNT
        for frame in frames:
            expected_mm = truth_mm()[0] + 10.0 * (1.25 + 2 * frame.index)
            miniature.assert_joints(frame.people[0].joints_mm, expected_mm)


def test_units_of_tables_are_those_of_the_description(media, tmp_path):
    for view in VIEWS:
        long_csv(tmp_path, view, unit_mm=10.0)
    listed = clips(media, CLIP, annotations="{camera}.csv", unit="cm", every=2, split="test")
    found = own_folder.frames(own_folder.describe(tmp_path, media, listed, moved_mm=None))
    for frames in found.values():
        assert [frame.index for frame in frames] == [0, 2, 4]
        for frame in frames:
            miniature.assert_joints(frame.people[0].joints_mm, truth_mm()[frame.index])
            assert isinstance(frame.camera, cameras.Camera)
