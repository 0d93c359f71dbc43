#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-26-choosing-arithmetic-float32.md: a menu, and a selector that learned from it,
# judged on 3,000 held-out questions next to votes and controls. SmolLM2-135M; an hour on one thread
# in bfloat16 where the processor has AVX512-BF16, else two in float32. Started again, it goes on where it stopped.
#
#     recipes/choose-arithmetic.sh [RUN] [DTYPE]
set -euo pipefail
run=${1:-runs/choose-arithmetic}
dtype=${2:-bfloat16}

skiploop menu build --level 1,2,3,4,5 --dtype "$dtype" --race-questions 160 --limit 5000 --size 24 \
  --max-edits 3 --memory 4 --out "$run"
skiploop train --method selector --run "$run"
skiploop evaluate --limit 3000 --k 1 --memory 3 --run "$run" \
  --policy selector,selector:29,vote:5,sample:5,static,by-category,damped,surface,shuffled,shuffled:open,random-menu
