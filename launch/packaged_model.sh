#!/usr/bin/env bash
# The model that comes with the package: the quickstart's network, trained for three times as many steps with augmentation
# nearer to the published one, because it is to see photographs. About 40 minutes on 2 cores; run again, it continues.
# RUN and DATA choose other folders. What it makes, $RUN/bundle, belongs into acae_jax/bundles/packaged/embedded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh
ensure_environment

run=${RUN:-runs/packaged}
data=${DATA:-data/embedded}

train() { # NAME ARGUMENTS STEPS: one run of the workflow
    echo "== $1"
    python -m acae_jax.train --config "configs/estimation/embedded.py:run=$run,data=$data,$2" --workdir "$run/$1" \
        --config.steps="$3" \
        --config.data.augmentation.{shift=0.08,zoom='(0.8,1.2)',roll=0.25,hue=0.5,contrast=0.4,saturation=0.4} \
        --config.data.augmentation.{occlusion_probability=0.25,background_probability=0.5}
}

echo "== datasets"
python -m acae_jax.prepare --out "$data"
train initial stage=initial 20000
train autoencoder stage=autoencoder 100
train regularised stage=consistency,variant=regularised 1500
echo "== bundle"
[[ -d $run/bundle ]] || python -m acae_jax.export "$run/regularised" --to bundle --weights float16 --name embedded --out "$run/bundle" \
    --licence "Apache-2.0, as acae_jax. Trained on pictures that acae_jax rendered from MakeHuman's body (CC0) and DeepMimic's motions (MIT)."
