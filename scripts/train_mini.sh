#!/usr/bin/env bash
# The bundled model from nothing: vision tower and language model without boxes, then both stages of MGIMM, then its scores.
#
#   bash scripts/train_mini.sh                              hours on a CPU; killed, it goes on where it was
#   RUN=runs/mini bash scripts/train_mini.sh --device cuda --workers 16       flags are those of scripts/mini_bases/train.py
#   NPROC=2 bash scripts/train_mini.sh                                        both stages by two processes: so was the bundle made
#
# Writes RUN/playground/; mini-clip, mini-llama, examples and mgimm-mini of it, copied over playground/, are the bundle.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/common.sh

RUN="${RUN:-runs/mini}"
export NPROC="${NPROC:-1}"
use_one_gpu
out="$RUN/playground"
mkdir -p "$out"

# timed NAME COMMAND...: for the model card.
timed() {
    local name="$1" begun=$SECONDS
    shift
    "$@"
    echo "$name $((SECONDS - begun))" >>"$RUN/seconds.txt"
}
stage() { # stage NAME ENVIRONMENT_AND_COMMAND...: unless it is complete
    [ -f "$out/$1/mgimm_complete.json" ] || timed "$1 stage" env OUTPUT_DIR="$out/$1" "${@:2}"
}

timed "scenes and bases" python -m scripts.mini_bases.train --output "$out" --cache "$RUN/bases" "$@"
[ -f "$RUN/train/dataset.json" ] || mgimm scenes --count 6000 --split train --seed 301 --output "$RUN/train"
common=(--vision_feature_cache "$RUN/features" --bf16 False --tf32 False --gradient_checkpointing False
    --dataloader_num_workers 1 --save_strategy steps --save_steps 100 --logging_steps 20 --report_to none)
stage region DATA_PATH="$RUN/train/region.jsonl" IMAGE_FOLDER="$RUN/train" MODEL="$out/mini-llama" VISION_TOWER="$out/mini-clip" \
    bash scripts/finetune_region.sh "${common[@]}" --mm_region_mlp_dim 512 \
    --per_device_train_batch_size $((32 / NPROC)) --num_train_epochs 3 --learning_rate 2e-3 --model_max_length 512
stage image DATA_PATH="$RUN/train/image.jsonl" REGION_DATA_PATH="$RUN/train/region.jsonl" IMAGE_FOLDER="$RUN/train" \
    MODEL="$out/region" bash scripts/finetune_image.sh "${common[@]}" --lora_r 16 --lora_alpha 64 --lora_dropout 0 \
    --per_device_train_batch_size $((16 / NPROC)) --gradient_accumulation_steps 1 --num_train_epochs 2 \
    --learning_rate 2e-3 --mm_projector_lr 2e-3 --model_max_length 1024
timed "scores" python -m scripts.mini_bases.bundle "$RUN"
