"""Fine-tuning on your own data, from a model that is there, beside the data that it knows.

    acae prepare --out data/embedded
    C=configs/estimation/own.py:own=data/own/mine,skeleton=data/own/mine.json
    acae train --config $C --workdir runs/own/tuned
    acae report runs/own
    acae export runs/own/tuned --to bundle --out my_model

The network keeps all its outputs, and your joints become new outputs beside them. Arguments after
the colon:

own       folder of your dataset, as `acae prepare` writes it
skeleton  file of your skeleton, or its name if the catalogue has it; several are joined by +
base      what to start from: a bundle, a run, a backbone of `acae import_weights`, or the name of a
          packaged bundle
mixture   old data beside yours: embedded, huge8, medium3, small5 or none
data      folder of the mixture's datasets
test      split of your dataset for evaluation; empty for none
steps     of training
seed      of everything random
runlocal  a few steps, to see that everything runs
"""

from ml_collections import ConfigDict

from acae_jax import config as configs
from acae_jax.estimation.model.objective import LossWeights
from acae_jax.estimation.own_data import bases
from acae_jax.skeletons import catalogue
from configs import augmentations, mixtures

# What a network predicts that begins with a backbone alone; all others predict what they did.
MIXTURE_FORMATS = {
    "embedded": ("mh_default", "cmu_mb", "game_engine", "mixamo", "coco_body", "markers"),
    "huge8": ("huge8",),
    "medium3": ("medium3",),
    "small5": ("small5",),
    "none": (),
}
GHOST_SIZE = 16
TEST_SETS = {"embedded": "embedded_test"}


def get_config(arg: str = "") -> ConfigDict:
    """All numbers of fine-tuning; the network's are those of the base."""
    arguments = configs.parse_arg(
        arg,
        own="",
        skeleton="",
        base="embedded",
        mixture="embedded",
        data="data/embedded",
        test="test",
        steps=300,
        seed=0,
        runlocal=False,
    )
    if not arguments.own or not arguments.skeleton:
        raise ValueError("own=FOLDER and skeleton=FILE must name your dataset and its skeleton")
    if arguments.mixture not in mixtures.BY_NAME:
        names = ", ".join(mixtures.BY_NAME)
        raise ValueError(f"mixture is {arguments.mixture!r}; it must be one of {names}")
    base = bases.describe(arguments.base)
    if base.is_backbone:
        base = base._replace(formats=MIXTURE_FORMATS[arguments.mixture])
    skeletons = arguments.skeleton.split("+")
    own = arguments.own if "/" in arguments.own else f"./{arguments.own}"

    config = ConfigDict()
    config.task = "acae_jax.estimation.own_data.stage.task"
    config.report = "acae_jax.estimation.own_data.report.report"
    config.export = "acae_jax.estimation.packing.runs.export"
    config.seed = arguments.seed
    config.steps = 4 if arguments.runlocal else arguments.steps
    config.loop = ConfigDict({"save_every": 100, "evaluate_every": 100, "log_every": 10})
    config.loop.evaluate_first = True  # what the base predicts, to compare with
    config.loop.devices = None  # all of them
    config.loop.best = None

    config.init = ConfigDict({"base": arguments.base, "dataset": own})
    config.init.examples = 100  # from which the first weights of new joints are learned

    config.average_decay = 0.0  # of the weights' moving average, which is then evaluated; 0: none

    config.data = ConfigDict()
    config.data.folder = arguments.data
    mixture = mixtures.BY_NAME[arguments.mixture]
    old = sum(quota for _, quota in mixture)
    # More than a third are yours, in a batch of whole ghost groups: 36 of 96, or 64 of 160.
    ours = -(-old * 8 // (5 * GHOST_SIZE)) * GHOST_SIZE - old if old else 32
    config.data.quotas = (*mixture, (own, ours))
    # Batches twice as large teach the new joints more and make the network forget less.
    config.data.quota_scale = 1 if arguments.runlocal else 2
    config.data.parts = 1
    config.data.union = bases.with_skeletons(base, skeletons)
    config.data.merge_by_name = False
    config.data.device_colour = False
    config.data.labels = "coco_2d"
    config.data.ghost_size = GHOST_SIZE
    config.data.side_px = base.side_px
    config.data.workers = 0
    config.data.in_memory = True
    config.data.augmentation = ConfigDict(augmentations.MILD._asdict())
    config.data.occluders, config.data.backgrounds = 40, 60
    config.data.occluder_folder, config.data.background_folder = "", ""

    config.model = ConfigDict(base.model)
    config.optimizer = ConfigDict({"base_rate": 2e-4, "decay": 0.0, "warmup_steps": 30})
    config.optimizer.muon_rate = None
    config.optimizer.kernel_norm = None  # kernels of bundles are scaled by norms
    times = {"absolute_from": 0.0, "teacher_from": 0.0}
    config.weights = ConfigDict({**LossWeights()._asdict(), **times})
    # Bundles have no statistics of norms, and those of few people would be worse than none.
    config.schedule = ConfigDict({"weak_until": 0.0, "frozen_norms": not base.is_backbone})
    config.evals = ConfigDict()
    if arguments.test:
        config.evals.test = {"dataset": own, "split": arguments.test, "batch_size": 60}
        config.evals.test.formats = tuple(catalogue.load(name).name for name in skeletons)
        config.evals.test.in_memory = True
    if arguments.mixture in TEST_SETS:
        config.evals.others = {"dataset": TEST_SETS[arguments.mixture], "split": "test"}
        config.evals.others.batch_size, config.evals.others.in_memory = 60, True
        config.evals.others.formats = tuple(n for n in base.formats if n in catalogue.formats())
    return config
