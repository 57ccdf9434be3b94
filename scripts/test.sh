#!/usr/bin/env bash
# Everything from a fresh clone: the environment, then lint, types and the whole test suite.
#
#   bash scripts/test.sh                 on the newest libraries that the declared ranges allow
#   bash scripts/test.sh --oldest        on the declared oldest versions
#   bash scripts/test.sh tests/model     arguments go to pytest; lint and types are left out then
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"

setup=()
environment="${VIRTUAL_ENV:-.venv}"
if [ "${1:-}" = --oldest ]; then
    shift
    setup=(--oldest)
    environment=.venv-oldest
fi
bash scripts/setup.sh "${setup[@]}"
# shellcheck disable=SC1091
source "$environment/bin/activate"

if [ $# -eq 0 ] && [ ${#setup[@]} -eq 0 ]; then
    ruff check .
    ruff format --check .
    mypy
fi
# Two workers, one thread each: the models are tiny, and threads only get in each other's way.
OMP_NUM_THREADS=1 python -m pytest -n "${PYTEST_WORKERS:-2}" --dist loadfile "$@"
