#!/usr/bin/env bash
# The batch script of slurm.py, which sets ACAE_…: trains on all nodes of the job. If training
# was stopped and has saved (exit code 143), at the time limit or by preemption, the job goes back into the queue.
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"

allowed=${ACAE_REQUEUES:?is set by launch/slurm.py, which submits this script}
done_before=${SLURM_RESTART_COUNT:-0}
if ((done_before > allowed)); then
    echo "This would be run $((done_before + 1)), but $((allowed + 1)) were paid for; submit again to continue." >&2
    exit 1
fi

if [[ -n ${ACAE_DEVICES:-} ]]; then # one process drives all GPUs of its node
    JAX_LOCAL_DEVICE_IDS=$(seq --separator=, 0 "$((ACAE_DEVICES - 1))")
    export JAX_LOCAL_DEVICE_IDS
fi

# A signal to this script must not end it before srun's processes have saved; a trap waits, "ignore" would be inherited.
trap : TERM

# When one process ends, the others have a minute: time enough to save, and an end where one has crashed.
code=0
srun --wait=60 --kill-on-bad-exit=0 --gpu-bind=none "$ACAE_PYTHON" -m acae_jax.train --distributed "$@" || code=$?

# scancel sends SIGTERM as well, but then the job is no longer running, and must not come back.
if ((code == 143)) && [[ $(scontrol show job --oneliner "$SLURM_JOB_ID") == *JobState=RUNNING* ]]; then
    if ((done_before < allowed)); then
        echo "Stopped and saved; requeued ($((done_before + 1)) of at most $allowed times)."
        scontrol requeue "$SLURM_JOB_ID"
    else
        echo "Stopped and saved after $((allowed + 1)) runs; submit again to continue." >&2
    fi
fi
exit "$code"
