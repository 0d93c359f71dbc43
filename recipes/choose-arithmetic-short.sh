#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-27-choosing-arithmetic-8000.md, which is that of the README. SmolLM2-135M in float32; five hours on one thread, less on a GPU. Tables before
# 2026-11-27 read the first 13,215 test questions, so the third command marks them as read, and the last one judges on others. Options after RUN go to every command. Started
# again, it goes on where it stopped.
#
#     recipes/choose-arithmetic-short.sh [RUN [--device cuda --memory 20]]
set -euo pipefail
run=${1:-runs/choose-arithmetic-short}
options=("${@:2}")
workers=${WORKERS:+--workers $WORKERS} # with WORKERS=2 two processes share what is not learning

skiploop menu build --level 1,2,3,4,5 --race-questions 160 --limit 8000 --size 32 \
  --max-edits 3 --damping-anchor 0.5 --damping-anchor 0 --layer-cost 0.01 --out "$run" "${options[@]}" $workers
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --limit 13215 --k 1 --run "$run" "${options[@]}" $workers --policy identity
skiploop evaluate --fresh 3000 --k 1 --run "$run" "${options[@]}" $workers \
  --policy selector,selector:28.5,selector:27,vote:3,static,by-category,surface,shuffled,shuffled:open
