"""Occluders of a tiny VOC 2012, and backgrounds of a folder of photographs."""

import shutil
import warnings

import miniature
import numpy as np
import pytest
from PIL import Image

from acae_jax import prepare
from acae_jax.datasets import frames_to_records, props_from_photographs
from acae_jax.images import props_from_files

SIZE = (120, 90)
PALETTE = {1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 5: (128, 0, 128)}
VOID = (224, 224, 192)
BOX = (slice(20, 60), slice(30, 80))  # of the first object: 50 × 40 px
OBJECTS = (("chair", 0, 0), ("person", 0, 0), ("sofa", 1, 0), ("cat", 0, 1), ("bottle", 0, 0))


def write_photograph(voc, stem, mask):
    """An object is red on blue; the mask has a palette, as in the release."""
    image = np.full((SIZE[1], SIZE[0], 3), (0, 0, 200), np.uint8)
    image[mask == 1] = (200, 30, 40)
    miniature.write_image(voc / f"JPEGImages/{stem}.jpg", image)
    drawn = Image.fromarray(mask, mode="P")
    colours = [PALETTE.get(index, VOID) for index in range(256)]
    colours[0] = (0, 0, 0)
    drawn.putpalette(np.array(colours, np.uint8).ravel().tolist())
    (voc / "SegmentationObject").mkdir(parents=True, exist_ok=True)
    drawn.save(voc / f"SegmentationObject/{stem}.png")
    described = "".join(
        f"<object><name>{name}</name><difficult>{d}</difficult><truncated>{t}</truncated></object>"
        for name, d, t in OBJECTS
    )
    (voc / "Annotations").mkdir(exist_ok=True)
    (voc / f"Annotations/{stem}.xml").write_text(f"<annotation>{described}</annotation>")


@pytest.fixture
def voc(tmp_path):
    """An object that is cut out, and one of each kind that is not; and a broken photograph."""
    voc = tmp_path / "raw/VOCdevkit/VOC2012"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Pillow's mode
        mask = np.zeros(SIZE[::-1], np.uint8)
        mask[18:62, 28:82] = 255  # void, about the object
        mask[BOX] = 1
        for number, top in ((2, 0), (3, 64)):
            mask[top : top + 16, :50] = number
        mask[64:80, 60:110] = 4
        mask[:16, 60:80] = 5  # small: 320 px
        write_photograph(voc, "2007_000032", mask)
        write_photograph(voc, "2007_000039", mask)
    (voc / "JPEGImages/2007_000039.jpg").write_bytes(b"\xff\xd8\xff broken")
    return tmp_path / "raw"


def test_whole_objects_are_cut_out_at_half_size(voc, tmp_path):
    made = props_from_photographs.write_occluders(voc, tmp_path / "out")
    assert made.pictures == 1
    assert made.left_out == {"people": 1, "difficult": 1, "truncated": 1, "small": 1, "broken": 1}
    assert "2007_000039" in made.broken[0] and "\n" not in made.broken[0]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["2007_000032_1.png"]
    (cutout,) = props_from_files.occluders(tmp_path / "out")
    assert cutout.shape == (20, 25, 4)
    assert (cutout[3:-3, 3:-3, 3] == 255).all()  # inside of the rim, which is 2 px wide
    assert (cutout[0, :, 3] == 191).all() and (cutout[:, -1, 3] == 191).all()
    assert np.abs(cutout[..., :3].astype(int) - (200, 30, 40)).max() < 60  # JPEG's blur
    assert np.abs(cutout[2:-2, 2:-2, :3].astype(int) - (200, 30, 40)).max() < 12


def test_colours_at_a_slanting_edge_are_those_of_the_object():
    image = np.full((64, 64, 3), (0, 0, 255), np.uint8)
    mask = np.add.outer(np.arange(64), np.arange(64)) < 64
    image[mask] = (250, 100, 0)
    cutout = props_from_photographs.cut_out(image, mask)
    assert cutout.shape == (32, 32, 4)
    shown = cutout[..., 3] > 0
    assert np.abs(cutout[shown][:, :3].astype(int) - (250, 100, 0)).max() <= 1
    assert shown.sum() == pytest.approx(mask.sum() / 4, rel=0.05)


def test_other_folders_are_one_line(tmp_path, voc):
    with pytest.raises(ValueError, match=r"has no SegmentationObject/\*.png; unpack VOC 2012"):
        props_from_photographs.write_occluders(
            tmp_path / "raw/VOCdevkit/VOC2012/JPEGImages", tmp_path
        )
    shutil.rmtree(voc / "VOCdevkit/VOC2012/Annotations")
    with pytest.raises(ValueError, match=r"no usable object \(0 pictures; left out: 2 broken"):
        props_from_photographs.write_occluders(voc, tmp_path / "out")


def detector_of_green(images, threshold, nms_iou_threshold, max_detections):
    """A person is green, as in `miniature`'s marks."""
    assert (threshold, nms_iou_threshold, max_detections) == (0.2, 0.7, -1)
    (image,) = images
    return [np.ones((int((image == (0, 255, 0)).all(axis=-1).any()), 5), np.float32)]


def test_photographs_without_people_become_upright_squares(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, 20:50], image[:, 50:80] = (250, 0, 0), (0, 0, 250)
    (raw / "jpg1").mkdir(parents=True)
    tag = Image.Exif()
    tag[274] = 6  # to be turned to the right
    Image.fromarray(image).save(raw / "jpg1/100000.jpg", exif=tag, quality=95, subsampling=0)
    miniature.write_image(raw / "jpg1/100000.png", image)
    image[5, 3] = (0, 255, 0)
    miniature.write_image(raw / "jpg1/people.png", image)
    (raw / "broken.JPG").write_bytes(b"\xff\xd8\xff")
    made = props_from_photographs.write_backgrounds(raw, out, detector_of_green)
    assert made.pictures == 2 and made.left_out == {"with people": 1, "broken": 1}
    assert made.told().splitlines()[0] == "2 pictures; left out: 1 broken, 1 with people"
    turned, straight = props_from_files.backgrounds(out)
    assert turned.shape == straight.shape == (512, 512, 3)
    for picture, halves in (
        (turned, (np.s_[:250], np.s_[262:])),
        (straight, (np.s_[:, :250], np.s_[:, 262:])),
    ):
        for half, colour in zip(halves, ((250, 0, 0), (0, 0, 250)), strict=True):
            assert np.abs(picture[half].astype(int) - colour).max() < 12


def test_backgrounds_that_are_there_are_kept(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    miniature.write_image(raw / "a.png", np.zeros((20, 20, 3), np.uint8))
    props_from_photographs.write_backgrounds(raw, out, detector_of_green)
    (kept,) = out.iterdir()
    before = kept.stat().st_mtime_ns
    made = props_from_photographs.write_backgrounds(raw, out, lambda *_: pytest.fail("detects"))
    assert made.pictures == 1 and kept.stat().st_mtime_ns == before


def test_a_folder_of_people_is_one_line(tmp_path):
    miniature.write_image(tmp_path / "raw/a.png", np.full((20, 20, 3), (0, 255, 0), np.uint8))
    with pytest.raises(ValueError, match=r"no photograph without people \(0 pictures; left out: 1"):
        props_from_photographs.write_backgrounds(
            tmp_path / "raw", tmp_path / "out", detector_of_green
        )
    assert not (tmp_path / "out").exists()


def test_by_the_command(voc, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(frames_to_records, "packaged_detector", lambda: detector_of_green)
    out = ["--out", str(tmp_path / "props")]
    assert prepare.main(["occluders", "--raw", str(voc), *out]) == 0
    folder = tmp_path / "props/occluders"
    told = capsys.readouterr().out
    assert told.startswith(f"{folder}: 1 pictures; left out: 1 broken, 1 difficult, 1 people,")
    assert told.splitlines()[-1] == f"train with --config.data.occluder_folder={folder}"
    assert len(props_from_files.occluders(folder)) == 1
    photographs = str(voc / "VOCdevkit/VOC2012/JPEGImages")
    assert prepare.main(["backgrounds", "--raw", photographs, *out]) == 0
    assert len(props_from_files.backgrounds(tmp_path / "props/backgrounds")) == 1
    assert prepare.main(["backgrounds", "--raw", str(tmp_path / "nothing"), *out]) == 1
    assert "has no photograph without people" in capsys.readouterr().err
