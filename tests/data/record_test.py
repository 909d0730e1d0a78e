import cv2
import numpy as np
import pytest

from acae_jax.data import record as records


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
    return records.Record(**{**fields, **changes})


def test_dict_round_trip_with_text_as_bytes():
    record = make()
    stored = records.to_dict(record)
    stored["format"], stored["key"] = record.format.encode(), record.key.encode()
    again = records.from_dict(stored)
    for have, want in zip(again, record, strict=True):
        np.testing.assert_array_equal(have, want)


def test_features_hold_exactly_the_fields():
    assert set(records.features()) == set(records.Record._fields)
    assert records.features()["joints_mm"].np_dtype == np.float32


def test_features_encode_and_decode_a_record():
    features = records.features()
    encoded = features.encode_example(records.to_dict(make()))
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
        ({"joints_mm": np.full((4, 3), np.nan, np.float32)}, "must hold labels"),
        ({"joints_px": np.zeros((4, 2), np.float32)}, "must hold labels"),
        ({"intrinsics": np.zeros((3, 3), np.float32)}, "intrinsics must be"),
        ({"format": ""}, "format must be a non-empty text"),
    ],
)
def test_each_broken_field_is_named(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        records.to_dict(make()._replace(**changes))
    assert "studio/woman1/walk/000001" in str(caught.value)


def test_missing_field_is_named():
    stored = records.to_dict(make())
    del stored["box"], stored["key"]
    with pytest.raises(ValueError, match="no field box, key"):
        records.from_dict(stored)
