"""What a run's config says of its stage, and the runs in a workflow's folder."""

from pathlib import Path

from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax import systems
from acae_jax.estimation.model import objective
from acae_jax.skeletons.union import JointUnion

INITIAL = "acae_jax.estimation.initial.task"
AUTOENCODER = "acae_jax.estimation.autoencoder_stage.task"


def of_workflow(folder: Path) -> dict[str, ConfigDict]:
    """The runs in a workflow's folder with their configs, stage 1 and 2 before the variants."""
    names = sorted(path.parent.name for path in folder.glob("*/config.json"))
    runs = {name: configs.read(folder / name) for name in names}
    if all(config.task == AUTOENCODER for config in runs.values()):
        raise ValueError(
            f"{folder} holds no run of stage 1 or 3; run: bash launch/quickstart.sh, or train one"
        )
    order = {INITIAL: 0, AUTOENCODER: 1}
    return dict(sorted(runs.items(), key=lambda run: order.get(run[1].task, 2)))


def variant_of(config: ConfigDict, union: JointUnion, folder: Path) -> objective.Variant:
    """What the network of the run in this folder predicts and how joints are read out of it, as
    `variant_of` says, which stands beside the run's task builder; a ValueError if there is none.
    """
    module = config.task.rpartition(".")[0]
    try:
        variant = systems.function(f"{module}.variant_of", "task")
    except ValueError:
        raise ValueError(
            f"{folder}: {config.task} does not say what its network predicts. Define "
            f"{module}.variant_of(config, union, workdir), or import it there from "
            "acae_jax.estimation.initial or .consistency"
        ) from None
    return variant(config, union, folder)
