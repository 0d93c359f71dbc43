#!/usr/bin/env bash
# The table "Word problems" in docs/log.md: MultiArith and SVAMP, half of the questions for
# learning, half for judging. SmolLM2-135M in bfloat16; an hour on one thread. Started again, it goes on where
# it stopped.
#
#     recipes/choose-words.sh FOLDER_WITH_multiarith.jsonl_AND_svamp.jsonl [RUN]
set -euo pipefail
data=$1
run=${2:-runs/choose-words}

skiploop menu build --task "mix:jsonl:$data/multiarith.jsonl+jsonl:$data/svamp.jsonl" \
  --option test=0.5 --option validation=0 --dtype bfloat16 \
  --raced 60 --limit 780 --size 16 --max-edits 2 --memory 4 --out "$run"
skiploop train --method selector --run "$run"
skiploop evaluate --limit 810 --k 1 --memory 4 --run "$run" \
  --policy selector,vote:5,majority:5,sample:5,static,shuffled
