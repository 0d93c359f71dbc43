#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-27-choosing-word-sets.md: one selector for sixteen kinds of questions with short answers, of
# files that the function-vectors project publishes (github.com/ericwtodd/function_vectors, MIT), one question a line. Nobody tells it the kind.
# SmolLM2-135M in float32; about an hour on one thread and 7 GB. Options after RUN go to every command. Started again, it goes on where it
# stopped.
#
#     recipes/choose-word-sets.sh FOLDER_WITH_THE_FILES [RUN [--device cuda --memory 14]]
set -euo pipefail
data=$1
run=${2:-runs/choose-word-sets}
options=(--memory 7 "${@:3}")
sets=(
  adjective_v_verb_3 adjective_v_verb_5 alphabetically_first_3 alphabetically_last_3 animal_v_object_3 choose_middle_of_3
  color_v_animal_3 color_v_animal_5 concept_v_object_3 english-french fruit_v_animal_3 landmark-country national_parks object_v_concept_3
  present-past singular-plural
)
names=("${sets[@]/#/jsonl:$data/}")

skiploop menu build --task "mix:$(IFS=+; echo "${names[*]/%/.jsonl}")" \
  --race-questions 64 --limit 3200 --size 16 --max-edits 2 --first-layer 10 \
  --set menu.max_block=2 --damping-anchor 0 --out "$run" "${options[@]}"
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --limit 1500 --k 1 --run "$run" "${options[@]}" \
  --policy selector,selector:30,static,by-category,surface,shuffled,shuffled:open
