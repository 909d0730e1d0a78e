"""The published recipe: 28 datasets with 3D labels and 4 with 2D labels, 555 joints.

    C=configs/estimation/dozens.py
    python -m acae_jax.train --config $C:stage=initial --workdir runs/dozens/initial
    python -m acae_jax.train --config $C:stage=autoencoder --workdir runs/dozens/autoencoder
    python -m acae_jax.train --config $C:stage=consistency --workdir runs/dozens/regularised

Arguments after the colon are those of `embedded.py`; `runlocal` shrinks network and crops, so that
two steps show that everything fits together.

Numbers: Sárándi, Hermans, Leibe (WACV 2023) and the public MeTRAbs recipe. 400,000 steps of 128
crops (96 with 3D labels, 32 with 2D labels) in ghost groups of 16, 40,000 steps of fine-tuning.

More devices than 8 take every quota k times (data.quota_scale=k): each dataset's slots stay one
block and ghost groups stay 16, so that a step sees k times the crops in the same order of datasets.
For as many crops in all, and steps of AdamW that are as noisy as before, divide steps by k and
multiply optimizer.base_rate by √k (Malladi et al. 2022); nothing of this is applied by itself. On
256 chips:

    --config.data.quota_scale=32 --config.steps=12500 --config.optimizer.base_rate=1.2e-3
    --config.optimizer.warmup_steps=500

`launch/plan.py` tells what such a run costs.
"""

from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.data.examples import Augmentation
from acae_jax.estimation.model.objective import LossWeights
from configs import mixtures

TASKS = {
    "initial": "acae_jax.estimation.initial.task",
    "autoencoder": "acae_jax.estimation.autoencoder_stage.task",
    "consistency": "acae_jax.estimation.consistency.task",
}
STEPS = {"initial": 400_000, "autoencoder": 30, "consistency": 40_000}  # of the autoencoder: epochs


def get_config(arg: str = "") -> ConfigDict:
    """All numbers of the recipe; only task builders read them."""
    arguments = configs.parse_arg(
        arg,
        stage="initial",
        variant="regularised",
        run="runs/dozens",
        data="data/dozens",
        seed=0,
        runlocal=False,
    )
    if arguments.stage not in TASKS:
        raise ValueError(f"stage is {arguments.stage!r}; it must be one of {', '.join(TASKS)}")
    config = ConfigDict()
    config.task = TASKS[arguments.stage]
    config.report = "acae_jax.estimation.reporting.workflow.report"
    config.export = "acae_jax.estimation.packing.runs.export"
    config.seed = arguments.seed
    config.steps = 2 if arguments.runlocal else STEPS[arguments.stage]
    config.loop = ConfigDict({"save_every": 5000, "evaluate_every": 0, "log_every": 100})
    config.loop.devices = None  # all of them
    config.loop.best = None

    config.initial = f"{arguments.run}/initial"
    config.autoencoder = f"{arguments.run}/autoencoder"
    config.variant = arguments.variant
    # A run of stage 1 to start stage 1 from: "whole", "backbone" or "head rows" of it; or the
    # folder of a published backbone that acae_jax.import_weights wrote.
    config.init = ConfigDict({"run": "", "part": "backbone"})

    config.average_decay = 0.0  # of the weights' moving average, which is then evaluated; 0: none

    config.data = ConfigDict()
    config.data.folder = arguments.data
    config.data.quotas = mixtures.HUGE8 + mixtures.TWO_D
    config.data.quota_scale = 1  # times the quotas: more devices, same ghost groups
    config.data.parts = 1  # of a batch, computed one after another: less memory, same gradients
    config.data.union = "huge8"
    config.data.merge_by_name = False
    # Devices change the colours: a sixth less work for hosts, not one byte more for a TPU's step.
    config.data.device_colour = not arguments.runlocal
    config.data.labels = "common_2d"
    config.data.ghost_size = 16
    config.data.side_px = 96 if arguments.runlocal else 256
    config.data.workers = 0 if arguments.runlocal else 16
    config.data.in_memory = False
    config.data.augmentation = ConfigDict(Augmentation()._asdict())  # the published one
    config.data.occluders, config.data.backgrounds = 40, 60
    # Your own instead: PNG cut-outs sized for a crop of 256 px, and photographs without people.
    config.data.occluder_folder, config.data.background_folder = "", ""
    config.data.background_probabilities = ConfigDict(mixtures.BACKGROUND_PROBABILITIES)

    config.model = ConfigDict({"backbone": "efficientnetv2_s", "stride": 32, "dtype": "bfloat16"})
    config.model.depth_bins = 8
    config.model.options = ConfigDict({"pixels": "symmetric"})  # some imports need "imagenet"
    if arguments.runlocal:
        config.model.update({"backbone": "narrow", "stride": 16, "dtype": "float32"})
        config.model.options = ConfigDict({"widths": (8, 16, 16), "context": (4, 16)})
    config.optimizer = ConfigDict({"base_rate": 2.121e-4, "warmup_steps": 0})
    config.optimizer.decay = None  # 3e-3 / √steps / base_rate
    config.optimizer.muon_rate = None  # AdamW alone
    config.optimizer.kernel_norm = 20.0
    # Published: from step 5,000 and until step 500 of these many, here as shares of `config.steps`.
    late, weak = (min(1.0, step / STEPS[arguments.stage]) for step in (5000, 500))
    times = {"absolute_from": late, "teacher_from": late}
    config.weights = ConfigDict({**LossWeights()._asdict(), **times})
    config.schedule = ConfigDict({"weak_until": 0.0 if arguments.stage == "consistency" else weak})
    config.schedule.frozen_norm_last = 1 if arguments.runlocal else 1000
    # Evaluations by name, such as {"test": {"dataset": "h36m", "split": "test"}}: see
    # acae_jax/estimation/crop_evals.py.
    config.evals = ConfigDict()

    config.pseudo = ConfigDict({"datasets": ("h36m", "bml_movi")})
    config.pseudo.batch_size = 128
    config.pseudo.examples_per_dataset = 16 if arguments.runlocal else 10_000
    config.latents = ConfigDict({"sided": 20, "central": 8})
    config.autoencoder_training = ConfigDict(
        {"batch_size": 32, "learning_rate": 3e-2, "sparsity": 0.6, "projected": True}
    )
    if arguments.runlocal:
        config.pseudo.batch_size = config.autoencoder_training.batch_size = 8
    return config
