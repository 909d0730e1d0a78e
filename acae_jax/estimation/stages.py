"""The stage of a run, from its config, and the runs in the folder of a workflow."""

from pathlib import Path

from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax import systems
from acae_jax.estimation.model import objective
from acae_jax.skeletons.union import JointUnion

INITIAL = "acae_jax.estimation.initial.task"
AUTOENCODER = "acae_jax.estimation.autoencoder_stage.task"


def of_workflow(folder: Path) -> dict[str, ConfigDict]:
    """The runs in the folder of a workflow and their configs: stages 1 and 2, then the variants.

    Raises ValueError if there is no run of stage 1 or 3.
    """
    names = sorted(path.parent.name for path in folder.glob("*/config.json"))
    runs = {name: configs.read(folder / name) for name in names}
    if all(config.task == AUTOENCODER for config in runs.values()):
        raise ValueError(
            f"{folder} holds no run of stage 1 or 3; run: bash launch/quickstart.sh, or train one"
        )
    order = {INITIAL: 0, AUTOENCODER: 1}
    return dict(sorted(runs.items(), key=lambda run: order.get(run[1].task, 2)))


def variant_of(config: ConfigDict, union: JointUnion, folder: Path) -> objective.Variant:
    """The variant of the run in this folder: the points that its network predicts, and how they
    give joints.

    It is the result of `variant_of` in the module of the run's task builder. Raises ValueError if
    there is no such function.
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
