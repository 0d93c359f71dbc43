#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-28-choosing-arithmetic-scaled.md: SmolLM2-135M in float32, eight programs that scale layers. An hour on one thread, less on a GPU. All test questions were read by
# tables before, so it is judged on questions of validation: the first 500, which other evaluations had read, are passed over. Options after RUN go to every command. Started
# again, it goes on where it stopped.
#
#     recipes/choose-arithmetic-scaled.sh [RUN [--device cuda --memory 20]]
set -euo pipefail
run=${1:-runs/choose-arithmetic-scaled}
options=("${@:2}")
workers=${WORKERS:+--workers $WORKERS} # with WORKERS=2 two processes share what is not learning

skiploop menu build --level 1,2,3,4,5 --limit 4000 --scaled 8 --max-edits 0 --size 9 --out "$run" "${options[@]}" $workers
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --split validation --limit 500 --k 1 --run "$run" "${options[@]}" $workers --policy identity
skiploop evaluate --split validation --fresh 1665 --k 1 --run "$run" "${options[@]}" $workers \
  --policy selector,static,by-category,surface,shuffled,shuffled:open
