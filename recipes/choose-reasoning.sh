#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-26-choosing-reasoning-damped.md. SmolLM2-135M in float32; two hours on one
# thread. Options after RUN go to every command. Started again, it goes on where it stopped.
#
#     recipes/choose-reasoning.sh [RUN [--device cuda --memory 14]]
set -euo pipefail
run=${1:-runs/choose-reasoning}
options=("${@:2}")
workers=${WORKERS:+--workers $WORKERS} # with WORKERS=2 two processes share what is not learning
sets=(chain_sum products gcd letter_counting number_sequence family_relationships syllogism calendar_arithmetic)
task=mix$(printf '+reasoning-gym:%s' "${sets[@]}")

skiploop menu build --task "${task/+/:}" --option size=1000 \
  --race-questions 64 --limit 600 --size 12 --max-edits 2 --damping-anchor 0.5 --damping-anchor 0 --out "$run" "${options[@]}" $workers
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --limit 2000 --k 1 --run "$run" "${options[@]}" $workers \
  --policy selector,selector:31,selector:29,vote:5,static,by-category,surface,shuffled,shuffled:open,random-menu
