#!/usr/bin/env bash
# The table "Choosing on five levels of arithmetic" in docs/log.md: a menu, a selector learned from it, and
# both judged on 3,000 held-out questions next to votes and controls. SmolLM2-135M in float32; 20 minutes
# on two idle cores. Started again, it goes on where it stopped.
#
#     recipes/choose-arithmetic.sh [RUN]
set -euo pipefail
run=${1:-runs/choose-arithmetic}

skiploop menu build --level 1,2,3,4,5 --raced 160 --limit 1500 --size 24 --max-edits 3 \
  --memory 4 --threads 2 --out "$run"
skiploop train --method selector --threads 2 --run "$run"
skiploop evaluate --limit 3000 --k 1 --memory 2 --threads 2 --run "$run" \
  --policy selector,selector:30.5,selector:29,vote:5,majority:5,sample:5,static,shuffled
