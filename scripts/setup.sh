#!/usr/bin/env bash
# Builds the environment: .venv, or the active virtual environment. Run again at any time: it does nothing when nothing changed.
#   bash scripts/setup.sh            everything, extras included
#   bash scripts/setup.sh --core     the core dependencies alone
#   bash scripts/setup.sh --oldest   the oldest versions that setup.cfg declares, in .venv-oldest
#   PYTHON=python3.12 bash scripts/setup.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LLAVA="llava-torch==1.2.2.post1"
MODE=full
case "${1:-}" in
  "") ;;
  --core) MODE=core ;;
  --oldest) MODE=oldest ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.12 python3.11 python3 python}; do
    if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "setup: no Python >= 3.11 found; name one: PYTHON=/path/to/python3.11 bash scripts/setup.sh" >&2
  return 1
}

if [[ $MODE != oldest && -n "${VIRTUAL_ENV:-}" ]]; then
  ENVIRONMENT="$VIRTUAL_ENV"
else
  [[ $MODE == oldest ]] && ENVIRONMENT="$PWD/.venv-oldest" || ENVIRONMENT="$PWD/.venv"
  if [[ ! -x "$ENVIRONMENT/bin/python" ]]; then
    SYSTEM_PYTHON="$(find_python)"
    echo "setup: creating $ENVIRONMENT with $("$SYSTEM_PYTHON" --version)"
    "$SYSTEM_PYTHON" -m venv "$ENVIRONMENT"
  fi
fi
PY="$ENVIRONMENT/bin/python"
"$PY" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: $ENVIRONMENT has Python < 3.11" >&2; exit 1; }

# What is installed follows from these; the editable install itself follows the checkout.
STAMP="$ENVIRONMENT/.mgimm-setup"
STATE="$MODE $("$PY" --version) $PWD $(cat setup.cfg pyproject.toml scripts/setup.sh | "$PY" -c \
  'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')"
if [[ -f "$STAMP" && "$(cat "$STAMP")" == "$STATE" ]]; then
  echo "setup: $ENVIRONMENT is up to date"
  exit 0
fi
rm -f "$STAMP"

# The floors of setup.cfg, line by line: "name >= version, < limit" becomes "name==version.*" or "name==version".
oldest_pins() {
  "$PY" - <<'PYTHON'
import configparser
import re

settings = configparser.ConfigParser()
settings.read("setup.cfg")
groups = [settings["options"]["install_requires"]]
groups += [value for name, value in settings["options.extras_require"].items() if name != "dev"]
for line in "\n".join(groups).splitlines():
    match = re.match(r"\s*([A-Za-z0-9_.-]+)\s*>=\s*([0-9.]+)", line)
    if match:
        print(f"{match[1]}=={match[2]}.*" if match[2].count(".") < 2 else f"{match[1]}=={match[2]}")
PYTHON
}

if command -v uv >/dev/null; then
  # Unlike pip, uv leaves compiling to the first import, which may not be allowed to keep it.
  INSTALL=(uv pip install --quiet --compile-bytecode --python "$PY")
else
  "$PY" -m pip install --quiet --upgrade pip
  INSTALL=("$PY" -m pip install --quiet)
fi

echo "setup: installing the dependencies ($MODE); the first time this takes a few minutes"
case $MODE in
  core) "${INSTALL[@]}" -e . ;;
  full) "${INSTALL[@]}" -e ".[train,eval,data,geo,demo,serve,dev]" ;;
  oldest)
    CONSTRAINTS="$ENVIRONMENT/oldest.txt"
    oldest_pins > "$CONSTRAINTS"
    "${INSTALL[@]}" -e ".[train,eval,data,geo,demo,serve,dev]" -c "$CONSTRAINTS"
    ;;
esac
# Its metadata pins torch 2.0.1 and transformers 4.36.2; mgimm_patches makes it work with today's.
"${INSTALL[@]}" --no-deps "$LLAVA"

"$PY" -c 'import llava, mgimm_plugin, mgimm_patches; mgimm_plugin.register()'
GPU_PROBLEM="$("$PY" -W ignore -c 'from mgimm_plugin.model.devices import unusable_gpus; print(unusable_gpus() or "")')"
[[ -z "$GPU_PROBLEM" ]] || echo "setup: $GPU_PROBLEM"
if [[ $MODE != core ]] && ! command -v java >/dev/null; then
  echo "setup: no Java found: caption scores will be empty (Debian and Ubuntu: apt-get install default-jre-headless)"
fi
if [[ $MODE != core ]] && ! command -v chromium >/dev/null; then
  echo "setup: no Chromium found: the playground's browser tests are skipped (Debian: apt-get install chromium)"
fi
echo "$STATE" > "$STAMP"
echo "setup: done; $ENVIRONMENT/bin/mgimm --help"
