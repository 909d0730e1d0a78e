"""Readers of chosen video frames, of image files, and of large JSON files."""

import json

import miniature
import numpy as np
import pytest

from acae_jax.datasets.readers import images, json_items, videos


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Frame i is grey of 10 i."""
    path = tmp_path_factory.mktemp("video") / "greys.avi"
    miniature.write_video(path, [np.full((48, 64, 3), 10 * i, np.uint8) for i in range(12)])
    return path


def test_chosen_frames_are_those_of_their_index(video):
    found = list(videos.chosen(video, iter([0, 3, 4, 11])))
    assert [index for index, _ in found] == [0, 3, 4, 11]
    for index, image in found:
        assert image.shape == (48, 64, 3) and abs(image.mean() - 10 * index) < 2
    assert list(videos.chosen(video, [])) == []


def test_videos_that_end_early_say_where(video, tmp_path):
    frames = videos.chosen(video, [2, 40])
    next(frames)
    with pytest.raises(ValueError, match=r"greys.avi ends, or is damaged, at frame 12; frame 40"):
        next(frames)
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("text.mp4", "absent.mp4"):
        with pytest.raises(ValueError, match=rf"{name} is missing, or no video"):
            next(videos.chosen(tmp_path / name, [0]))


def test_the_frame_rate_is_that_of_the_header(video, tmp_path):
    assert videos.frame_rate_hz(video) == pytest.approx(50)
    with pytest.raises(ValueError, match=r"absent.avi is missing, or no video that states"):
        videos.frame_rate_hz(tmp_path / "absent.avi")


def test_images_name_their_file(tmp_path):
    miniature.write_image(tmp_path / "a.png", np.full((4, 5, 3), [250, 9, 8], np.uint8))
    assert images.read(tmp_path / "a.png")[0, 0].tolist() == [250, 9, 8]
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match=r"b\.jpg: "):
        images.read(tmp_path / "b.jpg")


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_json_comes_item_by_item(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(json_items, "CHUNK", chunk)
    content = {
        "info": {"a": [1, 2]}, "year": 2014, "none": None, "empty": [], "text": 'a "b" [',
        "items": [{"id": 1}, 12.5, "é", [True]], "last": -1.5e3,
    }  # fmt: skip
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    expected = []
    for name, value in content.items():
        expected += [(name, v) for v in value] if isinstance(value, list) else [(name, value)]
    assert list(json_items.items(path)) == expected
    path.write_text("{}")
    assert list(json_items.items(path)) == []
    path.write_text(json.dumps(content["items"], indent=1), encoding="utf-8")
    assert list(json_items.rows(path)) == content["items"]


@pytest.mark.parametrize(
    "text", ['{"a": [1, 2', "[1]", '{"a" 1}', "", '{"a": [1 2]}', '{"a": tru}']
)
def test_json_that_is_cut_short_or_wrong_is_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.json is (cut short|no JSON object)"):
        list(json_items.items(path))
