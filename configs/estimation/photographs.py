"""Heads for photographs, on the frozen landmark network: see `acae_jax.estimation.photographs`.

    acae prepare --person_px 256 --out data/people_256
    python launch/landmark_looks.py --data data/people_256 --out data/looks
    acae train --config configs/estimation/photographs.py --workdir runs/photographs/heads
    python launch/photographs_model.py --run runs/photographs/heads --out runs/photographs/bundle

`launch/photographs_model.sh` runs all of it. Arguments after the colon:

data      folder of the looks
seed      of everything random
runlocal  a few steps, to see that everything runs
"""

from ml_collections import ConfigDict

from acae_jax import config as configs

FORMATS = ("mh_default", "cmu_mb", "game_engine", "mixamo", "coco_body", "markers")


def get_config(arg: str = "") -> ConfigDict:
    """All numbers of the training; only the task builder reads them."""
    arguments = configs.parse_arg(arg, data="data/looks", seed=0, runlocal=False)
    config = ConfigDict()
    config.task = "acae_jax.estimation.photographs.heads_stage.task"
    config.seed = arguments.seed
    config.steps = 4 if arguments.runlocal else 6000
    config.loop = ConfigDict({"save_every": 500, "evaluate_every": 1000, "log_every": 20})
    config.loop.devices = None  # all of them
    config.loop.best = None
    config.data = ConfigDict({"folder": arguments.data, "workers": 0})
    config.data.union = FORMATS
    config.data.quotas = tuple((f"embedded_{name}", 11) for name in FORMATS)
    config.test = "embedded_test"
    config.first_rows = 40 if arguments.runlocal else 450  # looks of a format that rows start from
    config.model = ConfigDict({"hidden": 512, "depth_bins": 8})
    config.optimizer = ConfigDict({"base_rate": 1e-3, "decay": 1e-4})
    config.weights = ConfigDict({"projected": 1.0, "pull": 0.02, "sparsity": 0.0005})
    return config
