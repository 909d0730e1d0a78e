"""Crops in, joints out: a network's calls in few batch sizes, drawn ahead while it computes.

A network is compiled once for each batch size that it meets, which takes seconds, so there are few:
1, 4, 16, … up to the largest allowed. However many crops there are, some batches of them are held.
"""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, UInt8

from acae_jax import cores
from acae_jax.geometry import cameras

STEP = 4


class Backend(NamedTuple):
    """How the network is best called where it runs (`tests/speed/inference.py`)."""

    call: float  # what a call costs besides its crops, in crops
    largest: int | None  # batches beyond it take longer for each crop
    at_once: int  # calls that run at the same time


CORES = cores.allowed()
# A CPU's time is the crops'. Those of larger batches leave the caches between layers, and one call
# leaves cores idle in its small layers, which another call then uses.
CPU = Backend(call=0.5, largest=4, at_once=min(8, CORES))
# They take a dozen crops of these networks in little more time than one; a second call waits.
ACCELERATOR = Backend(call=16.0, largest=None, at_once=2)

CropModel = Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]


class Crop(NamedTuple):
    """A crop camera, and the function that draws what it sees."""

    camera: cameras.Camera
    draw: Callable[[], UInt8[np.ndarray, "s s 3"]]


class Prediction(NamedTuple):
    """Joints in a crop camera's space, and the raw spread of their heat maps."""

    camera: cameras.Camera
    joints_mm: Float32[np.ndarray, "j 3"]
    spread_mm: Float32[np.ndarray, " j"]


def predict(crop_model: CropModel, crops: Iterable[Crop], largest: int) -> Iterator[Prediction]:
    """A prediction for each crop, in their order, from calls of at most `largest` crops."""
    if largest < 1:
        raise ValueError(f"internal_batch_size is {largest}; give at least 1 crop in a call")
    backend = CPU if jax.default_backend() == "cpu" else ACCELERATOR
    size_limit = min(largest, backend.largest or largest)
    begun = deque()
    with ThreadPoolExecutor(CORES) as threads, ThreadPoolExecutor(backend.at_once) as calls:
        images = _draw(crops, threads, ahead=2 * CORES)
        while some := list(itertools.islice(images, size_limit)):
            for size in sizes(len(some), size_limit, backend.call):
                part, some = some[:size], some[size:]
                begun.append(calls.submit(_call, crop_model, part, size))
                if len(begun) > backend.at_once:
                    yield from begun.popleft().result()
        for one in begun:
            yield from one.result()


@functools.lru_cache(maxsize=1024)
def sizes(count: int, largest: int, call: float) -> tuple[int, ...]:
    """The batch sizes that take the least time for `count` crops, only the last one not full.

    Of 1, 4, 16, … and `largest`; a batch of s crops takes the time of `call` + s crops.
    """
    choices = [1]
    while choices[-1] < largest:
        choices.append(min(STEP * choices[-1], largest))
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for crops in range(1, count + 1):
        ways = []
        for size in choices:
            time, rest = best[max(0, crops - size)]
            ways.append((time + call + size, (size, *rest)))
        best.append(min(ways))
    return tuple(sorted(best[count][1], reverse=True))


Drawn = tuple[cameras.Camera, np.ndarray]


def _draw(crops: Iterable[Crop], threads: ThreadPoolExecutor, ahead: int) -> Iterator[Drawn]:
    """Cameras and images; only about `ahead` crops, with the images they are from, are waiting."""
    waiting = deque()
    for crop in crops:
        waiting.append((crop.camera, threads.submit(crop.draw)))
        if len(waiting) > ahead:
            camera, image = waiting.popleft()
            yield camera, image.result()
    for camera, image in waiting:
        yield camera, image.result()


def _call(crop_model: CropModel, crops: Sequence[Drawn], size: int) -> list[Prediction]:
    """The network on some crops, filled up with copies of the last to a batch of `size`."""
    rows = [min(i, len(crops) - 1) for i in range(size)]
    images = np.stack([crops[i][1] for i in rows])
    intrinsics = np.stack([np.float32(crops[i][0].intrinsics) for i in rows])
    results = crop_model(images, intrinsics)
    joints_mm, spread_mm = (np.asarray(result)[: len(crops)] for result in results)
    crop_cameras = [camera for camera, _ in crops]
    return list(itertools.starmap(Prediction, zip(crop_cameras, joints_mm, spread_mm, strict=True)))
