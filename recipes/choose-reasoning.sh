#!/usr/bin/env bash
# The table "Eight reasoning-gym sets" in docs/log.md. SmolLM2-135M in bfloat16; half an hour on one
# thread. Started again, it goes on where it stopped.
#
#     recipes/choose-reasoning.sh [RUN]
set -euo pipefail
run=${1:-runs/choose-reasoning}
sets=(chain_sum products gcd letter_counting number_sequence family_relationships syllogism calendar_arithmetic)
task=mix$(printf '+reasoning-gym:%s' "${sets[@]}")

skiploop menu build --task "${task/+/:}" --option size=1000 --dtype bfloat16 \
  --raced 64 --limit 800 --size 12 --max-edits 2 --memory 4 --out "$run"
skiploop train --method selector --run "$run"
skiploop evaluate --limit 2000 --k 1 --memory 4 --run "$run" \
  --policy selector,static,shuffled
