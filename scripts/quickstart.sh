#!/usr/bin/env bash
# Everything from a fresh clone, on a CPU: environment, sample, both tuning stages with the small bases, evaluation.
#
#   bash scripts/quickstart.sh
#
# Writes runs/quickstart/ with region/ and image/ (checkpoints), predictions.jsonl, metrics.json and report.html.
# Interrupted, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
source scripts/common.sh

RUN=runs/quickstart
step() { printf '\n== %s\n' "$1"; }

step "1/5 the bundled model, asked about a drawn scene and two boxes in it"
mgimm describe "$PLAYGROUND/examples/images/000000.jpg" --model "$PLAYGROUND/mgimm-mini"
mgimm describe "$PLAYGROUND/examples/images/000000.jpg" --model "$PLAYGROUND/mgimm-mini" --box 9,39,49,80 --box 150,14,216,80
step "2/5 the sample: scenes drawn from a seed"
make_sample
step "3/5 region stage: the region interactive module and the projector; the language model is frozen"
OUTPUT_DIR="$RUN/region" bash scripts/finetune_region.sh
step "4/5 image stage: whole images, guided by their regions; LoRA"
MODEL="$RUN/region" OUTPUT_DIR="$RUN/image" bash scripts/finetune_image.sh
step "5/5 evaluation on scenes not trained on, beside the same boxes on a blank image"
python -m mgimm_plugin.evaluate.two_stages --region "$RUN/region" --image "$RUN/image" --data "$SAMPLE/test" --output "$RUN"

step "done"
echo "scores   $RUN/metrics.json"
echo "answers  $RUN/predictions.jsonl"
echo "report   $RUN/report.html"
echo "try      mgimm describe $PLAYGROUND/examples/images/000000.jpg --model $RUN/image"
