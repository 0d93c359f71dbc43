#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-26-choosing-words-damped.md: MultiArith and SVAMP, half of the questions for
# learning, half for judging. SmolLM2-135M in float32; three minutes on a GPU, some hours on one thread. Options after RUN go to
# every command. Started again, it goes on where it stopped.
#
#     recipes/choose-words.sh FOLDER_WITH_multiarith.jsonl_AND_svamp.jsonl [RUN [--device cuda --memory 14]]
set -euo pipefail
data=$1
run=${2:-runs/choose-words}
options=("${@:3}")
workers=${WORKERS:+--workers $WORKERS} # with WORKERS=2 two processes share what is not learning

skiploop menu build --task "mix:jsonl:$data/multiarith.jsonl+jsonl:$data/svamp.jsonl" \
  --option test=0.5 --option validation=0 \
  --race-questions 120 --limit 780 --size 16 --max-edits 2 --damping-anchor 0.5 --damping-anchor 0 --out "$run" "${options[@]}" $workers
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --limit 810 --k 1 --run "$run" "${options[@]}" $workers \
  --policy selector,selector:31,selector:29,vote:5,sample:5,static,by-category,surface,shuffled,shuffled:open,random-menu
