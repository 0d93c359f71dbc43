#!/usr/bin/env bash
# The table in benchmarks/results/2026-11-28-choosing-word-sets-gemma.md: one selector of Gemma 3 270M for nineteen kinds of questions with
# short answers, of files that the function-vectors project publishes (github.com/ericwtodd/function_vectors, MIT). Nobody tells it the
# kind. These are the files with 400 questions to learn from of which the plain model answers 10 to 90 % right, and most of whose
# questions stand in no file before. The model has terms of its own (gemma-3-270m.sh). Float32; about two hours on one thread and 5 GB.
# Options after RUN go to every command. Started again, it goes on where it stopped.
#
#     recipes/choose-word-sets-gemma.sh FOLDER_WITH_THE_FILES [RUN [--device cuda --memory 14]]
set -euo pipefail
data=$1
run=${2:-runs/choose-word-sets-gemma}
options=(--memory 5 "${@:3}")
workers=${WORKERS:+--workers $WORKERS} # with WORKERS=2 two processes share what is not learning
sets=(
  adjective_v_verb_3 adjective_v_verb_5 alphabetically_first_3 alphabetically_last_3 animal_v_object_3 capitalize choose_last_of_5
  choose_middle_of_3 color_v_animal_3 color_v_animal_5 concept_v_object_3 english-german fruit_v_animal_3 landmark-country
  lowercase_last_letter object_v_concept_3 park-country person-occupation verb_v_adjective_3
)
names=("${sets[@]/#/jsonl:$data/}")
model=$run.gguf
"$(dirname "$0")/gemma-3-270m.sh" "$model"

skiploop menu build --model "$model" --task "mix:$(IFS=+; echo "${names[*]/%/.jsonl}")" \
  --race-questions 152 --limit 2500 --size 14 --max-edits 1 --first-layer 6 \
  --set menu.max_block=1 --damping-anchor 0 --out "$run" "${options[@]}" $workers
skiploop train --method selector --run "$run" "${options[@]}"
skiploop evaluate --limit 1500 --k 1 --run "$run" "${options[@]}" $workers \
  --policy selector,static,by-category,surface,shuffled,shuffled:open
skiploop evaluate --fresh 1500 --k 1 --run "$run" "${options[@]}" $workers --policy selector:17.75,selector:17.25
