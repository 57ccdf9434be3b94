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
# The playground is tested in a browser; without one those tests are left out, or fail where MGIMM_NEED_BROWSER is set.
if ! command -v chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null ||
        echo "test: Chromium could not be installed, which the playground's browser tests need" >&2
fi
# shellcheck disable=SC1091
source "$environment/bin/activate"

if [ $# -eq 0 ] && [ ${#setup[@]} -eq 0 ]; then
    ruff check .
    ruff format --check .
    mypy
fi
# Two workers, one thread each: the models are tiny, and threads only get in each other's way.
export OMP_NUM_THREADS=1
python -m pytest -n "${PYTEST_WORKERS:-2}" --dist loadfile "$@"
if [ $# -eq 0 ] && [ ${#setup[@]} -eq 0 ]; then
    # Beside the environment, not in it: where it is found, PEFT imports it, and with it torch's compiler, at each start.
    python -m pip install --quiet --no-deps --upgrade --target "$environment/beside" bitsandbytes
    PYTHONPATH="$environment/beside" python -m pytest -q tests/model/test_placement.py -k quantized
fi
