#!/usr/bin/env bash
# The table "Multiple choice" in docs/log.md: CommonsenseQA, half of the questions for learning,
# half for judging. SmolLM2-135M in bfloat16; an hour on one thread. Started again, it goes on where it stopped.
#
#     recipes/choose-commonsense.sh FOLDER_WITH_commonsenseqa-dev.jsonl [RUN]
set -euo pipefail
data=$1
run=${2:-runs/choose-commonsense}

skiploop menu build --task "jsonl:$data/commonsenseqa-dev.jsonl" \
  --option test=0.5 --option validation=0 --dtype bfloat16 \
  --raced 60 --limit 628 --size 16 --max-edits 2 --memory 4 --out "$run"
skiploop train --method selector --run "$run"
skiploop evaluate --limit 589 --k 1 --memory 4 --run "$run" \
  --policy selector,vote:5,majority:5,static,shuffled
