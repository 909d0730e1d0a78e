"""config.evals: any number of evaluations of a model during training, each with a name.

    config.evals.test = {"dataset": "embedded_test", "split": "test", "batch_size": 60}

An entry is built by the function whose dotted path is its `builder`, or by the system's builder. A
builder takes the system's description of its model and the other values of the entry. It opens the
data and returns the function from a state to an `Evaluated`, whose scores are logged as NAME/score.
"""

import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from acae_jax import systems
from acae_jax.training import logs
from acae_jax.training.loop import Evaluated
from acae_jax.training.state import TrainState

Entry = dict[str, Any]
Evaluation = Callable[[TrainState], Evaluated]
Builder = Callable[..., Evaluation]


def build(entries: Mapping[str, Entry], model: Any, own: Builder) -> Evaluation:
    """All evaluations as one function; `own` builds the entries without a builder.

    Raises ValueError naming the entry at fault.
    """
    evaluations = {}
    for name, entry in entries.items():
        settings = dict(entry)
        dotted = settings.pop("builder", "")
        builder = systems.function(dotted, f"evals.{name}.builder") if dotted else own
        try:
            check_settings(builder, settings, model)
            evaluations[name] = builder(model, **settings)
        except ValueError as error:
            raise ValueError(f"config.evals.{name}: {error}") from error

    def evaluate(state: TrainState) -> Evaluated:
        return joined({name: each(state) for name, each in evaluations.items()})

    return evaluate


def check_settings(function: Callable[..., Any], settings: Entry, *first: Any) -> None:
    """Raise ValueError unless these settings are arguments of the function, after the `first`."""
    signature = inspect.signature(function)
    try:
        signature.bind(*first, **settings)
    except TypeError as error:
        names = ", ".join(list(signature.parameters)[len(first) :])
        raise ValueError(f"{error}; there are {names}") from error


def joined(results: Mapping[str, Evaluated]) -> Evaluated:
    """Join the results of several evaluations: scores as NAME/score, pictures below each other."""
    scores, higher, pictures = {}, [], []
    for name, (own_scores, picture, own_higher) in results.items():
        scores |= {f"{name}/{score}": value for score, value in own_scores.items()}
        if own_higher is None:
            own_higher = [score for score in own_scores if logs.hits_by_name(score)]
        higher += [f"{name}/{score}" for score in own_higher]
        pictures += [picture] if picture else []
    return Evaluated(scores, _stacked(pictures), higher)


def _stacked(pictures: Sequence[bytes]) -> bytes | None:
    """One PNG of several, below each other; None if there are none."""
    if len(pictures) < 2:
        return pictures[0] if pictures else None
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    size = max(image.width for image in images), sum(image.height for image in images)
    whole, top = Image.new("RGB", size, "white"), 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    file = io.BytesIO()
    whole.save(file, "PNG")
    return file.getvalue()
