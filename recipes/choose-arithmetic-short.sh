#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-26-choosing-arithmetic-short.md, as far as it needs one run, and that of the README. SmolLM2-135M in float32; three hours on one
# thread and an hour or two for the random menu, ten minutes on a GPU. Its second column: --limit 7489. Tables before 2026-11-26 read the first
# 7,489 test questions, so the third command marks them as read, and the last one judges on others. Options after RUN go to every command.
# Started again, it goes on where it stopped.
#
#     recipes/choose-arithmetic-short.sh [RUN [--device cuda --memory 20]]
set -euo pipefail
run=${1:-runs/choose-arithmetic-short}
options=("${@:2}")

skiploop menu build --level 1,2,3,4,5 --race-questions 160 --limit 5000 --size 32 \
  --max-edits 3 --damping-anchor 0.5 --damping-anchor 0 --layer-cost 0.01 --out "$run" "${options[@]}"
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --limit 3000 --k 1 --run "$run" "${options[@]}" \
  --policy selector,selector:28.5,selector:27,selector:25.5,selector:24,vote:5,static,by-category,surface,shuffled,shuffled:open
skiploop evaluate --limit 7489 --k 1 --run "$run" "${options[@]}" --policy identity
skiploop evaluate --fresh 2000 --k 1 --run "$run" "${options[@]}" \
  --policy selector,selector:28.5,selector:25.5,vote:5,static,by-category,surface,shuffled,shuffled:open,random-menu
