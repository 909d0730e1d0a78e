# shellcheck shell=bash
# Sourced by the scripts beside it: makes .venv once, installs the package and its tools into it, and activates it.
# An environment that is already active (VIRTUAL_ENV) is used as it is. Set PYTHON to choose the interpreter.

# Large pages for what glibc allocates: a training step on the CPU spends a fifth of its time on page faults otherwise.
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}

usable_python() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not sys.version_info >= (3, 11))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3.14 python3.13 python3.12 python3.11 python3 python; do
        if usable_python "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "acae_jax needs Python 3.11 to 3.14 with venv (Debian: apt-get install python3-venv);" \
        "set PYTHON=/path/to/python if it is not on PATH." >&2
    return 1
}

ensure_environment() {
    if [[ -z ${VIRTUAL_ENV:-} ]]; then
        if [[ ! -x .venv/bin/python ]]; then
            local interpreter
            interpreter=$(find_python)
            echo "Creating .venv with $interpreter"
            "$interpreter" -m venv .venv
        fi
        # shellcheck disable=SC1091
        source .venv/bin/activate
    fi
    local wanted stamp="$VIRTUAL_ENV/.acae_jax_installed"
    wanted="$PWD $(cat setup.cfg pyproject.toml constraints.txt | cksum)"
    if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
        echo "Installing acae_jax and its dependencies into $VIRTUAL_ENV (about a minute, about 1 GB)"
        python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt || {
            echo "The installation failed: pip needs a package index and about 1 GB of free disk." >&2
            return 1
        }
        echo "$wanted" > "$stamp"
    fi
}
