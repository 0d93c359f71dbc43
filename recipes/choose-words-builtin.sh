#!/usr/bin/env bash
# The policy smollm2-135m/words that comes with skiploop, and the tables in its card and docs/reference/tasks.md. SmolLM2-135M in
# float32; about two hours on one thread and 7 GB. Options after RUN go to every command but export. Started again, it goes on where it
# stopped.
#
#     recipes/choose-words-builtin.sh [RUN [--device cuda --memory 14]]
set -euo pipefail
run=${1:-runs/choose-words-builtin}
options=(--memory 7 "${@:2}")
workers=${WORKERS:+--workers $WORKERS} # with WORKERS=2 two processes share what is not learning

skiploop menu build --task words --race-questions 64 --limit 5600 --size 16 --max-edits 2 --first-layer 10 \
  --set menu.max_block=2 --damping-anchor 0 --out "$run" "${options[@]}" $workers
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --limit 1500 --k 1 --run "$run" "${options[@]}" $workers \
  --policy selector,smollm2-135m/words,static,by-category
skiploop export --run "$run" --out "$run/policy" --landmarks 1600
