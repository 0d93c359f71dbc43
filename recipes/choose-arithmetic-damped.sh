#!/usr/bin/env bash
# The table "A menu with damped loops" in docs/log.md: damped loops compete for places on the menu,
# 1,500 questions learned from. SmolLM2-135M; an hour on one thread in float32. Started again, it goes on where it
# stopped.
#
#     recipes/choose-arithmetic-damped.sh [RUN] [DTYPE]
set -euo pipefail
run=${1:-runs/choose-arithmetic-damped}
dtype=${2:-float32}

skiploop menu build --level 1,2,3,4,5 --dtype "$dtype" --raced 160 --limit 1500 --size 24 \
  --max-edits 3 --anchor 0.5 --anchor 0 --memory 3 --out "$run"
skiploop train --method selector --run "$run"
skiploop evaluate --limit 3000 --k 1 --memory 3 --run "$run" \
  --policy selector,selector:30.5,selector:29,vote:5,static,shuffled
