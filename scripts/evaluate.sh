#!/usr/bin/env bash
# Evaluate a checkpoint twice, with the images and with blank ones, and show both in one report.
#
#   bash scripts/evaluate.sh                                   the bundled model on new scenes
#   MODEL=runs/region DATA=test.jsonl IMAGES=images OUTPUT=runs/test bash scripts/evaluate.sh --batch-size 32
#
# Variables: MODEL, BASE, DATA, IMAGES, OUTPUT; SCENES and SEED for the scenes that are drawn where DATA is not set.
# Flags are those of `mgimm evaluate`, and go to both runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -z "${PYTHON:-}" ]]; then
    if [[ -z "${VIRTUAL_ENV:-}" && -x .venv/bin/python ]]; then PYTHON=.venv/bin/python; else PYTHON=python; fi
fi
export PYTHONPATH="$PWD:$PWD/patches${PYTHONPATH:+:$PYTHONPATH}"

OUTPUT="${OUTPUT:-runs/evaluate}"
if [[ -z "${DATA:-}" ]]; then
    # A seed that neither the bundled model nor the quickstart has seen.
    DATA="$OUTPUT/scenes/region.jsonl"
    [[ -f "$DATA" ]] || "$PYTHON" -m mgimm_plugin scenes --count "${SCENES:-50}" --seed "${SEED:-900001}" --output "$OUTPUT/scenes"
fi
options=(--data "$DATA" --images "${IMAGES:-$(dirname "$DATA")}")
[[ -z "${MODEL:-}" ]] || options+=(--model "$MODEL")
[[ -z "${BASE:-}" ]] || options+=(--base "$BASE")

"$PYTHON" -m mgimm_plugin evaluate "${options[@]}" "$@" --output "$OUTPUT/blank_image" --blank-image
"$PYTHON" -m mgimm_plugin evaluate "${options[@]}" "$@" --output "$OUTPUT/tuned" --compare "$OUTPUT/blank_image"
