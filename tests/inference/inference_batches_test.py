"""The calls of a network: few sizes, in order, and only so many crops at a time."""

import itertools
import os
import threading

import numpy as np
import pytest

from acae_jax import cores
from acae_jax.geometry import cameras
from acae_jax.inference import batches

SIDE_PX = 4


@pytest.mark.parametrize("call", [batches.CPU.call, batches.ACCELERATOR.call])
@pytest.mark.parametrize("largest", [1, 3, 16, 64, 100])
def test_sizes_are_few_and_hold_every_crop_without_an_empty_call(call, largest):
    used = set()
    for count in range(1, largest + 1):
        sizes = batches.sizes(count, largest, call)
        used.update(sizes)
        assert sum(sizes) >= count and sum(sizes) - sizes[-1] < count
        assert list(sizes) == sorted(sizes, reverse=True)
    assert used <= {1, 4, 16, 64, largest}


def test_sizes_are_the_cheapest_of_all():
    for call, count in itertools.product((0.5, 16.0), range(1, 21)):
        sizes = batches.sizes(count, 16, call)
        cost = sum(call + size for size in sizes)
        for ones, fours, sixteens in itertools.product(range(21), range(6), range(3)):
            if ones + 4 * fours + 16 * sixteens >= count:
                others = call * (ones + fours + sixteens) + ones + 4 * fours + 16 * sixteens
                assert cost <= others + 1e-9
    assert batches.sizes(5, 64, batches.CPU.call) == (4, 1)
    assert batches.sizes(5, 64, batches.ACCELERATOR.call) == (16,)


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 70}, raising=False)
    assert cores.allowed() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores.allowed() == 128
    assert batches.CPU.at_once == min(8, batches.CORES)


def crop(number, drawn=None):
    def draw():
        if drawn is not None:
            drawn.append(number)
        return np.full((SIDE_PX, SIDE_PX, 3), number, np.uint8)

    return batches.Crop(cameras.create(np.eye(3) * (1 + number)), draw)


def model(calls):
    def crop_model(images, intrinsics):
        calls.append(len(images))
        assert images.dtype == np.uint8 and intrinsics.dtype == np.float32
        number = images[:, 0, 0, 0].astype(np.float32)
        joints = np.broadcast_to(number[:, None, None], (len(images), 2, 3))
        return joints, intrinsics[:, :2, 0]

    return crop_model


@pytest.mark.parametrize("largest", [1, 4, 7])
def test_predictions_come_in_the_order_of_the_crops(largest):
    calls = []
    found = list(batches.predict(model(calls), (crop(n) for n in range(23)), largest))
    assert [p.joints_mm[0, 0] for p in found] == list(range(23))
    assert [p.spread_mm[0] for p in found] == list(range(1, 24))
    assert [p.camera.intrinsics[0, 0] for p in found] == list(range(1, 24))
    assert max(calls) <= largest
    assert list(batches.predict(model(calls), [], largest)) == []


def test_calls_overlap_on_cpus_and_keep_their_order(monkeypatch):
    monkeypatch.setattr(batches, "CPU", batches.Backend(call=0.5, largest=2, at_once=2))
    second_began = threading.Event()

    def crop_model(images, intrinsics):
        if images[0, 0, 0, 0] == 0:
            assert second_began.wait(timeout=30)
        elif images[0, 0, 0, 0] == 2:
            second_began.set()
        return model([])(images, intrinsics)

    found = list(batches.predict(crop_model, (crop(n) for n in range(7)), 64))
    assert [p.joints_mm[0, 0] for p in found] == list(range(7))


def test_cpus_get_no_large_calls():
    calls = []
    assert len(list(batches.predict(model(calls), (crop(n) for n in range(23)), 64))) == 23
    assert set(calls) <= {1, batches.CPU.largest}


def test_only_so_many_crops_are_held():
    """However many images there are: crops are asked for as the network comes to them."""
    asked, calls = [], []
    crops = (asked.append(n) or crop(n % 256) for n in itertools.count())
    predictions = batches.predict(model(calls), crops, 16)
    for _ in range(3000):
        next(predictions)
    assert len(asked) < 3000 + 100
    predictions.close()


def test_an_error_while_drawing_is_raised():
    def fail():
        raise ValueError("no such picture")

    broken = batches.Crop(cameras.create(np.eye(3)), fail)
    with pytest.raises(ValueError, match="no such picture"):
        list(batches.predict(model([]), [crop(1), broken], 4))


def test_calls_without_room_are_refused():
    with pytest.raises(ValueError, match="internal_batch_size is 0; give at least 1"):
        list(batches.predict(model([]), [crop(1)], 0))
