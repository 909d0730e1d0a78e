"""Crops in, joints out: a network's calls in few batch sizes, drawn ahead while it computes.

A network is compiled once for each batch size that it meets, which takes seconds, so there are few:
1, 4, 16, … up to the largest allowed. However many crops there are, two batches of them are held.
"""

import functools
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, UInt8

from acae_jax.geometry import cameras

STEP = 4
# What a call costs besides its crops, in crops: a CPU's time is the crops', but accelerators take
# a dozen crops of these networks in little more time than one.
CALL_ON_CPU = 0.5
CALL_ON_ACCELERATOR = 16.0
# Calls begun before the first one's result is waited for: while it runs, the next is drawn.
AHEAD = 2

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
    call = CALL_ON_CPU if jax.default_backend() == "cpu" else CALL_ON_ACCELERATOR
    begun = deque()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        drawn = _draw(crops, threads, ahead=2 * (os.cpu_count() or 1))
        while some := list(itertools.islice(drawn, largest)):
            for size in sizes(len(some), largest, call):
                part, some = some[:size], some[size:]
                begun.append(_begin(crop_model, part, size))
                if len(begun) == AHEAD:
                    yield from _finish(*begun.popleft())
        for one in begun:
            yield from _finish(*one)


@functools.lru_cache(maxsize=1024)
def sizes(count: int, largest: int, call: float) -> tuple[int, ...]:
    """The batch sizes that take the least time for `count` crops, only the last one not full.

    Of 1, 4, 16, … and `largest`; a batch of s crops takes the time of `call` + s crops.
    """
    known = [1]
    while known[-1] < largest:
        known.append(min(STEP * known[-1], largest))
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for crops in range(1, count + 1):
        ways = []
        for size in known:
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


def _begin(
    crop_model: CropModel, crops: Sequence[Drawn], size: int
) -> tuple[list[cameras.Camera], tuple[Any, Any]]:
    """Start the network on some crops, filled up with copies of the last to a batch of `size`."""
    used = [min(i, len(crops) - 1) for i in range(size)]
    images = np.stack([crops[i][1] for i in used])
    intrinsics = np.stack([np.float32(crops[i][0].intrinsics) for i in used])
    return [camera for camera, _ in crops], crop_model(images, intrinsics)


def _finish(made: list[cameras.Camera], results: tuple[Any, Any]) -> Iterator[Prediction]:
    joints_mm, spread_mm = (np.asarray(result)[: len(made)] for result in results)
    return itertools.starmap(Prediction, zip(made, joints_mm, spread_mm, strict=True))
