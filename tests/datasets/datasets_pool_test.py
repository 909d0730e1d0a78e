"""Work of several processes ends with its first error."""

import time

import pytest

from acae_jax.datasets import pool


def wait_or_fail(number: int) -> None:
    if number == 0:
        raise ValueError("the first")
    deadline = time.monotonic() + 60
    while not pool.is_stopped():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_first_error_stops_other_workers():
    start = time.monotonic()
    with pytest.raises(ValueError, match="the first"):
        list(pool.run(wait_or_fail, [(0,), (1,)], workers=2))
    assert time.monotonic() - start < 50


def test_nothing_to_do_starts_nobody():
    assert list(pool.run(wait_or_fail, [], workers=None)) == []
    with pytest.raises(ValueError, match="--workers must be at least 1, got 0"):
        list(pool.run(wait_or_fail, [(1,)], workers=0))
