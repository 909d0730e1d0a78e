#!/usr/bin/env bash
# The whole check of the project: format, lint, floors, types and tests. Arguments go to pytest, such as -k autoencoder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh
ensure_environment

echo "== ruff";         ruff check . && ruff format --check .
echo "== import-linter"; lint-imports
echo "== pyright";      pyright
echo "== pytest";       python -m pytest "$@"
