#!/usr/bin/env bash
# The table "Arithmetic, 5,000 questions learned from" in docs/log.md: a menu, a selector learned from it, and both
# judged on 3,000 held-out questions next to votes and controls. SmolLM2-135M in bfloat16; 45 minutes on one
# thread. Started again, it goes on where it stopped.
#
#     recipes/choose-arithmetic.sh [RUN]
set -euo pipefail
run=${1:-runs/choose-arithmetic}

skiploop menu build --level 1,2,3,4,5 --dtype bfloat16 --raced 160 --limit 5000 --size 24 \
  --max-edits 3 --memory 4 --out "$run"
skiploop train --method selector --run "$run"
skiploop evaluate --limit 3000 --k 1 --memory 3 --run "$run" \
  --policy selector,selector:29,vote:5,majority:5,sample:5,static,shuffled
