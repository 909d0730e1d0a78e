#!/usr/bin/env bash
# The packaged model for photographs, from nothing to runs/photographs/bundle: draws people of 256 px, looks at
# them with the landmark network, trains the heads, and packs both. About an hour on 2 cores; 3 GB of disk.
# Stopped, the same command continues.
#
#     bash launch/photographs_model.sh [LANDMARKS]   LANDMARKS: weights of another size, see make_landmark_asset.py
set -euo pipefail
cd "$(dirname "$0")/.."
landmarks=()
[[ -n ${1:-} ]] && landmarks=(--landmarks "$1")
out=runs/photographs${1:+_$(basename "$1" .safetensors)}
looks=data/looks${1:+_$(basename "$1" .safetensors)}
python -m acae_jax.prepare --person_px 256 --out data/people_256
python launch/landmark_looks.py --data data/people_256 --out "$looks" "${landmarks[@]}"
python -m acae_jax.train --config "configs/estimation/photographs.py:data=$looks" --workdir "$out/heads"
python launch/photographs_model.py --run "$out/heads" --data data/people_256 --out "$out/bundle" "${landmarks[@]}"
