#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-28-choosing-word-sets.md: one selector for eighteen kinds of questions with short answers, of
# files that the function-vectors project publishes (github.com/ericwtodd/function_vectors, MIT), one question a line. Nobody tells it the
# kind. These are the files with 400 questions to learn from of which the plain model answers 10 to 90 % right, and whose questions stand
# in no file before. SmolLM2-135M in float32; about two hours on one thread and 7 GB. Options after RUN go to every command. Started
# again, it goes on where it stopped.
#
#     recipes/choose-word-sets.sh FOLDER_WITH_THE_FILES [RUN [--device cuda --memory 14]]
set -euo pipefail
data=$1
run=${2:-runs/choose-word-sets}
options=(--memory 7 "${@:3}")
workers=${WORKERS:+--workers $WORKERS} # with WORKERS=2 two processes share what is not learning
sets=(
  adjective_v_verb_3 adjective_v_verb_5 alphabetically_first_3 alphabetically_last_3 animal_v_object_3 capitalize choose_first_of_3
  choose_last_of_5 choose_middle_of_3 color_v_animal_3 color_v_animal_5 concept_v_object_3 fruit_v_animal_3 landmark-country
  lowercase_last_letter object_v_concept_3 park-country verb_v_adjective_3
)
names=("${sets[@]/#/jsonl:$data/}")

skiploop menu build --task "mix:$(IFS=+; echo "${names[*]/%/.jsonl}")" \
  --race-questions 144 --limit 8000 --size 20 --max-edits 2 --first-layer 10 \
  --set menu.max_block=2 --damping-anchor 0 --out "$run" "${options[@]}" $workers
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --limit 1500 --k 1 --run "$run" "${options[@]}" $workers \
  --policy selector,selector:30,static,by-category,surface,shuffled,shuffled:open
