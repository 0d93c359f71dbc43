"use strict";
// A program as a row of layers: skipped ones hollow, repeated ones taller.

/** Return the words of a program. */
function programWords(program) {
  return `${program.text}, ${program.slots} layer passes`;
}

/** Return a program as a row of layers. */
function layerBar(program, { large = false } = {}) {
  const layers = program.runs.map((runs, layer) => {
    const look = runs === 0 ? "skipped" : runs > 1 ? "looped" : "once";
    const words = runs === 0 ? "skipped" : runs === 1 ? "runs once" : `runs ${runs} times`;
    return el("i", { class: look, title: large ? `layer ${layer} ${words}` : null });
  });
  const style = `--n:${program.runs.length}`;
  return el("span",
    { class: large ? "layers large" : "layers", style, role: "img", "aria-label": programWords(program) },
    layers);
}

/** Return a large bar with the numbers of its layers. */
function numberedLayers(program) {
  const step = program.runs.length > 40 ? 10 : 5;
  const numbers = program.runs.map((_, layer) => el("i", {}, layer % step ? "" : String(layer)));
  return el("div", { class: "numbered" },
    layerBar(program, { large: true }),
    el("span", { class: "layer-numbers", style: `--n:${program.runs.length}`, "aria-hidden": "true" }, numbers));
}
