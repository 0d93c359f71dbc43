#!/usr/bin/env bash
# The table of Qwen1.5-MoE-A2.7B, in and out of distribution.
# One H200 for about what `--estimate` says; the weights come from the Hugging Face hub, which may ask for a token. Options after
# FOLDER go to every command, such as --estimate, or --model for other weights of the family.
#
#     recipes/paper-qwen1.5-moe-a2.7b.sh [FOLDER [options]]
set -euo pipefail
exec "$(dirname "$0")/paper.sh" Qwen/Qwen1.5-MoE-A2.7B-Chat 18 "${1:-runs/paper-qwen1.5-moe-a2.7b}" "${@:2}"
