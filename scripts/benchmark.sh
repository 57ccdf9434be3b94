#!/usr/bin/env bash
# The study of docs/benchmark.md: scenes, trials on validation, trainings, evaluations, tables and plots.
#
#   bash scripts/benchmark.sh                     small: the headline rows once, to see that everything runs
#   bash scripts/benchmark.sh --scale medium      what a CPU can do in a few hours
#   bash scripts/benchmark.sh --scale full        all rows and seeds, for a GPU
#   bash scripts/benchmark.sh --scale full --only multi_grained global --seeds 0 1 --jobs 4
#
# Tables and plots go into benchmark.md of the study's folder, runs/study-SCALE, or into another page: --docs PAGE. With
# --tables they are made of the result files that are there, and nothing is run.
# Of the GPUs, or of those that CUDA_VISIBLE_DEVICES lists, each of the --jobs takes one; more jobs than GPUs share them.
# Killed, it goes on where it was: run the same command again. --llm and --tower name the bases, --help lists the rest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/common.sh

exec python -m scripts.study.run "$@"
