#!/usr/bin/env bash
# One table of methods, in and out of distribution: learned on one sort of questions, judged on it and on others. Methods that drop layers
# or attention leave 28 of 30 layer passes (16 of 18 of Gemma). SmolLM2-135M in float32; a table takes 24 to 52 minutes on two cores, with
# --workers 2 at the end. Arithmetic, word sets, word problems and multiple choice are judged on one another; their FOLDER holds
# multiarith.jsonl, svamp.jsonl, commonsenseqa-dev.jsonl and words/ with the twelve files named below, a question and its answer a line.
# `slow` has the methods that try hundreds of programs or train routers, on a small file of sums. `gemma-...` is Gemma 3 270M, under
# terms of its own (gemma-3-270m.sh). Options at the end go to the command, such as --estimate, or --device cuda --memory 14. Started
# again, it goes on where it stopped.
#
#     recipes/compare.sh arithmetic|word-sets|word-problems|commonsense RUN FOLDER [options]
#     recipes/compare.sh words|slow|gemma-arithmetic|gemma-words RUN [options]
set -euo pipefail
table=${1:?name a table, such as arithmetic} run=${2:?name a run folder}
shift 2

model=smollm2-135m few=28
if [[ $table == gemma-arithmetic || $table == gemma-words ]]; then
  few=16 model=$run/gemma-3-270m-q4_k_m.gguf
  "$(dirname "$0")/gemma-3-270m.sh" "$model"
  run=$run/${table#gemma-}
fi
methods=selector,surface,shuffled:open,static,random,shortgpt:$few,angular:$few,sleb:$few,early-exit:$few,drllm,vote:3
learning=(
  --set menu.limit=300 --set menu.race_questions=36 --set menu.size=10 --set menu.max_edits=1
  --set menu.first_layer=10 --set menu.max_block=1
)
case $table in
  arithmetic | word-sets | word-problems | commonsense)
    folder=${1:?name the folder of the questions}
    shift
    sets=(
      adjective_v_verb_3 alphabetically_first_3 animal_v_object_3 choose_middle_of_3 color_v_animal_3 concept_v_object_3
      english-french fruit_v_animal_3 landmark-country national_parks present-past singular-plural
    )
    files=("${sets[@]/#/jsonl:$folder/words/}")
    names=(arithmetic word-sets word-problems commonsense)
    tasks=(
      arithmetic
      "mix:$(IFS=+; echo "${files[*]/%/.jsonl}")"
      "mix:jsonl:$folder/multiarith.jsonl+jsonl:$folder/svamp.jsonl"
      "jsonl:$folder/commonsenseqa-dev.jsonl"
    )
    options=(level=1,2,3,4,5 shots=2 shots=2 shots=4)
    what=()
    for i in 0 1 2 3; do
      if [[ ${names[i]} == "$table" ]]; then
        what+=(--task "${tasks[i]}" --option "${options[i]}")
      else
        what+=(--on "'${tasks[i]}' ${options[i]}")
      fi
    done
    if [[ $table != commonsense ]]; then
      methods+=,sample:5
    fi
    what+=(--methods $methods)
    ;;
  gemma-arithmetic)
    what=(--task arithmetic --level 1,2,3,4,5 --on words --methods $methods,sample:5)
    ;;
  words | gemma-words)
    what=(--task words --on "arithmetic level=1,2,3,4,5" --methods $methods,sample:5)
    ;;
  slow)
    mkdir -p "$run"
    python3 - > "$run/sums.jsonl" << 'END'
import json
from skiploop.tasks import get_task
sums = get_task("arithmetic", level="1,2")
for split, n in {"train": 70, "validation": 60, "test": 120}.items():
    for example in sums.examples(split, n):
        print(json.dumps({"question": example.question, "answer": example.gold}))
END
    what=(
      --task "jsonl:$run/sums.jsonl" --on words
      --methods tale,tale:28,rys,blr,recursion,tflt,mean-iterates,mindskip:28,flexidepth,flexidepth:28,polar
    )
    learning=(--set search.limit=40 --set search.budget=30 --set train.epochs=5)
    run=$run/run
    ;;
  *)
    echo "there is no table '$table': arithmetic, words, word-sets, word-problems, commonsense, slow, gemma-arithmetic or gemma-words" >&2
    exit 2
    ;;
esac
skiploop compare --model "$model" "${what[@]}" --limit 120 "${learning[@]}" --out "$run" "$@"
