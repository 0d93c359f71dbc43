#!/usr/bin/env bash
# What the four tables of the paper have in common (arXiv 2606.06574, tables 2 and 5 to 7, and those out of distribution): one model,
# learned and judged on each of DM-1 to DM-5, then learned on all five and judged on ASDiv, MAWPS and MMLU-Pro, too. The tiers are those
# of docs/reference/tasks.md, of 1,250 / 250 / 500 distinct questions; the paper does not say how its own are made. Of its baselines, Dr.LLM
# learns from the same search, and ShortGPT leaves three quarters of the layers, as it was published: the paper does not say how many
# there. MindSkip and FlexiDepth learn from written answers, which these tasks do not hold. With --estimate it says what all that takes,
# and starts nothing. Options after FOLDER go to every command. Started again, it goes on where it stopped.
#
#     recipes/paper.sh MODEL LAYERS_OF_SHORTGPT FOLDER [options]
set -euo pipefail
model=$1 layers=$2 out=$3
options=(
  --model "$model" --dtype bfloat16 --device cuda
  --methods "identity,polar,selector,vote:5,static,random,drllm,shortgpt:$layers"
  --set search.limit=1250 --set search.budget=100 --set search.method=tree
  --set menu.limit=1250 --set menu.race_questions=120
  "${@:4}"
)

if [[ " ${*:4} " != *" --estimate "* ]]; then
  for level in 1 2 3 4 5; do
    skiploop compare --task dart-math --level "$level" --out "$out/dm-$level" "${options[@]}"
  done
  skiploop compare --task dart-math --level 1,2,3,4,5 --on asdiv,mawps,mmlu-pro --out "$out/dm-all" "${options[@]}"
  skiploop compare --page "$out"/dm-* --out "$out/page"
  exit
fi

estimate() {
  local printed
  printed=$(skiploop compare "$@" "${options[@]}" --json) || return
  head -n -1 <<< "$printed" >&2
  tail -n 1 <<< "$printed"
}
found=$(
  for level in 1 2 3 4 5; do
    estimate --task dart-math --level "$level" --out "$out/dm-$level" || exit
  done
  estimate --task dart-math --level 1,2,3,4,5 --on asdiv,mawps,mmlu-pro --out "$out/dm-all"
)
python3 -c '
import json, sys
found = [json.loads(line) for line in sys.stdin]
hours = sum(one["hours"] for one in found)
n_bytes = sum(one["disk_bytes"] - one["weight_bytes"] for one in found) + found[0]["weight_bytes"]
print(f"all {len(found)} comparisons: {hours:.3g} hours, {n_bytes / 1e9:.3g} GB on disk")
' <<< "$found"
