#!/usr/bin/env bash
# Speed of one GPU in one command of at most 8 minutes: the recipe's training step (S on 256 px, L on 384 px)
# and inference beside torchvision's networks, and the input pipeline. device.py says what is timed.
#
#     bash tests/speed/device.sh            on a machine with a GPU and nothing else to do
#     bash tests/speed/device.sh --tiny     a rehearsal with tiny networks on any processor
#
# It needs jax with its plugin for the GPU, torch and torchvision, and this package's dependencies. PYTHON chooses
# the interpreter, TORCH_PYTHON another one for torch's parts. For a machine without a network, make a folder of
# wheels for its Python elsewhere. These are the ones that images for deep learning mostly lack:
#
#     python -m pip wheel --no-deps -w wheels ml-collections grain array_record tensorflow-datasets dm-tree \
#         immutabledict promise simple-parsing docstring-parser tensorflow-metadata googleapis-common-protos \
#         toml termcolor portpicker
#     WHEELS=wheels bash tests/speed/device.sh
#
# A part that takes longer than its share of the time is named and left out.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
python=${PYTHON:-python3}
export PYTHONPATH=$PWD:$PWD/launch${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_PREALLOCATE=false
failed=0

if [[ -n ${WHEELS:-} ]]; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl || exit 1
    export PYTHONPATH=$PYTHONPATH:$site
fi

part() { # seconds, interpreter, part, options
    local seconds=$1
    shift
    [[ ${*:3} == *--tiny* ]] && seconds=0  # no limit
    timeout "$seconds" "$1" tests/speed/device.py "${@:2}"
    local code=$?
    if ((code)); then
        failed=1
        ((code == 124)) && echo "$2: not done in $seconds s"
        ((code == 124)) || echo "$2: failed"
    fi
}

command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
part 100 "$python" train-s "$@"
part 80 "${TORCH_PYTHON:-$python}" torch-s "$@"
part 50 "$python" input "$@"
part 140 "$python" train-l "$@"
part 110 "${TORCH_PYTHON:-$python}" torch-l "$@"
exit $failed
