"""JSON files in COCO's form about a video's people in 2D, as those of PoseTrack18 and JRDB-Pose."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from acae_jax.files import json_files

Annotation = dict[str, Any]


def check(path: Path, joints: Sequence[str]) -> None:
    """Raise ValueError, in one line, unless the file has labels of these joints."""
    found = _content(path)["categories"][0].get("keypoints")
    if found != list(joints):
        raise ValueError(f"{path} is of another version: its joints are {found}")


def by_image(path: Path) -> Iterator[tuple[str, list[Annotation]]]:
    """The file name of each image, in their order, and the annotations of its people."""
    content = _content(path)
    people: dict[int, list[Annotation]] = {}
    for annotation in content["annotations"]:
        people.setdefault(annotation["image_id"], []).append(annotation)
    for image in sorted(content["images"], key=lambda image: image["file_name"]):
        yield image["file_name"], people.get(image["id"], [])


def _content(path: Path) -> dict[str, Any]:
    content = json_files.read_object(path)
    if missing := {"images", "annotations", "categories"} - set(content):
        raise ValueError(f"{path} is no file of keypoints: it lacks {', '.join(sorted(missing))}")
    return content
