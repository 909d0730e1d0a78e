#!/usr/bin/env bash
# The published recipe: 32 datasets from official releases, pages to look at them, and the three stages. Run again
# after an interruption, it continues. RAWS, a YAML file, names the folders of the releases (acae prepare --list).
#
#     RAWS=raws.yaml bash launch/dozens.sh     all on this machine; or with SLURM:
#     export PREPARE="--partition=cpu --cpus-per-task=16 --time=2-00:00:00" SHARES=20 RAWS=raws.yaml
#     bash launch/dozens.sh --nodes 1 --gpus-per-node 8 --hours 24 --requeues 9 --confirm 1920
#
# SLURM gets all jobs at once or none, and each waits for the one before. PREPARE has the options of sbatch for each of
# the SHARES of preparing. The options behind the script are those of launch/slurm.py, for stage 1 and again for stage
# 3; stage 2 takes one GPU for at most 4 hours. --dry-run shows the commands.
# DATA, RUN and VARIANT choose others than data/dozens, runs/dozens and regularised; MORE has more arguments of the
# config.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh
ensure_environment

raws=${RAWS:?must name a YAML file with lines such as h36m: /data/h36m}
data=${DATA:-data/dozens}
run=${RUN:-runs/dozens}
variant=${VARIANT:-regularised}
shares=${SHARES:-20}
prepare=(python -m acae_jax.prepare --all --raws "$raws" --out "$data")

arguments() { # STAGE NAME: sets `training` to the arguments of acae_jax.train
    training=(--config "configs/estimation/dozens.py:run=$run,data=$data,variant=$variant,stage=$1${MORE:+,$MORE}")
    training+=(--workdir "$run/$2")
}

here() { # STAGE NAME
    arguments "$@"
    echo "== $2"
    python -m acae_jax.train "${training[@]}"
}

if (($# == 0)); then
    echo "== datasets"
    "${prepare[@]}" --check
    here initial initial
    here autoencoder autoencoder
    here consistency "$variant"
    exit
fi

exec 3>&1 # where commands speak whose output is read
jobs=()
all_or_none() {
    local code=$?
    if ((code && ${#jobs[@]})); then
        scancel "${jobs[@]}"
    fi
    exit "$code"
}
trap all_or_none EXIT

is_dry=
[[ " $* " != *" --dry-run "* ]] || is_dry=1

submit() { # COMMAND: submits a job, adds its number to `jobs`, and sets `after` to the option that waits for it
    local said number=JOB
    said=$("$@" | tee /dev/fd/3)
    if [[ -z $is_dry ]]; then
        number=$(grep -oE '^[0-9]+' <<< "$said")
        jobs+=("$number")
    fi
    after=--dependency=afterok:$number
}

batch() { # OPTIONS: a job that prepares
    local command=(sbatch --parsable --kill-on-invalid-dep=yes "--output=$data/slurm-%j.out")
    read -ra options <<< "${PREPARE:-}"
    command+=("${options[@]}" "$@")
    if [[ -n $is_dry ]]; then
        printf '%q ' "${command[@]}"
        echo
    else
        mkdir -p "$data"
        "${command[@]}"
    fi
}

stage() { # STAGE NAME OPTIONS: a job that trains
    arguments "${@:1:2}"
    python launch/slurm.py "${@:3}" --sbatch=--parsable --sbatch=--kill-on-invalid-dep=yes --sbatch="$after,singleton" \
        -- "${training[@]}"
}

words=$(printf '%q ' "${prepare[@]}")
submit batch --job-name=acae-prepare "--array=1-$shares" --wrap="$words--shard \$SLURM_ARRAY_TASK_ID/$shares"
submit batch --job-name=acae-check "$after" --wrap="$words--check"
submit stage initial initial "$@"
submit stage autoencoder autoencoder "$@" --nodes 1 --gpus-per-node 1 --hours 4 --requeues 0 --confirm 4
submit stage consistency "$variant" "$@"
