#!/usr/bin/env bash
# The table of Llama-3.2-3B, in and out of distribution.
# One H200 for about what `--estimate` says; the weights come from the Hugging Face hub, which may ask for a token. Options after
# FOLDER go to every command, such as --estimate, or --model for other weights of the family.
#
#     recipes/paper-llama-3.2-3b.sh [FOLDER [options]]
set -euo pipefail
exec "$(dirname "$0")/paper.sh" meta-llama/Llama-3.2-3B-Instruct 21 "${1:-runs/paper-llama-3.2-3b}" "${@:2}"
