"use strict";
// Pictures of the report's numbers, drawn with Observable Plot. Each takes its width in pixels.

const PLAIN = "identity";
const LETTER = 6.6; // pixels of an average letter
const LEAST_GAP = 16; // pixels from label to label

const COLOURS = ["#4269d0", "#e09f00", "#ff725c", "#45ab96", "#3ca951", "#e86f9f", "#a463f2", "#6f9ff0", "#9c6b4e"];

/** Return the colour of a policy, the same in every picture; the plain model has none. */
function lookOf(policy) {
  const place = DATA.report.policies.findIndex((row) => row.policy === policy);
  return policy === PLAIN ? "var(--dim)" : COLOURS[(place - 1) % COLOURS.length];
}

const inPercent = (share) => 100 * share;

/** Return names short enough for the left margin of a picture, and that margin. */
function namesOnTheLeft(names, width) {
  const n = Math.max(8, Math.floor((0.36 * width) / LETTER));
  const shown = new Map(names.map((name) => [name, shortened(name, n)]));
  const margin = 14 + LETTER * Math.max(...[...shown.values()].map((name) => name.length));
  return { tickFormat: (name) => shown.get(name), margin };
}

/** Return one line a row: a dot on its interval, and its value on the right. */
function intervals(rows, { width, label, zero = false, format = (value) => value.toFixed(1) }) {
  const names = rows.map((row) => row.name);
  const { tickFormat, margin } = namesOnTheLeft(names, width);
  return Plot.plot({
    width,
    height: 56 + 26 * rows.length,
    marginLeft: margin,
    marginRight: 54,
    marginBottom: 40,
    x: { label, grid: true, nice: true, zero },
    y: { domain: names, label: null, tickFormat, tickSize: 0 },
    marks: [
      zero ? Plot.ruleX([0], { stroke: "var(--dim)" }) : null,
      Plot.ruleY(rows, { y: "name", x1: "low", x2: "high", stroke: (row) => lookOf(row.name), strokeWidth: 2 }),
      Plot.dot(rows, { y: "name", x: "value", r: 4, fill: (row) => lookOf(row.name) }),
      Plot.text(rows, {
        y: "name", text: (row) => format(row.value), frameAnchor: "right", textAnchor: "start", dx: 10,
      }),
      Plot.tip(rows, Plot.pointerY({
        y: "name", x: "value", title: (row) => `${row.name}\n${format(row.value)} (${format(row.low)} to ${format(row.high)})`,
      })),
    ],
  });
}

function accuracyChart({ policies }, width) {
  const rows = policies
    .filter((row) => row.accuracy.value !== null)
    .map(({ policy, accuracy: a }) => ({
      name: policy, value: inPercent(a.value), low: inPercent(a.low), high: inPercent(a.high),
    }));
  return intervals(rows, { width, label: "right, %" });
}

function beyondChart({ policies }, width) {
  const rows = policies
    .filter((row) => row.beyond_favourites && row.beyond_favourites.low !== null)
    .map(({ policy, beyond_favourites: b }) => ({
      name: policy, value: inPercent(b.value), low: inPercent(b.low), high: inPercent(b.high),
    }));
  const format = (value) => `${value > 0 ? "+" : ""}${value.toFixed(1)}`;
  return rows.length && intervals(rows, { width, label: "points beyond favourite answers", zero: true, format });
}

/** Return places near those wanted, in their order, none nearer than a gap to the next. */
function apart(wanted, gap, start, stop) {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const places = [...wanted];
  let least = start;
  for (const i of order) least = (places[i] = Math.max(places[i], least)) + gap;
  let most = stop;
  for (const i of order.reverse()) most = (places[i] = Math.min(places[i], most)) - gap;
  return places;
}

/** Return whole numbers from end to end, in equal ratios. */
function logTicks([low, high], n) {
  const ticks = Array.from({ length: n }, (_, i) => Math.round(low * (high / low) ** (i / (n - 1))));
  return [...new Set(ticks)].filter((tick) => tick >= low && tick <= high);
}

function costChart({ policies }, width) {
  const rows = policies
    .filter((row) => row.accuracy.value !== null)
    .map(({ policy, mean_slots, accuracy: a }) => ({
      name: policy, cost: mean_slots, value: inPercent(a.value), low: inPercent(a.low), high: inPercent(a.high),
    }));
  if (rows.length < 2) return null;
  const { tickFormat, margin } = namesOnTheLeft(rows.map((row) => row.name), width);
  const costs = rows.map((row) => row.cost);
  const isWide = Math.max(...costs) > 2 * Math.min(...costs);
  const [top, bottom, left] = [16, 40, 44];
  const height = top + bottom + Math.max(260, LEAST_GAP * rows.length);
  const low = Math.min(...rows.map((row) => row.low));
  const high = Math.max(...rows.map((row) => row.high));
  const span = high - low || 1;
  const domain = [Math.max(0, low - 0.05 * span), high + 0.05 * span];
  const perPixel = (domain[1] - domain[0]) / (height - top - bottom);
  const toPixel = (value) => top + (domain[1] - value) / perPixel;
  const places = apart(rows.map((row) => toPixel(row.value)), LEAST_GAP, top, height - bottom);
  rows.forEach((row, i) => { row.place = domain[1] - (places[i] - top) * perPixel; });
  const room = Math.max(...costs) - Math.min(...costs) || 1;
  const ends = isWide
    ? [Math.min(...costs) / 1.04, Math.max(...costs) * 1.04]
    : [Math.min(...costs) - 0.06 * room, Math.max(...costs) + 0.06 * room];
  return Plot.plot({
    width, height, marginTop: top, marginBottom: bottom, marginLeft: left, marginRight: margin + 26,
    x: { label: "mean executed layers of a prompt token", domain: ends,
      ...(isWide ? { type: "log", ticks: logTicks(ends, width < 500 ? 3 : 6), tickFormat: String } : { ticks: width < 500 ? 4 : 7 }) },
    y: { label: "right, %", grid: true, domain },
    marks: [
      Plot.link(rows, { x1: "cost", x2: ends[1], y1: "value", y2: "place",
        stroke: (row) => lookOf(row.name), strokeOpacity: 0.25 }),
      Plot.ruleX(rows, { x: "cost", y1: "low", y2: "high", stroke: (row) => lookOf(row.name), strokeWidth: 1.5, strokeOpacity: 0.6 }),
      Plot.dot(rows, { x: "cost", y: "value", r: 4, fill: (row) => lookOf(row.name) }),
      Plot.dot(rows, { x: ends[1], y: "place", r: 3, fill: (row) => lookOf(row.name) }),
      Plot.text(rows, { x: ends[1], y: "place", text: (row) => tickFormat(row.name), textAnchor: "start", dx: 8 }),
      Plot.tip(rows, Plot.pointer({ x: "cost", y: "value",
        title: (row) => `${row.name}\n${row.value.toFixed(1)} % right\n${row.cost.toFixed(2)} layers` })),
    ],
  });
}

function pairedChart({ policies }, width) {
  const rows = policies.filter((row) => row.against_identity);
  if (!rows.length) return null;
  const bars = rows.flatMap(({ policy, against_identity: a }) => [
    { name: policy, share: (100 * a.only_first) / a.total, n: a.only_first, what: "fixed" },
    { name: policy, share: (-100 * a.only_second) / a.total, n: a.only_second, what: "broken" },
  ]);
  const { tickFormat, margin } = namesOnTheLeft(rows.map((row) => row.policy), width);
  const most = Math.max(...bars.map((bar) => Math.abs(bar.share)), 0.1);
  const counts = (what, place) =>
    Plot.text(bars.filter((bar) => bar.what === what), { y: "name", x: "share", text: "n", ...place });
  return Plot.plot({
    width, height: 56 + 26 * rows.length, marginLeft: margin, marginRight: 44, marginBottom: 40,
    x: { label: "broken ← questions, % → fixed", labelAnchor: "center", domain: [-1.15 * most, 1.15 * most], grid: true,
      tickFormat: (value) => String(Math.abs(value)) },
    y: { domain: rows.map((row) => row.policy), label: null, tickFormat, tickSize: 0 },
    marks: [
      Plot.barX(bars, { y: "name", x: "share", fill: (bar) => (bar.what === "fixed" ? "var(--right)" : "var(--wrong)"),
        insetTop: 4, insetBottom: 4 }),
      counts("fixed", { textAnchor: "start", dx: 4 }),
      counts("broken", { textAnchor: "end", dx: -4 }),
      Plot.ruleX([0], { stroke: "var(--dim)" }),
    ],
  });
}

/** Show what was learned here does on other tasks. */
function showElsewhere(place) {
  const parts = Object.entries(DATA.elsewhere).flatMap(([title, policies]) => {
    const figure = el("figure", { "aria-label": `Questions fixed and broken by each policy: ${title}` });
    draw(figure, pairedChart({ policies }, place.clientWidth));
    return [el("h3", {}, title), figure];
  });
  place.replaceChildren(...(parts.length ? [el("h2", {}, "Fixed and broken on other tasks"), ...parts] : []));
}

function calibrationChart({ calibration }, width) {
  const bins = calibration
    .filter(({ observed }) => observed.value !== null && observed.low !== null)
    .map(({ expected, observed: o }) => ({
      expected: inPercent(expected), value: inPercent(o.value), low: inPercent(o.low), high: inPercent(o.high),
    }));
  if (!bins.length) return null;
  const most = Math.max(...bins.flatMap((bin) => [bin.expected, bin.high]));
  return Plot.plot({
    width: Math.min(width, 520), height: Math.min(width, 520) * 0.8, marginLeft: 44, marginBottom: 40,
    x: { label: "expected score, %", domain: [0, most], nice: true, grid: true },
    y: { label: "observed score, %", domain: [0, most], nice: true, grid: true },
    marks: [
      Plot.link([0], { x1: 0, y1: 0, x2: most, y2: most, stroke: "var(--dim)", strokeDasharray: "2 4" }),
      Plot.ruleX(bins, { x: "expected", y1: "low", y2: "high", stroke: "var(--skip)", strokeWidth: 2 }),
      Plot.dot(bins, { x: "expected", y: "value", fill: "var(--skip)", r: 4 }),
    ],
  });
}

function riskChart({ risk }, width) {
  const rows = risk.filter((row) => row.accuracy.value !== null)
    .map((row) => ({ name: row.policy, coverage: row.coverage, value: inPercent(row.accuracy.value) }));
  if (!rows.length) return null;
  const names = [...new Set(rows.map((row) => row.name))];
  const last = names.map((name) => rows.filter((row) => row.name === name).at(-1));
  const { tickFormat, margin } = namesOnTheLeft(names, width);
  const [top, bottom] = [16, 40];
  const height = top + bottom + Math.max(220, LEAST_GAP * names.length);
  const most = 1.05 * Math.max(...rows.map((row) => row.value), 1);
  const perPixel = most / (height - top - bottom);
  const places = apart(last.map((row) => top + (most - row.value) / perPixel), LEAST_GAP, top, height - bottom);
  last.forEach((row, i) => { row.place = most - (places[i] - top) * perPixel; });
  const end = Math.min(...rows.map((row) => row.coverage));
  return Plot.plot({
    width, height, marginTop: top, marginBottom: bottom, marginLeft: 44, marginRight: margin + 20,
    x: { label: "surest answers, %", reverse: true, ticks: [100, 75, 50, 25] },
    y: { label: "right, %", grid: true, domain: [0, most] },
    marks: [
      Plot.lineY(rows, { x: "coverage", y: "value", z: "name", stroke: (row) => lookOf(row.name), strokeOpacity: 0.7 }),
      Plot.dot(rows, { x: "coverage", y: "value", r: 3, fill: (row) => lookOf(row.name) }),
      Plot.text(last, { x: end, y: "place", text: (row) => tickFormat(row.name), textAnchor: "start", dx: 8 }),
      Plot.tip(rows, Plot.pointer({ x: "coverage", y: "value",
        title: (row) => `${row.name}\n${row.value.toFixed(1)} % of the surest ${row.coverage} %` })),
    ],
  });
}

function coverageChart({ menu }, width) {
  const points = menu.oracle_coverage.map((share, i) => ({ n: i + 1, share: inPercent(share), program: menu.programs[i] }));
  if (points.length < 2) return null;
  return Plot.plot({
    width: Math.min(width, 760), height: 270, marginLeft: 44, marginBottom: 40,
    x: { label: "programs on the menu", ticks: Math.min(points.length, 10) },
    y: { label: "other questions that one of them answers right, %", grid: true, nice: true },
    marks: [
      Plot.lineY(points, { x: "n", y: "share", stroke: "var(--skip)", strokeWidth: 2 }),
      Plot.dot(points, { x: "n", y: "share", fill: "var(--skip)", r: 3 }),
      Plot.tip(points, Plot.pointerX({ x: "n", y: "share",
        title: (p) => `${p.n}: ${p.program}\n${p.share.toFixed(1)} %` })),
    ],
  });
}

/** Return shares as shades: a row each for one thing, a column each for another. */
function shades(cells, { width, rows, columns, label }) {
  const { tickFormat, margin } = namesOnTheLeft(rows, width);
  const most = Math.max(...cells.map((cell) => cell.value), 0.01);
  const n = Math.max(4, ...columns.map((name) => name.length));
  const slant = n * LETTER > (width - margin) / columns.length;
  const size = Math.min(90, (width - margin - 20) / columns.length);
  const isWide = size > 34;
  return Plot.plot({
    width: Math.min(width, margin + 40 + 90 * columns.length),
    height: 30 + (slant ? 0.75 * LETTER * Math.min(n, 24) : 10) + 22 * rows.length,
    marginLeft: margin, marginTop: slant ? 20 + 0.75 * LETTER * Math.min(n, 24) : 30, marginBottom: 4, marginRight: 24,
    x: { domain: columns, axis: "top", label, labelAnchor: "left", tickRotate: slant ? -45 : 0, tickSize: 0,
      tickFormat: (name) => shortened(name, 24) },
    y: { domain: rows, label: null, tickFormat, tickSize: 0 },
    opacity: { domain: [0, most], range: [0.03, 0.62] },
    marks: [
      Plot.cell(cells, { x: "column", y: "row", fill: "var(--skip)", fillOpacity: "value", inset: 0.5 }),
      isWide ? Plot.text(cells, { x: "column", y: "row", text: (cell) => cell.value.toFixed(0) }) : null,
      Plot.tip(cells, Plot.pointer({ x: "column", y: "row",
        title: (cell) => `${cell.row}\n${cell.column}\n${cell.value.toFixed(1)} % of ${cell.total}` })),
    ],
  });
}

function categoriesChart({ categories }, width) {
  const cells = categories.flatMap(({ category, accuracy }) =>
    Object.entries(accuracy).filter(([, share]) => share.value !== null).map(([policy, share]) => ({
      row: policy, column: category || "–", value: inPercent(share.value), total: share.total,
    })));
  const rows = [...new Set(cells.map((cell) => cell.row))];
  const columns = [...new Set(cells.map((cell) => cell.column))];
  return shades(cells, { width, rows, columns, label: "right, %" });
}

/** Return how often a policy skips (down) and repeats (up) each layer, null if never. */
function layersChart(row, width) {
  const bars = row.n_skipped.flatMap((n, layer) => [
    { layer, share: (100 * row.n_repeated[layer]) / row.n_examples, n: row.n_repeated[layer], what: "repeated" },
    { layer, share: (-100 * n) / row.n_examples, n, what: "skipped" },
  ]).filter((bar) => bar.n);
  if (!bars.length) return null;
  return Plot.plot({
    width: Math.min(width, 760), height: 170, marginLeft: 44, marginTop: 18, marginBottom: 38,
    x: { label: "layer", domain: [-0.5, row.n_skipped.length - 0.5], ticks: Math.min(row.n_skipped.length, 12),
      tickFormat: (layer) => (Number.isInteger(layer) ? String(layer) : "") },
    y: { label: "%", grid: true, ticks: 5, tickFormat: (share) => String(Math.abs(share)) },
    marks: [
      Plot.rectY(bars, { x1: (bar) => bar.layer - 0.38, x2: (bar) => bar.layer + 0.38, y1: 0, y2: "share",
        fill: (bar) => (bar.what === "skipped" ? "var(--skip)" : "var(--loop)") }),
      Plot.ruleY([0], { stroke: "var(--dim)" }),
      Plot.tip(bars, Plot.pointer({ x: "layer", y: "share",
        title: (bar) => `layer ${bar.layer}: ${bar.what} for ${bar.n} questions` })),
    ],
  });
}

const CHARTS = {
  accuracy: accuracyChart,
  beyond: beyondChart,
  calibration: calibrationChart,
  categories: categoriesChart,
  cost: costChart,
  coverage: coverageChart,
  paired: pairedChart,
  risk: riskChart,
};

/** Put a picture into its place, with words for who does not see it. */
function draw(figure, made) {
  if (!made) {
    figure.replaceChildren();
    return;
  }
  made.setAttribute("role", "img");
  if (figure.getAttribute("aria-label")) made.setAttribute("aria-label", figure.getAttribute("aria-label"));
  figure.replaceChildren(made);
}

/** Draw every picture of a view anew, as wide as there is room. */
function drawCharts(view) {
  for (const figure of view.querySelectorAll("figure[data-chart]")) {
    draw(figure, CHARTS[figure.dataset.chart](DATA.report, figure.clientWidth));
  }
}
