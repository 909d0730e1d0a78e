#!/usr/bin/env bash
# Every variant of the method with several seeds, and the results table of the README from them.
# Fewer steps than the quickstart's, about 15 minutes a seed on 2 cores. Run again after an interruption, it continues.
# SEEDS="0 1 2", RUNS and DATA choose other seeds and folders.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh
ensure_environment

runs=${RUNS:-runs/three_stages}
data=${DATA:-data/embedded}
config=configs/estimation/embedded.py

train() { # RUN NAME ARGUMENTS: one stage of one seed's workflow
    echo "== $1/$2"
    python -m acae_jax.train --config "$config:run=$1,data=$data,ablation,$3" --workdir "$1/$2"
}

python -m acae_jax.prepare --out "$data"
folders=()
for seed in ${SEEDS:-0 1 2}; do
    run="$runs/seed$seed"
    train "$run" initial "seed=$seed,stage=initial"
    train "$run" autoencoder "seed=$seed,stage=autoencoder"
    for variant in separate regularised latent hybrid; do
        train "$run" "$variant" "seed=$seed,stage=consistency,variant=$variant"
    done
    # The baseline with joints merged by name has no autoencoder; it is trained and fine-tuned equally long.
    train "$run/merged_stages" initial "seed=$seed,stage=initial,merged"
    train "$run/merged_stages" ../merged "seed=$seed,stage=consistency,variant=separate,merged"
    python -m acae_jax.report "$run"
    folders+=("$run")
done
python launch/results_table.py "${folders[@]}"
