#!/usr/bin/env bash
# The main job on the embedded people: datasets, three stages with and without the autoencoder, report.
# About 20 to 25 minutes on 2 cores. Run again after an interruption, it continues. RUN and DATA choose other folders.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh
ensure_environment

run=${RUN:-runs/quickstart}
data=${DATA:-data/embedded}
config=configs/estimation/embedded.py

train() { # NAME ARGUMENTS: one run of the workflow
    echo "== $1"
    python -m acae_jax.train --config "$config:run=$run,data=$data,$2" --workdir "$run/$1"
}

echo "== datasets"
python -m acae_jax.prepare --out "$data"
train initial stage=initial
train autoencoder stage=autoencoder
train separate stage=consistency,variant=separate
train regularised stage=consistency,variant=regularised
echo "== report"
python -m acae_jax.report "$run" --seconds "$SECONDS"
