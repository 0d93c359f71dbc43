#!/usr/bin/env bash
# The table of Qwen3-8B, in and out of distribution.
# One H200 for about what `--estimate` says; the weights come from the Hugging Face hub, which may ask for a token. Options after
# FOLDER go to every command, such as --estimate, or --model for other weights of the family.
#
#     recipes/paper-qwen3-8b.sh [FOLDER [options]]
set -euo pipefail
exec "$(dirname "$0")/paper.sh" Qwen/Qwen3-8B 27 "${1:-runs/paper-qwen3-8b}" "${@:2}"
