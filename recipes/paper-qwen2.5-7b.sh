#!/usr/bin/env bash
# The table of Qwen2.5-7B, in and out of distribution; with --model Qwen/Qwen2.5-3B-Instruct the smaller one.
# One H200 for about what `--estimate` says; the weights come from the Hugging Face hub, which may ask for a token. Options after
# FOLDER go to every command, such as --estimate, or --model for other weights of the family.
#
#     recipes/paper-qwen2.5-7b.sh [FOLDER [options]]
set -euo pipefail
exec "$(dirname "$0")/paper.sh" Qwen/Qwen2.5-7B-Instruct 21 "${1:-runs/paper-qwen2.5-7b}" "${@:2}"
