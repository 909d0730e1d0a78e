"""Labels in JSON: a list of people in frames, or keypoints in the form of COCO.

    [{"frame": 0, "person": "anna",
      "joints_mm": {"pelv": [12.0, -40.5, 4310.2], "rhip": null},
      "joints_px": {"pelv": [501.2, 377.0]}, "box": [412, 90, 210, 540]}]

`image`, with the name of a file, may stand in place of `frame`; `joints_m` or `joints_cm` in place
of `joints_mm`. Joints that are null or left out are missing. All but the moment is optional.

COCO's files have `images`, `annotations` and `categories`. Keypoints with v = 0 are missing. Boxes
count from the corner of the image there, keypoints from the centre of the first pixel.
"""

from pathlib import Path
from typing import Any

from acae_jax.datasets.own.label_files import labels
from acae_jax.datasets.own.label_files.labels import Labels, Row
from acae_jax.files import json_files

JOINTS = {"joints_mm": "mm", "joints_cm": "cm", "joints_m": "m"}
KEYS = ("frame", "image", "person", *JOINTS, "joints_px", "box")


def read(path: Path) -> Labels:
    """The labels in a file of either form; ValueError, in one line with the place, if it is none.

    All 3D labels of a file must have one unit.
    """
    content = json_files.read(path)
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content):
        return _of_coco(content)
    if not isinstance(content, list):
        raise ValueError(
            "it must be a list of people in frames, or COCO's object of images, annotations and "
            "categories"
        )
    units = {key for one in content if isinstance(one, dict) for key in JOINTS if key in one}
    if len(units) > 1:
        raise ValueError(f"it has {' and '.join(sorted(units))}; choose one unit")
    rows = [_row(one, f"[{index}]") for index, one in enumerate(content)]
    if len({type(row.moment) for row in rows}) > 1:
        raise ValueError("some of its people have 'frame' and some have 'image'; choose one")
    return labels.of_rows(rows, JOINTS[units.pop()] if units else "")


def _row(content: Any, where: str) -> Row:
    json_files.check_keys(content, where, (), KEYS)
    moment = content.get("frame", content.get("image"))
    is_number = type(moment) is int and moment >= 0
    if ("frame" in content) == ("image" in content) or not (
        is_number if "frame" in content else isinstance(moment, str)
    ):
        raise ValueError(f"{where} must have either 'frame', a whole number from 0, or 'image'")
    person = content.get("person", "")
    if not isinstance(person, str):
        raise ValueError(f"{where}.person must be a text")
    key = next((key for key in JOINTS if key in content), "joints_mm")
    box = content.get("box")
    return Row(
        moment,
        person,
        _points(content.get(key), f"{where}.{key}", 3),
        _points(content.get("joints_px"), f"{where}.joints_px", 2),
        None if box is None else json_files.numbers(box, f"{where}.box", (4,)).tolist(),
    )


def _points(content: Any, where: str, size: int) -> dict[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"{where} must be an object of joint names and points or null")
    return {
        name: json_files.numbers(point, f"{where}.{name}", (size,)).tolist()
        for name, point in content.items()
        if point is not None
    }


# ------------------------------------------------------------------------------------------- COCO


def _of_coco(content: dict[str, Any]) -> Labels:
    """The people with keypoints, without crowds."""
    try:
        names = {
            one["id"]: tuple(one["keypoints"])
            for one in content["categories"]
            if one.get("keypoints")
        }
        if len(set(names.values())) != 1:
            raise ValueError(f"it has {len(set(names.values()))} sets of keypoints, not one")
        files = {one["id"]: one["file_name"] for one in content["images"]}
        rows = [
            _coco_row(one, f"annotations[{index}]", names[one["category_id"]], files)
            for index, one in enumerate(content["annotations"])
            if one.get("keypoints") and not one.get("iscrowd")
        ]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"it is no file of COCO's keypoints: it lacks or misuses {error}"
        ) from None
    return labels.of_rows(rows)


def _coco_row(
    one: dict[str, Any], where: str, names: tuple[str, ...], files: dict[Any, str]
) -> Row:
    triples = json_files.numbers(one["keypoints"], f"{where}.keypoints", (3 * len(names),))
    points = dict(zip(names, triples.reshape(-1, 3).tolist(), strict=True))
    box = one.get("bbox")
    if box is not None:
        x, y, width, height = json_files.numbers(box, f"{where}.bbox", (4,)).tolist()
        box = (x - 0.5, y - 0.5, width, height)
    if one["image_id"] not in files:
        raise ValueError(f"{where}.image_id is {one['image_id']!r}, which no image has")
    seen_px = {name: (u, v) for name, (u, v, visible) in points.items() if visible}
    return Row(files[one["image_id"]], str(one["id"]), {}, seen_px, box)
