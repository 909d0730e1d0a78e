"""COCO's JSON about people in videos."""

import json

import pytest

from acae_jax.datasets.readers import video_keypoints


def test_images_come_in_their_order_with_their_people(tmp_path):
    path = tmp_path / "a.json"
    images = [{"id": 7, "file_name": "v/000002.jpg"}, {"id": 9, "file_name": "v/000001.jpg"}]
    annotations = [{"image_id": 7, "id": 1}, {"image_id": 7, "id": 2}, {"image_id": 5, "id": 3}]
    categories = [{"keypoints": ["nose"]}]
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    found = [(name, [a["id"] for a in people]) for name, people in video_keypoints.by_image(path)]
    assert found == [("v/000001.jpg", []), ("v/000002.jpg", [1, 2])]
    video_keypoints.check(path, ["nose"])
    with pytest.raises(
        ValueError, match=r"a.json is of another version: its joints are \['nose'\]"
    ):
        video_keypoints.check(path, ["nose", "neck"])


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[" * 99999, "nested too deeply"), ("{}", "it lacks")],
)
def test_other_files_are_one_line(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        list(video_keypoints.by_image(path))
