#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-26-choosing-commonsense-damped.md: CommonsenseQA, half of the questions for learning,
# half for judging. SmolLM2-135M in float32; three minutes on a GPU, some hours on one thread. Options after RUN go to
# every command. Started again, it goes on where it stopped.
#
#     recipes/choose-commonsense.sh FOLDER_WITH_commonsenseqa-dev.jsonl [RUN [--device cuda --memory 14]]
set -euo pipefail
data=$1
run=${2:-runs/choose-commonsense}
options=("${@:3}")
workers=${WORKERS:+--workers $WORKERS} # with WORKERS=2 two processes share what is not learning

skiploop menu build --task "jsonl:$data/commonsenseqa-dev.jsonl" \
  --option test=0.5 --option validation=0 \
  --race-questions 120 --limit 628 --size 16 --max-edits 2 --damping-anchor 0.5 --damping-anchor 0 --out "$run" "${options[@]}" $workers
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --limit 589 --k 1 --run "$run" "${options[@]}" $workers \
  --policy selector,selector:31,selector:29,vote:5,static,surface,shuffled,shuffled:open,random-menu
