"""Whether fine-tuning on somebody's own data keeps its promise.

    python launch/own_data_test.py --data data/embedded

People of a look and a skeleton that no training set has (`launch/own_people.py`) are the user's own
data: a folder of photographs, labels and cameras, which `acae prepare` reads. The packaged bundle
is fine-tuned on some hundred of them, beside the embedded people in --data (`acae prepare` makes
them), by configs/estimation/own.py as it stands. Printed are the errors on other images: of the new
skeleton, whose first weights combine old joints as well as labels can teach it; of the formats that
the bundle has, on the embedded test set ("others"); and the disagreement of formats there. Exit
code 1 unless the first error falls by 20 % and that of no format rises by more than 3 %.

About 5 minutes on 2 cores. After an interruption, the same command continues. Arguments behind --
are changes of the config, such as --config.optimizer.base_rate=1e-4.
"""

import argparse
import sys
from pathlib import Path

import own_people

from acae_jax import config as configs
from acae_jax import prepare, train
from acae_jax.bundles import compiling
from acae_jax.estimation.own_data import report

CONFIG = "configs/estimation/own.py"
FALLS, RISES = -20.0, 3.0  # percent


def main() -> int:
    """Make the data, train, compare; the exit code."""
    flags = argparse.ArgumentParser(description="Measure fine-tuning on somebody's own data.")
    flags.add_argument("--data", type=Path, default=Path("data/embedded"))
    flags.add_argument("--out", type=Path, default=Path("runs/own_data_test"))
    flags.add_argument("--train", type=int, default=900, help="images to train on")
    flags.add_argument("--test", type=int, default=240, help="images of other takes")
    flags.add_argument("--seed", type=int, default=0)
    options, others = flags.parse_known_args()
    compiling.keep()
    own, name = options.out / "data", own_people.NAME
    path = own_people.write(options.out / "recordings", options.train, options.test, options.seed)
    if code := prepare.main([str(path), "--out", str(own)]):
        return code
    skeleton = path.parent / own_people.SKELETON
    arguments = f"own={own / name},skeleton={skeleton},data={options.data},seed={options.seed}"
    _, overrides = configs.split_overrides(others)
    train.run(configs.load(f"{CONFIG}:{arguments}", overrides), options.out / "tuned")
    print(report.report(options.out, 0.0))
    changed = report.changes(options.out / "tuned")
    new = changed[f"test/mpjpe_mm/{name}"].percent
    old = max(one.percent for score, one in changed.items() if score.startswith("others/mpjpe_mm/"))
    print(f"\nThe new skeleton: {new:+.1f} %. The old formats: {old:+.1f} % at most.")
    return 0 if new <= FALLS and old <= RISES else 1


if __name__ == "__main__":
    sys.exit(main())
