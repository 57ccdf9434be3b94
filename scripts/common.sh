# Sourced by the scripts beside it: the environment, the bundled sample, and how training is launched.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PLAYGROUND="$ROOT/playground"
SAMPLE="${SAMPLE:-$ROOT/runs/sample}"

# Use the active virtual environment, else the one that scripts/setup.sh builds.
if [ -z "${VIRTUAL_ENV:-}" ] && [ -f "$ROOT/.venv/bin/activate" ]; then
    # shellcheck disable=SC1091
    source "$ROOT/.venv/bin/activate"
fi

# show_help ARGS...: what the script says of itself, and all flags, where one of ARGS asks for it; nothing is made then.
show_help() {
    local word
    for word in "$@"; do
        if [ "$word" = --help ] || [ "$word" = -h ]; then
            sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
            echo
            python -m mgimm_plugin.train --help
            exit
        fi
    done
}

# The bundled sample is a seed: scenes are drawn the first time they are needed.
make_sample() {
    if [ ! -f "$SAMPLE/test/image.jsonl" ]; then
        mgimm scenes --count "${SAMPLE_TRAIN:-800}" --seed 101 --output "$SAMPLE/train"
        mgimm scenes --count "${SAMPLE_TEST:-60}" --seed 102 --output "$SAMPLE/test"
    fi
}

# One process sees one GPU, the first that CUDA_VISIBLE_DEVICES lists, or of all: for what needs no more.
use_one_gpu() {
    local visible="${CUDA_VISIBLE_DEVICES-0}"
    [ "${NPROC:-1}" -gt 1 ] || export CUDA_VISIBLE_DEVICES="${visible%%,*}"
}

# tower_of MODEL DEFAULT: the array `tower`, VISION_TOWER or the default; a checkpoint with a tower of its own brings that.
tower_of() {
    tower=()
    if [ -n "${VISION_TOWER:-}" ] || ! grep -qs '"mm_vision_tower"' "$1/config.json"; then
        tower=(--vision_tower "${VISION_TOWER:-$2}")
    fi
}

# files_of TEXT: the array `files`, one file whose name may hold spaces, or several separated by spaces; each may end in @WEIGHT.
files_of() {
    if [ -e "$1" ] || [ -e "${1%@*}" ]; then
        files=("$1")
    else
        # shellcheck disable=SC2206 - split, and patterns expanded
        files=($1)
    fi
}

# The array `precision`: bfloat16 and TF32 where the GPU has them (Ampere and later).
choose_precision() {
    local ampere="import torch; raise SystemExit(not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 0))"
    local has=False
    python -c "$ampere" && has=True
    precision=(--bf16 "$has" --tf32 "$has")
}

# launch MODULE ARGS...: one process, or torchrun when NPROC or NNODES say so.
launch() {
    local nodes=(--standalone)
    if [ "${NNODES:-1}" -gt 1 ]; then
        nodes=(--nnodes "$NNODES" --node_rank "${NODE_RANK:?each node needs its own, from 0}"
            --master_addr "${MASTER_ADDR:?the host of node 0}" --master_port "${MASTER_PORT:-29500}")
    elif [ "${NPROC:-1}" -eq 1 ]; then
        python -m "$@"
        return
    fi
    torchrun --nproc_per_node "${NPROC:-1}" "${nodes[@]}" -m "$@"
}

# train ARGS...: launched, with DeepSpeed where DEEPSPEED=scripts/zero2.json says so.
train() {
    local deepspeed=()
    [ -n "${DEEPSPEED:-}" ] && deepspeed=(--deepspeed "$DEEPSPEED")
    launch mgimm_plugin.train "${deepspeed[@]}" "$@"
}
