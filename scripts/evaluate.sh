#!/usr/bin/env bash
# Evaluate a checkpoint twice, with the images and with blank ones, and show both in one report.
#
#   bash scripts/evaluate.sh                                   the bundled model on the bundled sample's test scenes
#   MODEL=runs/region DATA=test.jsonl IMAGES=images OUTPUT=runs/test bash scripts/evaluate.sh --batch-size 32
#
# Environment: MODEL, BASE, DATA, IMAGES, OUTPUT, and NPROC, NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT as in
# finetune_region.sh: the processes share the records. Trailing --flags are those of `mgimm evaluate`, and go to both runs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

OUTPUT="${OUTPUT:-runs/evaluate}"
if [ -z "${DATA:-}" ]; then
    make_sample
    DATA="$SAMPLE/test/region.jsonl"
fi
options=(--data "$DATA" --images "${IMAGES:-$(dirname "$DATA")}")
[ -z "${MODEL:-}" ] || options+=(--model "$MODEL")
[ -z "${BASE:-}" ] || options+=(--base "$BASE")

launch mgimm_plugin evaluate "${options[@]}" "$@" --output "$OUTPUT/blank_image" --blank-image
launch mgimm_plugin evaluate "${options[@]}" "$@" --output "$OUTPUT/tuned" --compare "$OUTPUT/blank_image"
