"""Several evaluations at once: each under its name, each by its own builder."""

import io

import numpy as np
import pytest
from PIL import Image

from acae_jax.benchmarks import evals
from acae_jax.training import logs
from acae_jax.training.loop import Evaluated
from acae_jax.training.state import TrainState

STATE = TrainState(np.array(2), {}, {}, ())


def png(width, height, colour):
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def own(model, dataset, factor=1):
    return lambda state: Evaluated({"error": model * factor * int(state.step)}, png(4, 3, "red"))


def other(model, words):
    """A builder that an entry names."""
    return lambda state: Evaluated({"seen": 1.0, "pck9": 2.0}, png(6, 2, "blue"), ["seen"])


def test_every_entry_is_built_and_its_scores_are_under_its_name():
    entries = {
        "one": {"dataset": "a"},
        "two": {"dataset": "b", "factor": 3},
        "words": {"builder": f"{__name__}.other", "words": ()},
    }
    scores, picture, higher = evals.build(entries, 10, own)(STATE)
    assert scores == {"one/error": 20, "two/error": 60, "words/seen": 1, "words/pck9": 2}
    assert higher == ["words/seen"]  # which says so itself: its pck9 is none
    image = Image.open(io.BytesIO(picture))
    assert image.size == (6, 8)
    below, beside = image.getpixel((0, 7)), image.getpixel((5, 0))
    assert (below, beside) == ((0, 0, 255), (255, 255, 255))


def test_one_picture_stays_as_it_is_and_directions_may_follow_names():
    joined = evals.joined({"a": Evaluated({"pck50": 1.0, "x": 2.0}, b"drawn"), "b": Evaluated({})})
    assert joined == ({"a/pck50": 1.0, "a/x": 2.0}, b"drawn", ["a/pck50"])
    assert logs.hits_by_name("a/pck50") and not logs.hits_by_name("a/x")
    assert evals.joined({}).picture is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"dataset": "a", "facter": 2},
            "unexpected keyword argument 'facter'; there are dataset, ",
        ),
        ({}, "missing a required argument: 'dataset'; there are dataset, factor"),
        (
            {"builder": "nowhere.at_all"},
            "mine.builder = 'nowhere.at_all' names no function: No module",
        ),
        ({"builder": "acae_jax.metrics.none"}, "names no function: module"),
    ],
)
def test_an_entry_at_fault_is_named(entry, message):
    with pytest.raises(ValueError, match=r"^config.evals.mine") as caught:
        evals.build({"mine": entry}, 1, own)
    assert message in str(caught.value) and "\n" not in str(caught.value)
