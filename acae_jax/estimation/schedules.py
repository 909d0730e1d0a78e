"""The steps at which training changes: from shares of all steps, as in configs, to step numbers.

Shares, and numbers of last steps, remain right when `config.steps` changes.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.estimation.model import objective, step

SHARES = ("absolute_from", "teacher_from")


def weights(block: ConfigDict | Mapping[str, Any], steps: int) -> objective.LossWeights:
    """The loss weights of `config.weights`; ValueError for a wrong name or share."""
    values = configs.keywords(objective.LossWeights, block, "weights")
    steps_of = {n: step_at(values[n], steps, f"weights.{n}") for n in SHARES if n in values}
    return objective.LossWeights(**{**values, **steps_of})


def schedule(block: ConfigDict | Mapping[str, Any], steps: int) -> step.Schedule:
    """The schedule of `config.schedule`; ValueError for values that do not fit the steps."""

    def of(
        *, weak_until: float, frozen_norm_last: int = 0, frozen_norms: bool = False
    ) -> step.Schedule:
        if not 0 <= frozen_norm_last < steps:
            raise ValueError(
                f"config.schedule.frozen_norm_last is {frozen_norm_last}, but there are {steps} "
                "steps, and norms must learn for at least one of them"
            )
        weak_steps = step_at(weak_until, steps, "schedule.weak_until")
        if frozen_norms:
            return step.Schedule(weak_steps, frozen_norm_from=0)
        return step.Schedule(weak_steps, steps - frozen_norm_last if frozen_norm_last else None)

    return of(**configs.keywords(of, block, "schedule"))


def step_at(share: float, steps: int, name: str) -> int:
    """The step at a share of all steps; `name` is the name of the share in the config."""
    if not 0 <= share <= 1:
        raise ValueError(f"config.{name} is {share}; it is a share of the steps, from 0 to 1")
    return int(share * steps + 1e-6)
