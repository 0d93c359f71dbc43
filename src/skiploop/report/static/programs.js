"use strict";
// The programs: which layers they change, how they do by category, and question by question.

const N_ROWS = 50;

/** Show how often each policy changes each layer. */
function showLayers(place) {
  const parts = DATA.report.policies.flatMap((row) => {
    const figure = el("figure", { "aria-label": `Layers skipped and repeated by ${row.policy}` });
    const made = layersChart(row, place.clientWidth);
    if (!made) return [];
    draw(figure, made);
    return [el("h3", {}, row.policy), figure];
  });
  place.replaceChildren(...(parts.length ? parts : [el("p", { class: "note" }, "No layer changed.")]));
}

/** Return, by category and program, the share of right answers to the questions of the menu. */
function menuCells() {
  const counts = new Map();
  for (const one of DATA.questions.menu) {
    for (const [program, verdict] of one.trials) {
      const key = JSON.stringify([one.category || "all", program]);
      const [n, total] = counts.get(key) ?? [0, 0];
      if (verdict !== null) counts.set(key, [n + verdict, total + 1]);
    }
  }
  return [...counts].map(([key, [n, total]]) => {
    const [column, program] = JSON.parse(key);
    return { column, row: DATA.programs[program].text, value: (100 * n) / total, total };
  });
}

/** Return the questions of the menu, a row each, a cell for every program. */
function menuGrid(state) {
  const asked = DATA.questions.menu;
  const programs = DATA.report.menu.programs.map((_, place) => place);
  const nPages = Math.ceil(asked.length / N_ROWS);
  const page = Math.min(Number(state.get("page") ?? 0), nPages - 1);
  const head = programs.map((place) => el("th", { scope: "col" }, el("span", {}, DATA.programs[place].text)));
  const rows = asked.slice(page * N_ROWS, (page + 1) * N_ROWS).map((one) => {
    const byProgram = new Map(one.trials.map((trial) => [trial[0], trial]));
    const cells = programs.map((place) => {
      const [, verdict, , text, score] = byProgram.get(place) ?? [];
      if (verdict === undefined) return el("td");
      const [words, look] = verdictWords(verdict);
      const sure = score === null ? "" : `, probability of the right answer ${percent(score)}`;
      return el("td", { class: look, style: score === null ? null : `--score:${score}`,
        title: `${DATA.programs[place].text}: ${DATA.texts[text].trim()}, ${words}${sure}` },
      el("span", { class: "hidden" }, words));
    });
    const href = addressOf("questions", { part: "menu", open: one.id });
    return el("tr", {}, el("th", { scope: "row" }, el("a", { href }, shortened(one.question, 48))), cells);
  });
  return [
    el("h2", {}, "Question by question"),
    el("p", { class: "note" }, "Rows: the questions that all programs answered. ",
      el("span", { class: "key right" }), " right, ", el("span", { class: "key wrong" }), " wrong; ",
      "the fuller, the more probable the right answer."),
    el("div", { class: "wide" }, el("table", { class: "grid" }, el("thead", {}, el("tr", {}, el("th"), head)), el("tbody", {}, rows))),
    pageLinks(page, nPages, (target) => addressOf("programs", { page: target })),
  ];
}

/** Show what the programs on the menu do. */
function showMenu(place, state) {
  const figure = el("figure", { "aria-label": "Right answers by category and program of the menu" });
  place.replaceChildren(
    el("h2", {}, "By category of question"),
    el("p", { class: "note" }, "Right answers of every program on the menu, % of the questions that the selector learned from."),
    figure, ...menuGrid(state));
  const cells = menuCells();
  if (!cells.length) return;
  const rows = DATA.report.menu.programs;
  const columns = [...new Set(cells.map((cell) => cell.column))];
  draw(figure, shades(cells, { width: figure.clientWidth, rows, columns, label: null }));
}
