"use strict";
// The search of one question, step by step: what was tried, and the tree that grew by it.

/** Return the tree after a step: for each program its verdict, visits and right answers below. */
function treeAfter(steps, last) {
  const nodes = new Map([[0, { step: 0, children: [], visits: 0, right: 0 }]]);
  for (const [number, [, verdict, , , , walk]] of steps.slice(0, last + 1).entries()) {
    if (!nodes.has(number)) nodes.set(number, { step: number, children: [], visits: 0, right: 0 });
    for (const [i, step] of walk.entries()) {
      const node = nodes.get(step);
      if (verdict !== null) node.visits += 1;
      if (verdict) node.right += 1;
      const child = nodes.get(walk[i + 1]);
      if (child && !node.children.includes(child)) node.children.push(child);
    }
  }
  return nodes.get(0);
}

/** Return a node of the tree with what grew below it; what the step has walked is open. */
function treeNode(steps, node, walk) {
  const [place, verdict] = steps[node.step];
  const program = DATA.programs[place];
  const [words, look] = verdictWords(verdict);
  const label = el("span", { class: walk.includes(node.step) ? "node on-walk" : "node" },
    layerBar(program), el("strong", {}, program.text), el("span", { class: look }, words),
    el("span", { class: "dim" }, `step ${node.step}, ${node.visits} tried from here, ${node.right} right`));
  if (!node.children.length) return el("li", { class: "leaf" }, label);
  const children = [...node.children].sort((a, b) => b.visits - a.visits);
  return el("li", {}, el("details", { open: walk.includes(node.step) },
    el("summary", {}, label), el("ul", {}, children.map((child) => treeNode(steps, child, walk)))));
}

/** Return every step as a dot: its layer passes, and whether it was right. */
function stepsChart(steps, last, width) {
  const dots = steps.map(([place, verdict], step) => ({
    step, slots: DATA.programs[place].slots, text: DATA.programs[place].text, words: verdictWords(verdict)[0], isPast: step <= last,
  }));
  const colour = { right: "var(--right)", wrong: "var(--wrong)", ungraded: "var(--dim)" };
  return Plot.plot({
    width: Math.min(width, 900), height: 200, marginLeft: 44, marginBottom: 40,
    x: { label: "step" },
    y: { label: "layer passes", grid: true, nice: true },
    marks: [
      Plot.ruleX([last], { stroke: "var(--dim)" }),
      Plot.dot(dots, { x: "step", y: "slots", r: 3, fill: (dot) => colour[dot.words], fillOpacity: (dot) => (dot.isPast ? 1 : 0.25) }),
      Plot.tip(dots, Plot.pointer({ x: "step", y: "slots", title: (dot) => `step ${dot.step}: ${dot.text}\n${dot.words}` })),
    ],
  });
}

/** Show the search of a question up to a step. */
function showSearch(place, state) {
  const searches = DATA.searches;
  if (!searches.length) return;
  const found = searches.find((one) => one.id === state.get("question")) ?? searches[0];
  const { steps } = found;
  const last = Math.min(Number(state.get("step") ?? steps.length - 1), steps.length - 1);
  const [program, verdict, sure, text, , walk] = steps[last];
  const go = (given) => location.replace(addressOf("search", { question: found.id, step: last, ...given }));
  const focused = place.contains(document.activeElement) ? document.activeElement.name : null;
  const options = searches.map((one) => [one.id, shortened(one.question, 60)]);
  const form = el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    choice(`question (the first ${searches.length})`, "question", options, found.id),
    el("label", {}, `step ${last} of ${steps.length - 1}`,
      el("input", { type: "range", name: "step", min: 0, max: steps.length - 1, value: last })));
  form.elements.question.addEventListener("change", (event) => go({ question: event.target.value, step: null }));
  form.elements.step.addEventListener("input", (event) => go({ step: event.target.value }));
  const figure = el("figure", { "aria-label": "Layer passes and verdict of every step" });
  const [words, look] = verdictWords(verdict);
  place.replaceChildren(
    el("h2", {}, "Step by step"), form,
    el("p", {}, `gold: ${found.gold}; step ${last} tries `, el("strong", {}, programWords(DATA.programs[program])), ": ",
      el("span", { class: look }, words), `, “${DATA.texts[text].trim()}”, probability ${percent(sure)}`),
    numberedLayers(DATA.programs[program]), figure,
    el("ul", { class: "tree" }, treeNode(steps, treeAfter(steps, last), walk)));
  draw(figure, stepsChart(steps, last, figure.clientWidth));
  if (focused) form.elements[focused]?.focus();
}
