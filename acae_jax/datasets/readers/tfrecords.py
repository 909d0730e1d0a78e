"""TFRecord files of tf.train.Example, record by record and without TensorFlow.

A record is its length (8 bytes), the length's checksum (4), the content, and its checksum (4). That
of the length is checked: it tells a file that is damaged or cut short from a long record. The
content is not: what is wrong in it shows when it is parsed and decoded.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import message
from tensorflow_datasets.proto import tf_example_pb2 as tf_example

LONGEST = 256 << 20  # bytes of a record


def examples(path: str | Path) -> Iterator[dict[str, Any]]:
    """The examples of a file: numbers as int64 or float32 arrays and bytes as lists, by name.

    Raises FileNotFoundError; ValueError, in one line, if the file is damaged or cut short.
    """
    with Path(path).open("rb") as file:
        number = 0
        while header := file.read(12):
            length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else 0
            if len(header) < 12 or struct.unpack("<I", header[8:])[0] != _checksum(header[:8]):
                raise ValueError(f"{path} is no TFRecord file, or damaged, at record {number}")
            if length > LONGEST:
                raise ValueError(f"{path}: record {number} has {length} bytes, more than {LONGEST}")
            content = file.read(length + 4)
            if len(content) < length + 4:
                raise ValueError(f"{path} is cut short in record {number}")
            yield _parsed(content[:length], f"{path}: record {number}")
            number += 1


def _parsed(content: bytes, where: str) -> dict[str, Any]:
    try:
        # pyright does not see what protobuf makes when it runs.
        example = tf_example.Example.FromString(content)  # pyright: ignore[reportAttributeAccessIssue]
    except message.DecodeError as error:
        raise ValueError(f"{where} is no tf.train.Example") from error
    return {name: _plain(feature) for name, feature in example.features.feature.items()}


def _plain(feature: Any) -> Any:
    if feature.HasField("bytes_list"):
        return list(feature.bytes_list.value)
    if feature.HasField("float_list"):
        return np.array(feature.float_list.value, np.float32)
    return np.array(feature.int64_list.value, np.int64)


def _checksum(data: bytes) -> int:
    """CRC-32C, turned and shifted as TFRecord has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
