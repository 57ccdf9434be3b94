#!/usr/bin/env bash
# Region stage: the region interactive module and the projector learn to describe regions; LLM and vision tower are frozen.
#
#   bash scripts/finetune_region.sh                        the bundled sample with the bundled mini bases, on any machine
#   DATA_PATH=rsvg.jsonl IMAGE_FOLDER=images MODEL=lmsys/vicuna-7b-v1.5 NPROC=4 bash scripts/finetune_region.sh
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=host0 NPROC=8 DATA_PATH=... bash scripts/finetune_region.sh      and 1 on the other
#
# Environment: DATA_PATH (a file, or several separated by spaces), IMAGE_FOLDER, MODEL, VISION_TOWER, OUTPUT_DIR (on a
# file system that all nodes share), NPROC (processes of this node), NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT (29500;
# of several nodes only), DEEPSPEED (scripts/zero2.json, scripts/zero3.json). Trailing --flags are passed on and win.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
show_help "$@"

common=(--stage region --lr_scheduler_type cosine --warmup_steps 0.03 --weight_decay 0 --save_total_limit 2
    --group_by_image True)

if [ -n "${DATA_PATH:-}" ]; then
    MODEL="${MODEL:-lmsys/vicuna-7b-v1.5}"
    tower_of "$MODEL" openai/clip-vit-large-patch14-336
    files_of "$DATA_PATH"
    choose_precision
    # The paper's rates and batches (4 GPUs x 64). On other GPU counts, keep 256 boxes a step through accumulation.
    train "${common[@]}" "${tower[@]}" \
        --model_name_or_path "$MODEL" \
        --data_path "${files[@]}" --image_folder "${IMAGE_FOLDER:-.}" \
        --output_dir "${OUTPUT_DIR:-runs/mgimm-region}" \
        --per_device_train_batch_size 64 --num_train_epochs 10 --learning_rate 1e-4 \
        "${precision[@]}" --gradient_checkpointing True --model_max_length 2048 \
        --save_strategy epoch --logging_steps 10 --dataloader_num_workers 4 "$@"
else
    make_sample
    use_one_gpu
    MODEL="${MODEL:-$PLAYGROUND/mini-llama}"
    tower_of "$MODEL" "$PLAYGROUND/mini-clip"
    train "${common[@]}" "${tower[@]}" \
        --model_name_or_path "$MODEL" \
        --data_path "$SAMPLE/train/region.jsonl" --image_folder "$SAMPLE/train" \
        --output_dir "${OUTPUT_DIR:-runs/sample-region}" \
        --per_device_train_batch_size 32 --num_train_epochs 2 --learning_rate 2e-3 \
        --mm_region_mlp_dim 256 --model_max_length 512 \
        --save_strategy epoch --logging_steps 20 "$@"
fi
