#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-26-choosing-arithmetic-damped-5000.md, as far as it needs one run. SmolLM2-135M in float32; two hours
# on one thread. Options after RUN go to every command. Started again, it goes on where it stopped.
#
#     recipes/choose-arithmetic-damped.sh [RUN [--device cuda --memory 14]]
set -euo pipefail
run=${1:-runs/choose-arithmetic-damped}
options=("${@:2}")
workers=${WORKERS:+--workers $WORKERS} # with WORKERS=2 two processes share what is not learning

skiploop menu build --level 1,2,3,4,5 --race-questions 160 --limit 5000 --size 24 \
  --max-edits 3 --damping-anchor 0.5 --damping-anchor 0 --out "$run" "${options[@]}" $workers
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --limit 3000 --k 1 --run "$run" "${options[@]}" $workers \
  --policy selector,selector:30.5,selector:29,vote:5,static,surface,shuffled,shuffled:open,random-menu
