#!/usr/bin/env bash
# Image stage: whole images are described under the guidance of their regions; LoRA on the LLM, or all of it.
#
#   bash scripts/finetune_image.sh                         the bundled sample, from the checkpoint of finetune_region.sh
#   DATA_PATH=idd.jsonl REGION_DATA_PATH=rsvg.jsonl IMAGE_FOLDER=images MODEL=runs/mgimm-region NPROC=4 \
#       bash scripts/finetune_image.sh
#   ... bash scripts/finetune_image.sh --lora_enable False     the whole LLM instead of LoRA
#
# Environment: DATA_PATH and REGION_DATA_PATH (replayed, so that region questions stay answered): each a file, or several
# separated by spaces; IMAGE_FOLDER, MODEL (a region checkpoint), VISION_TOWER (where its tower is now, if it was moved),
# OUTPUT_DIR, and NPROC, NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT, DEEPSPEED as in finetune_region.sh. Trailing --flags
# are passed on and win.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
show_help "$@"

common=(--stage image --lr_scheduler_type cosine --warmup_steps 0.03 --weight_decay 0 --save_total_limit 2
    --group_by_modality_length True)
[ -z "${VISION_TOWER:-}" ] || common+=(--vision_tower "$VISION_TOWER")

if [ -n "${DATA_PATH:-}" ]; then
    # The paper's settings (4 GPUs x 1 x 4).
    replay=()
    if [ -n "${REGION_DATA_PATH:-}" ]; then
        files_of "$REGION_DATA_PATH"
        replay=(--region_data_path "${files[@]}")
    fi
    files_of "$DATA_PATH"
    choose_precision
    train "${common[@]}" "${replay[@]}" \
        --model_name_or_path "${MODEL:-runs/mgimm-region}" \
        --data_path "${files[@]}" --image_folder "${IMAGE_FOLDER:-.}" \
        --output_dir "${OUTPUT_DIR:-runs/mgimm-image}" \
        --lora_r 16 --lora_alpha 256 --lora_dropout 0.05 \
        --per_device_train_batch_size 1 --gradient_accumulation_steps 4 --num_train_epochs 5 \
        --learning_rate 2e-5 --mm_projector_lr 2e-6 \
        "${precision[@]}" --gradient_checkpointing True --model_max_length 2048 \
        --save_strategy epoch --logging_steps 10 --dataloader_num_workers 4 "$@"
else
    make_sample
    use_one_gpu
    train "${common[@]}" \
        --model_name_or_path "${MODEL:-runs/sample-region}" \
        --data_path "$SAMPLE/train/image.jsonl" --region_data_path "$SAMPLE/train/region.jsonl" \
        --image_folder "$SAMPLE/train" \
        --output_dir "${OUTPUT_DIR:-runs/sample-image}" \
        --lora_r 16 --lora_alpha 64 --lora_dropout 0.0 \
        --per_device_train_batch_size 16 --num_train_epochs 1 --learning_rate 2e-3 \
        --model_max_length 768 \
        --save_strategy epoch --logging_steps 20 "$@"
fi
