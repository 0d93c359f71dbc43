#!/usr/bin/env bash
# Makes src/skiploop/report/static/plot.js: the parts of Observable Plot that the pages draw with, in
# one file, with the licences of all that is in it beside it. Needs node and npm.
set -euo pipefail
static=$(cd "$(dirname "$0")/../src/skiploop/report/static" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent @observablehq/plot@0.6.17 esbuild@0.28.2
node node_modules/esbuild/install.js
cat >plot.mjs <<'EOF'
export {
  plot, barX, cell, dot, lineY, link, pointer, pointerX, pointerY, rectY, ruleX, ruleY, text, tip,
} from "@observablehq/plot";
EOF
npx esbuild plot.mjs --bundle --minify --format=iife --global-name=Plot --legal-comments=none \
  --metafile=meta.json --outfile="$static/plot.js"
node - >"$static/plot.LICENSE" <<'EOF'
const { readFileSync } = require("fs");
const { outputs } = JSON.parse(readFileSync("meta.json"));
const packages = new Set();
for (const input of Object.values(outputs).flatMap((output) => Object.keys(output.inputs))) {
  const found = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/);
  if (found) packages.add(found[1]);
}
for (const name of [...packages].sort()) {
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
  console.log(`== ${name} ${version}\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8")}`);
}
EOF
