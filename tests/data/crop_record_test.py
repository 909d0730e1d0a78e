import cv2
import numpy as np
import pytest

from acae_jax.data import crop_record, schema


def make(**changes):
    """A small valid 3D record."""
    ok, jpeg = cv2.imencode(".jpg", np.full((24, 32, 3), 90, np.uint8))
    assert ok
    fields = {
        "image": jpeg.tobytes(),
        "intrinsics": np.array([[50, 0, 15.5], [0, 50, 11.5], [0, 0, 1]], np.float32),
        "rotation": np.eye(3, dtype=np.float32),
        "position_mm": np.zeros(3, np.float32),
        "joints_mm": np.array([[0, 0, 3000], [np.nan] * 3], np.float32),
        "joints_px": np.zeros((0, 2), np.float32),
        "box": np.array([2, 3, 20, 18], np.float32),
        "mask_rle": np.zeros(0, np.uint32),
        "format": "coco_body",
        "key": "studio/woman1/walk/000001",
    }
    return crop_record.CropRecord(**{**fields, **changes})


def test_dict_round_trip_with_text_as_bytes():
    record = make()
    stored = schema.to_dict(crop_record.SCHEMA, record)
    stored["format"], stored["key"] = record.format.encode(), record.key.encode()
    again = schema.from_dict(crop_record.SCHEMA, stored)
    for have, want in zip(again, record, strict=True):
        np.testing.assert_array_equal(have, want)


def test_features_hold_exactly_the_fields():
    assert set(schema.features(crop_record.SCHEMA)) == set(crop_record.CropRecord._fields)
    assert schema.features(crop_record.SCHEMA)["joints_mm"].np_dtype == np.float32


def test_features_encode_and_decode_a_record():
    features = schema.features(crop_record.SCHEMA)
    encoded = features.encode_example(schema.to_dict(crop_record.SCHEMA, make()))
    assert encoded["image"] == make().image  # bytes pass through, so no TensorFlow is needed
    np.testing.assert_array_equal(encoded["joints_mm"], make().joints_mm)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": b"not a picture"}, "image must be encoded JPEG"),
        ({"rotation": 2 * np.eye(3, dtype=np.float32)}, "rotation must be a proper rotation"),
        ({"rotation": np.diag([1, 1, -1]).astype(np.float32)}, "rotation must be a proper"),
        ({"position_mm": np.full(3, np.nan, np.float32)}, "position_mm must be finite"),
        ({"box": np.zeros(4, np.float32)}, "box must be x, y, w, h"),
        ({"box": np.ones(4)}, "box must be float32, got float64"),
        ({"joints_mm": np.zeros((4, 2), np.float32)}, r"joints_mm must have shape \('any', 3\)"),
        ({"frame": "3"}, "frame must be int, got '3'"),
        ({"person": 3}, "person must be a text, got 3"),
        ({"intrinsics": np.zeros((3, 3), np.float32)}, "intrinsics must be"),
        ({"format": ""}, "format must name the skeleton of the labels, but it is empty"),
    ],
)
def test_each_broken_field_is_named(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        schema.to_dict(crop_record.SCHEMA, make()._replace(**changes))
    assert "studio/woman1/walk/000001" in str(caught.value)


def test_missing_field_is_named():
    stored = schema.to_dict(crop_record.SCHEMA, make())
    del stored["box"], stored["key"]
    with pytest.raises(ValueError, match="no field box, key"):
        schema.from_dict(crop_record.SCHEMA, stored)


def test_a_crop_may_have_3d_labels_2d_labels_both_or_none():
    points = np.zeros((4, 2), np.float32)
    none = np.zeros((0, 3), np.float32)
    for changes in (
        {"joints_px": points, "format_px": "coco_2d"},
        {"joints_px": points, "joints_mm": none, "format": "coco_2d"},
        {"joints_mm": none, "format": ""},
        {"joints_mm": np.full((4, 3), np.nan, np.float32)},
    ):
        record = make(**changes)
        assert schema.check(crop_record.SCHEMA, record) is record


def test_records_of_version_0_1_open():
    """They lack the newer fields, and call the embedded formats together "every"."""
    new = ("format_px", "clip", "frame", "person", "camera")
    fields = make(format="every")._asdict()
    stored = {name: fields[name] for name in fields.keys() - set(new)}
    record = schema.from_dict(crop_record.SCHEMA, stored)
    assert (record.clip, record.frame, record.person) == ("", -1, "")
    assert crop_record.formats(record.format) == (
        *("mh_default", "cmu_mb", "game_engine", "mixamo", "coco_body", "markers"),
    )


def test_formats_side_by_side():
    both = crop_record.beside(("coco_body", "mixamo"))
    assert crop_record.formats(both) == ("coco_body", "mixamo")
    assert crop_record.formats("") == ()
