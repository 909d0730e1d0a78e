"""Makes a landmark network's weights from a published archive; those of `full` are in the package.

    pip download --no-deps mediapipe==0.10.21
    python launch/make_landmark_asset.py mediapipe-0.10.21-*.whl full \\
        acae_jax/foreign/blazepose/full.safetensors

The other variants, lite and heavy, are in another archive; write them wherever you like:

    npm pack @mediapipe/pose@0.5.1675469404
    python launch/make_landmark_asset.py mediapipe-pose-0.5.1675469404.tgz heavy heavy.safetensors

Either reads pose_landmark_VARIANT.tflite as data: a flatbuffer with MediaPipe's float16 weights
(Apache-2.0), batch norms folded into the convolutions. They are stored unchanged under the names of
`acae_jax.models.blazepose`. The graph is not run. Takes seconds.
"""

import argparse
import hashlib
import sys
import tarfile
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flatbuffers import number_types, table
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from acae_jax import messages
from acae_jax.foreign import blazepose_weights
from acae_jax.models.blazepose import SIDE_PX, STRIDES, VARIANTS, BlazePose, Variant

# Numbers of TensorFlow Lite's schema, version 3.
IDENTIFIER = b"TFL3"
CONV, DEPTHWISE, DEQUANTIZE = 3, 4, 6
FLOAT16 = 1


class Node:
    """A table of the flatbuffer; fields are counted as in the schema."""

    def __init__(self, data: bytes, at: int):
        self._table = table.Table(data, at)

    def number(self, field: int, kind: type = number_types.Int32Flags) -> int:
        """A number; 0 where the file leaves it out."""
        at = self._table.Offset(4 + 2 * field)
        return self._table.Get(kind, self._table.Pos + at) if at else 0

    def numbers(self, field: int) -> np.ndarray:
        """A list of integers."""
        start, count = self._list(field)
        return np.frombuffer(self._table.Bytes[start : start + 4 * count], "<i4")

    def bytes(self, field: int) -> bytes:
        """A list of bytes."""
        start, count = self._list(field)
        return self._table.Bytes[start : start + count]

    def nodes(self, field: int) -> list["Node"]:
        """A list of tables."""
        start, count = self._list(field)
        places = range(start, start + 4 * count, 4)
        return [Node(self._table.Bytes, self._table.Indirect(place)) for place in places]

    def _list(self, field: int) -> tuple[int, int]:
        """Where a list begins and how many items it has."""
        at = self._table.Offset(4 + 2 * field)
        return (self._table.Vector(at), self._table.VectorLen(at)) if at else (0, 0)


def read_archive(path: Path, variant: str) -> bytes:
    """Reads the variant's .tflite file from a wheel or from an npm package."""
    name = f"pose_landmark_{variant}.tflite"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(f"/{name}"):
                    return archive.read(member)
    else:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(f"/{name}") else None
                if file is not None:
                    return file.read()
    raise ValueError(f"{path} holds no {name}: take the archive that --help names for it")


def convolutions(data: bytes) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Kind, kernel and bias of each convolution in the graph's order; kernels as stored.

    A dense kernel is (out, height, width, in), a depthwise one (1, height, width, channels).
    """
    if data[4:8] != IDENTIFIER:
        raise ValueError("the file is no TensorFlow Lite flatbuffer")
    model = Node(data, int.from_bytes(data[:4], "little"))
    # Codes below 127 stand in the field that older readers know.
    codes = [code.number(0, number_types.Int8Flags) for code in model.nodes(1)]
    (graph,) = model.nodes(2)
    buffers, tensors = model.nodes(4), graph.nodes(0)

    def array(index: int) -> np.ndarray:
        tensor = tensors[index]
        if tensor.number(1, number_types.Int8Flags) != FLOAT16:
            raise ValueError("the file's weights are not float16: take the published file")
        values = np.frombuffer(buffers[tensor.number(2)].bytes(0), "<f2")
        return values.reshape(tensor.numbers(0))

    stored, result = {}, []
    for operator in graph.nodes(3):
        kind, inputs = codes[operator.number(0)], operator.numbers(1)
        if kind == DEQUANTIZE:
            stored[operator.numbers(2)[0]] = inputs[0]
        elif kind in (CONV, DEPTHWISE):
            kernel, bias = (array(stored[index]) for index in inputs[1:])
            result.append((kind, kernel, bias))
    return result


def layer_names(variant: Variant) -> list[str]:
    """The network's convolutions in the order of the graph."""
    at_strides = {2: ["mask/skip2"], 4: ["pyramid4"], 8: ["pyramid8"], 16: ["pyramid16"]}
    if variant.second:
        at_strides[8].append("regression/skip8")
        at_strides[16].append("regression/skip16")

    names, stride = ["stem", "stem_depthwise", "stem_project"], 2
    names = [f"trunk/{name}" for name in names]
    for stage, (_, blocks) in enumerate(variant.stages):
        for block in range(blocks):
            inverted = f"trunk/stage{stage}_block{block}"
            # What else reads a stage's last map comes after the next stage's first layer.
            skips = at_strides[stride] if block == 0 and STRIDES[stage] == 2 else []
            names += [f"{inverted}/expand", *separable(*skips)]
            names += [f"{inverted}/depthwise", f"{inverted}/project"]
        stride *= STRIDES[stage]
    names += ["trunk/expand", "trunk/depthwise", *separable("pyramid32")]

    second = [
        f"regression/{level}"
        for stride, (_, blocks) in zip((8, 16, 32), variant.second, strict=False)
        for level in levels(f"second{stride}", blocks)
    ]
    names += separable(*second[:1])
    names += separable("mask/entry", *(f"mask/at{s}_block{i}" for s in (2, 1) for i in range(2)))
    names += ["mask/exit", *separable(*second[1:]), "heatmaps", *separable("regression/skip32")]
    for stride, (_, blocks) in zip((64, 128), variant.head, strict=True):
        names += separable(*(f"regression/{level}" for level in levels(f"head{stride}", blocks)))
    return [*names, "landmarks", "world", "person"]


def levels(name: str, blocks: int) -> list[str]:
    """The blocks of one level."""
    return [f"{name}/down", *(f"{name}/block{block}" for block in range(blocks))]


def separable(*names: str) -> list[str]:
    """The convolutions of these blocks."""
    return [f"{name}/{layer}" for name in names for layer in ("depthwise", "project")]


def weights(variant: str, data: bytes) -> dict[str, np.ndarray]:
    """The graph's numbers under the names of `BlazePose`, float16."""
    layers = zip(layer_names(VARIANTS[variant]), convolutions(data), strict=True)
    result = {}
    for name, (kind, kernel, bias) in layers:
        if kind == DEPTHWISE:
            result[f"{name}/conv/kernel"] = kernel.transpose(1, 2, 0, 3)
        elif name in ("landmarks", "world", "person"):  # over all cells: a matrix
            result[f"{name}/kernel"] = kernel.reshape(len(kernel), -1).T
        else:
            result[f"{name}/kernel"] = kernel.transpose(1, 2, 3, 0)
        result[f"{name}/bias"] = bias
    images = jnp.zeros((1, SIDE_PX, SIDE_PX, 3))
    params = jax.eval_shape(BlazePose(variant).init, jax.random.key(0), images)["params"]
    shapes = flatten_dict(jax.tree.map(lambda leaf: leaf.shape, params), sep="/")
    if {name: array.shape for name, array in result.items()} != shapes:
        raise ValueError("the graph's convolutions are not those of acae_jax.models.blazepose")
    return {name: np.ascontiguousarray(array) for name, array in result.items()}


def main() -> None:
    """Reads the archive and writes the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, help="the wheel or the npm package")
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("out", type=Path, help="the .safetensors file to write")
    options = parser.parse_args()
    try:
        data = read_archive(options.archive, options.variant)
        arrays = weights(options.variant, data)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {messages.one_line(error)}")
    metadata = {
        "kind": blazepose_weights.KIND,
        "variant": options.variant,
        "source": f"pose_landmark_{options.variant}.tflite of {options.archive.name}",
        "source_sha256": hashlib.sha256(data).hexdigest(),
    }
    save_file(arrays, options.out, metadata)
    count = sum(array.size for array in arrays.values())
    size = options.out.stat().st_size
    print(f"{options.out}: {count:,} parameters, {size:,} bytes")


if __name__ == "__main__":
    main()
