#!/usr/bin/env bash
# The whole check of the project: format, lint, floors, types and tests. Arguments go to pytest, such as -k autoencoder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh
ensure_environment

echo "== ruff";         ruff check . && ruff format --check .
echo "== import-linter"; lint-imports
echo "== pyright";      pyright
echo "== pytest"
# Two processes, each with whole files: a file's tests share what its fixtures made.
python -m pytest --numprocesses 2 --dist loadfile "$@"
