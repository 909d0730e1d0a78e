import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from acae_jax.data import mixture as mixtures

TABLES = runpy.run_path(str(Path(__file__).parents[2] / "configs" / "mixtures.py"))
QUOTAS = [("a", 3), ("b", 7), ("c", 5), ("d", 1)]
LENGTHS = [10, 23, 1, 100]


def create(**changes):
    given = {"quotas": QUOTAS, "lengths": LENGTHS, "seed": 5, "ghost_size": 4, **changes}
    return mixtures.create(given.pop("quotas"), given.pop("lengths"), **given)


def batch(mixture, step):
    return [mixtures.slot(mixture, step, s) for s in range(mixture.batch_size)]


def test_quotas_are_exact_and_in_table_order_in_each_of_1000_batches():
    mixture = create()
    want = [0] * 3 + [1] * 7 + [2] * 5 + [3]
    for step in range(1000):
        assert [slot.dataset for slot in batch(mixture, step)] == want


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 63, 64, 65, 1000, 5000])
def test_every_record_comes_once_an_epoch(length):
    mixture = create(quotas=[("a", 4)], lengths=[length])
    steps = -(-3 * length // 4)
    stream = [slot for step in range(steps) for slot in batch(mixture, step)][: 3 * length]
    for epoch in range(3):
        part = stream[epoch * length : (epoch + 1) * length]
        assert {slot.epoch for slot in part} == {epoch}
        assert sorted(slot.index for slot in part) == list(range(length))
    if length > 60:
        orders = {tuple(slot.index for slot in stream[e * length :][:length]) for e in range(3)}
        assert len(orders) == 3


def test_a_slot_is_a_pure_function_of_seed_step_and_slot():
    mixture, again, other = create(), create(), create(seed=6)
    asked = [(t, s) for t in range(50) for s in range(16)]
    forwards = [mixtures.slot(mixture, t, s) for t, s in asked]
    backwards = [mixtures.slot(again, t, s) for t, s in reversed(asked)]
    assert forwards == backwards[::-1]
    assert forwards != [mixtures.slot(other, t, s) for t, s in asked]


def test_a_stream_does_not_depend_on_the_other_datasets():
    alone = create(quotas=[("b", 8)], lengths=[23])
    beside = create(quotas=[("x", 8), ("b", 8)], lengths=[5, 23])
    for step in range(20):
        assert [s.index for s in batch(alone, step)] == [s.index for s in batch(beside, step)[8:]]


@pytest.mark.parametrize("length", [5, 10, 70])
def test_permutations_are_uniform_over_places_and_neighbours(length):
    trials = 2000
    firsts, steps = Counter(), Counter()
    for seed in range(trials):
        keys = mixtures._round_keys(seed, "a", 0)
        first, second = (mixtures._permuted(place, length, keys) for place in (0, 1))
        firsts[first] += 1
        steps[(second - first) % length] += 1
    for counts, cells in ((firsts, length), (steps, length - 1)):
        expected = trials / cells
        chi2 = sum((counts[i] - expected) ** 2 / expected for i in range(length) if counts[i])
        assert len(counts) == cells
        assert chi2 < cells + 5 * np.sqrt(2 * cells)


def test_a_far_step_costs_no_more_than_the_first():
    mixture = create(lengths=[10**6, 10**7, 3, 10**9])
    assert 0 <= mixtures.slot(mixture, 10**12, 15).index < 10**9


def test_hosts_cover_the_batch_in_order():
    mixture = create()
    parts = [mixtures.slots_of_host(mixture, host, 4) for host in range(4)]
    assert [slot for part in parts for slot in part] == list(range(16))
    with pytest.raises(ValueError, match="multiple of the number of hosts"):
        mixtures.slots_of_host(mixture, 0, 3)


def test_scale_multiplies_every_quota():
    assert create(scale=3, devices=3).quotas == (9, 21, 15, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ghost_size": 5}, "sum to 16 slots, which is not 1 device.* groups of 5"),
        ({"devices": 3}, "3 device"),
        ({"quotas": [("a", 3), ("b", 0), ("c", 5), ("d", 1)]}, "quota of 'b' must be positive"),
        ({"quotas": [("a", 3), ("b", 7), ("c", 5), ("a", 1)]}, "'a' stands twice"),
        ({"lengths": [10, 0, 1, 100]}, "dataset 'b' is empty"),
        ({"lengths": [10]}, "4 datasets but 1 lengths"),
        ({"quotas": [], "lengths": []}, "table is empty"),
        ({"scale": 0}, "must be positive"),
    ],
)
def test_bad_tables_are_named(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        create(**changes)
    assert "\n" not in str(caught.value)


def test_slots_outside_the_batch_do_not_exist():
    with pytest.raises(IndexError, match="a batch has 16 slots"):
        mixtures.slot(create(), 0, 16)


@pytest.mark.parametrize(("name", "datasets"), [("HUGE8", 28), ("MEDIUM3", 14), ("SMALL5", 3)])
def test_published_tables_sum_to_96_and_32(name, datasets):
    assert len(TABLES[name]) == datasets
    assert sum(quota for _, quota in TABLES[name]) == 96
    assert sum(quota for _, quota in TABLES["TWO_D"]) == 32


def test_ghost_groups_of_the_28_datasets_see_few_domains():
    table = TABLES["HUGE8"] + TABLES["TWO_D"]
    mixture = mixtures.create(table, [50] * 32, seed=0, ghost_size=16)
    names = [mixture.names[slot.dataset] for slot in batch(mixture, 3)]
    groups = [set(names[i : i + 16]) for i in range(0, 128, 16)]
    assert [len(group) for group in groups[:6]] == [4, 4, 5, 5, 7, 7]
    assert groups[6:] == [{"mpii", "coco"}, {"jrdb", "posetrack"}]
