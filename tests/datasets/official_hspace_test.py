"""HSPACE: a tiny official release comes back as it was made, and its TFRecord files are read."""

import json
import struct
from pathlib import Path

import cv2
import miniature
import numpy as np
import pytest
from tensorflow_datasets.proto import tf_example_pb2

from acae_jax.datasets.official import hspace
from acae_jax.datasets.readers import tfrecords
from acae_jax.geometry import cameras
from acae_jax.images import decoding, masks
from acae_jax.skeletons import catalogue

COUNT = 4
SIZE = (640, 480)
CAMERA = miniature.ring(1, lens=(0.0,) * 5, up="-y", size=SIZE, distance_mm=2600)[0]
WORLD_MM = miniature.people_mm(63, COUNT, people=2, up="-y")
WORLD_MM[1:3, 1] = WORLD_MM[0, 1]  # stands still for two frames
SEEN_MM = (WORLD_MM - CAMERA.position_mm) @ CAMERA.rotation.T
TRUTH = cameras.create(CAMERA.intrinsics)
RAW_NAMES = [
    *("pelv", "spin1", "spin2", "spin3", "neck", "head", "head2", "lbrow1", "lbrow2", "rbrow1"),
    *("rbrow2", "lbrow3", "rbrow3", "lcla", "lsho", "lelb", "lwri"),
    *(f"l{f}{i}" for f in ("index", "middle", "ring", "pinkie") for i in (1, 2, 3)),
    *("lthu1", "lthu2", "lthu", "rcla", "rsho", "relb", "rwri"),
    *(f"r{f}{i}" for f in ("index", "middle", "ring", "pinkie") for i in (1, 2, 3)),
    *("rthu1", "rthu2", "rthu"),
    *(f"{s}{n}" for s in "lr" for n in ("hip", "kne", "ank", "hee", "foo", "toe")),
]
JOINTS = [RAW_NAMES.index(n) for n in catalogue.dataset_skeleton("hspace").joint_names]


def labels(index: int) -> np.ndarray:
    """The first person has 2 and 1, the second 4, and there is a speck of 4 in a corner."""
    first, second = (miniature.mask(TRUTH, mm, SIZE) for mm in SEEN_MM[index])
    result = np.where(second, 4, np.where(first, 2, 0)).astype(np.uint8)
    result[::2][result[::2] == 2] = 1
    result[5:8, 5:400] = 4
    return result


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def example(index: int) -> bytes:
    k = TRUTH.intrinsics
    image = miniature.picture(TRUTH, SEEN_MM[index], SIZE)
    values = {
        "image/rgb": png(image),  # written as blue, green, red: red and blue are exchanged
        "character_masks": b"no picture" if index == COUNT - 1 else png(labels(index)),
        "camera_intrinsics": [k[0, 0], k[1, 1], k[0, 2], k[1, 2]],
        "number_of_rigged_characters": 2,
    }
    for number, joints_mm in enumerate(SEEN_MM[index]):
        values[f"RIGGED_{number}/joints_3d"] = (joints_mm / 1000).ravel()
        values[f"RIGGED_{number}/mask_id"] = 2 + 2 * number
    result = tf_example_pb2.Example()  # pyright: ignore[reportAttributeAccessIssue]
    for name, value in values.items():
        feature = result.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.float_list.value.extend(value)
    return result.SerializeToString()


def record(content: bytes) -> bytes:
    """A TFRecord; nobody looks at the checksum of the content."""
    return (
        struct.pack("<Q", len(content))
        + struct.pack("<I", masked_crc(struct.pack("<Q", len(content))))
        + content
        + b"\0\0\0\0"
    )


def masked_crc(data: bytes) -> int:
    """By polynomial division of the bits, last bit first."""
    rest, polynomial = 2**32 - 1, int(f"{0x11EDC6F41:033b}"[::-1], 2) >> 1
    rest ^= int.from_bytes(data, "little") % 2**32
    for at in range(8 * len(data)):
        rest = rest // 2 ^ (polynomial if rest % 2 else 0)
        rest ^= (int.from_bytes(data, "little") >> (32 + at) & 1) << 31
    crc = rest ^ (2**32 - 1)
    return ((crc // 2**15 + (crc % 2**15) * 2**17) + 0xA282EAD8) % 2**32


def write_release(raw: Path) -> None:
    path = raw / "2021_01/train/task_00_of_51.tfrecord"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(record(example(index)) for index in range(COUNT)))


def test_people_come_back(raw):
    ((name, found),) = miniature.frames(hspace, raw).items()
    assert name == "task_00_of_51.tfrecord"
    assert [[p.id for p in frame.people] for frame in found] == [["0", "1"], ["0"], ["0"], []]
    for index, frame in enumerate(found[:-1]):
        assert frame.camera is not None and frame.up == (0, -1, 0)
        miniature.assert_same_camera(frame.camera, TRUTH, SEEN_MM)
        shown = miniature.picture(TRUTH, SEEN_MM[index], SIZE)
        np.testing.assert_array_equal(miniature.image_of(frame), shown)
        for person in frame.people:
            number = int(person.id)
            miniature.assert_joints(person.joints_mm, SEEN_MM[index, number, JOINTS])
            if number:  # the first person is hidden in part
                rows, columns = np.nonzero(miniature.mask(TRUTH, SEEN_MM[index, number], SIZE))
                expected = [columns.min() - 0.5, rows.min() - 0.5, np.ptp(columns) + 1]
                assert person.box is not None
                np.testing.assert_allclose(person.box[:3], expected, atol=3)


def test_records_show_people_in_their_colours(raw, tmp_path):
    train = miniature.build(hspace, raw, tmp_path)["train"]
    assert len(train) == 3
    for one in train:
        miniature.assert_marked(one)
        shown = masks.decode(one.mask_rle, *decoding.size(one.image)).astype(bool)
        image = decoding.decode(one.image).astype(int)
        is_person = np.zeros(image.shape[:2], bool)
        for colour in miniature.COLOURS[:2]:
            is_person |= np.abs(image - colour).max(axis=-1) < 60
        assert (is_person & shown).sum() > 0.95 * is_person.sum()  # everybody, not only oneself
    report = json.loads(next(tmp_path.glob("hspace/*/report.json")).read_text())
    # One person is hidden but for 79 px, and one frame's labels are no picture.
    assert report["total"]["left_out"] == {"broken": 1, "no box": 1}


def test_small_people_have_no_box():
    image_box = np.array([-0.5, -0.5, 640, 480])
    for width, is_found in ((99.0, False), (101.0, True)):
        box = np.array([20.0, 20, width, 300])
        seen = hspace.person_boxes.Seen(np.zeros((0, 2)), box)
        (found,) = hspace.RELEASE.boxes([seen], image_box, lambda: np.zeros((0, 5)))
        assert (found is not None) == is_found


def test_checksums_are_those_of_the_standard(tmp_path):
    # CRC-32C of "123456789" is E3069283 (RFC 3720's polynomial).
    crc = 0xE3069283
    assert tfrecords._checksum(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
    path = tmp_path / "a.tfrecord"
    path.write_bytes(record(b""))
    assert list(tfrecords.examples(path)) == [{}]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"no record at all", "is no TFRecord file, or damaged, at record 0"),
        (record(b"")[:7], "is no TFRecord file, or damaged, at record 0"),
        (record(b"\n\0") + record(b"abc")[:14], "is cut short in record 1"),
        (record(b"\xff\xff\xff"), "record 0 is no tf.train.Example"),
        (
            struct.pack("<QI", 1 << 40, masked_crc(struct.pack("<Q", 1 << 40))),
            "record 0 has 1099511627776 bytes, more than 268435456",
        ),
    ],
)
def test_damaged_files_are_one_line(content, error, tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=error) as caught:
        list(tfrecords.examples(path))
    assert "\n" not in str(caught.value)
