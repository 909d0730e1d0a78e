"""The three stages on the embedded people: six studios, each with a skeleton format of its own.

    python -m acae_jax.prepare --out data/embedded
    C=configs/estimation/embedded.py
    python -m acae_jax.train --config $C:stage=initial --workdir runs/quickstart/initial
    python -m acae_jax.train --config $C:stage=autoencoder --workdir runs/quickstart/autoencoder
    python -m acae_jax.train --config $C:stage=consistency --workdir runs/quickstart/regularised

`launch/quickstart.sh` runs all of it in 20 to 25 minutes on 2 cores, `launch/three_stages.sh`
every variant with three seeds. Arguments after the colon:

stage     initial, autoencoder or consistency
variant   of the consistency stage: separate, regularised, latent or hybrid
run       folder of the workflow, in which stages find those before them
data      folder of the datasets
merged    joints of equal name share one output (the baseline), in the initial and last stage
seed      of everything random
ablation  fewer steps, for comparing variants over several seeds
runlocal  a few steps, to see that everything runs

The published numbers are in `dozens.py`. What differs here, for a small network that starts from
nothing: higher learning rates, Muon, heat maps that are priced themselves, milder augmentation, and
switches that come as early as the training is short.
"""

from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.estimation.model.objective import LossWeights
from configs import augmentations, mixtures

FORMATS = ("mh_default", "cmu_mb", "game_engine", "mixamo", "coco_body", "markers")
TASKS = {
    "initial": "acae_jax.estimation.initial.task",
    "autoencoder": "acae_jax.estimation.autoencoder_stage.task",
    "consistency": "acae_jax.estimation.consistency.task",
}
STEPS = {"initial": 7000, "autoencoder": 100, "consistency": 600}  # of the autoencoder: epochs
ABLATION_STEPS = {"initial": 1500, "autoencoder": 100, "consistency": 300}


def get_config(arg: str = "") -> ConfigDict:
    """All numbers of the recipe; only task builders read them."""
    arguments = configs.parse_arg(
        arg,
        stage="initial",
        variant="regularised",
        run="runs/quickstart",
        data="data/embedded",
        merged=False,
        seed=0,
        ablation=False,
        runlocal=False,
    )
    if arguments.stage not in TASKS:
        raise ValueError(f"stage is {arguments.stage!r}; it must be one of {', '.join(TASKS)}")
    config = ConfigDict()
    config.task = TASKS[arguments.stage]
    config.report = "acae_jax.estimation.reporting.workflow.report"
    config.export = "acae_jax.estimation.packing.runs.export"
    config.seed = arguments.seed
    steps = ABLATION_STEPS if arguments.ablation else STEPS
    config.steps = 4 if arguments.runlocal else steps[arguments.stage]
    config.loop = ConfigDict({"save_every": 200, "evaluate_every": 1000, "log_every": 10})
    config.loop.devices = None  # all of them
    config.loop.best = None

    config.initial = f"{arguments.run}/initial"
    config.autoencoder = f"{arguments.run}/autoencoder"
    config.variant = arguments.variant
    # A run of stage 1 to start stage 1 from: "whole", "backbone" or "head rows" of it.
    config.init = ConfigDict({"run": "", "part": "backbone"})

    config.average_decay = 0.0  # of the weights' moving average, which is then evaluated; 0: none

    config.data = ConfigDict()
    config.data.folder = arguments.data
    config.data.quotas = mixtures.EMBEDDED + mixtures.EMBEDDED_2D
    config.data.quota_scale = 1  # times the quotas: more devices, same ghost groups
    config.data.parts = 1  # of a batch, computed one after another: less memory, same gradients
    config.data.union = FORMATS
    config.data.merge_by_name = arguments.merged
    config.data.device_colour = False  # True: devices change colours, which takes work from hosts
    config.data.labels = "coco_2d"
    config.data.ghost_size = 16
    config.data.side_px = 96
    config.data.workers = 0  # a thread keeps up with two cores
    config.data.in_memory = True  # a quarter of the input's work is reading records
    config.data.augmentation = ConfigDict(augmentations.MILD._asdict())
    config.data.occluders, config.data.backgrounds = 40, 60
    # Your own instead: PNG cut-outs sized for a crop of 256 px, and photographs without people.
    config.data.occluder_folder, config.data.background_folder = "", ""

    config.model = ConfigDict({"backbone": "narrow", "stride": 16, "dtype": "float32"})
    config.model.depth_bins = 4
    config.model.options = ConfigDict(
        {"widths": (8, 16, 16), "context": (4, 16)} if arguments.runlocal else {}
    )
    config.optimizer = ConfigDict({"base_rate": 1e-2, "decay": 0.01, "warmup_steps": 50})
    config.optimizer.muon_rate = 0.08
    config.optimizer.kernel_norm = 20.0
    # All that begins later does so at a share of `config.steps`.
    times = {"absolute_from": 0.0, "teacher_from": 0.0}
    config.weights = ConfigDict({**LossWeights()._asdict(), **times})
    config.weights.heatmap = 0.2 if arguments.stage == "initial" else 0.0
    # Norms are not frozen at the end: compiling that second program costs as much as 200 steps.
    config.schedule = ConfigDict({"weak_until": 0.0, "frozen_norm_last": 0})
    if arguments.stage == "initial":
        config.weights.absolute_from = config.schedule.weak_until = min(1.0, 100 / config.steps)
    # Each evaluation has a name, which its scores begin with; an empty dataset leaves it out.
    config.evals = ConfigDict({"test": {"dataset": "embedded_test", "split": "test"}})
    config.evals.test.batch_size = 60
    config.evals.test.formats = ()  # all
    config.evals.test.in_memory = True  # 17 MB

    config.pseudo = ConfigDict({"datasets": tuple(name for name, _ in mixtures.EMBEDDED)})
    config.pseudo.batch_size = 60
    config.pseudo.examples_per_dataset = 20 if arguments.runlocal else 600
    config.latents = ConfigDict({"sided": 16, "central": 8})
    # More than the published 0.6: latent points are then points of the body. With less, some lie up
    # to a metre beside it, outside of the crop, where no heat map can show them.
    config.autoencoder_training = ConfigDict(
        {"batch_size": 32, "learning_rate": 3e-2, "sparsity": 2.0, "projected": True}
    )
    return config
