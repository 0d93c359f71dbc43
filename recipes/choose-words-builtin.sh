#!/usr/bin/env bash
# The policy smollm2-135m/words that comes with skiploop, and the table in docs/reference/tasks.md. SmolLM2-135M in float32; an hour on
# one thread. Options after RUN go to every command but export. Started again, it goes on where it stopped.
#
#     recipes/choose-words-builtin.sh [RUN [--device cuda --memory 14]]
set -euo pipefail
run=${1:-runs/choose-words-builtin}
options=("${@:2}")

skiploop menu build --task words --raced 64 --limit 3200 --size 16 --max-edits 2 --first-layer 10 \
  --set menu.max_block=2 --anchor 0 --memory 7 --out "$run" "${options[@]}"
skiploop train --method selector --memory 7 --run "$run" "${options[@]}"
skiploop evaluate --limit 2000 --k 1 --memory 7 --run "$run" "${options[@]}" --policy selector,static,by-kind
skiploop export --run "$run" --out "$run/policy"
