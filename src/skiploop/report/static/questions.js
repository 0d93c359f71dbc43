"use strict";
// The questions: a list that can be searched and filtered, and one of them with all its answers.

const N_ON_PAGE = 50;
const CHANGES = [
  ["", "all"],
  ["fixed", "fixed"],
  ["broken", "broken"],
  ["right", "right as before"],
  ["wrong", "wrong as before"],
  ["any", "another program right"],
];
const SURENESS = [["", "any"], ["0-0.25", "below 25 %"], ["0.25-0.5", "25 to 50 %"], ["0.5-0.75", "50 to 75 %"], ["0.75-1", "75 % and more"]];
const PARTS = { judged: "judged", menu: "of the menu" };

/** Return which questions are asked for; by itself those that were judged, if any were. */
function partOf(state) {
  return state.get("part") ?? (DATA.questions.judged.length ? "judged" : "menu");
}

const foldedTexts = new WeakMap();

/** Return all that is searched in a question, in small letters. */
function foldedText(one) {
  if (!foldedTexts.has(one)) {
    const said = Object.values(one.answers).map((answer) => DATA.texts[answer[3]]);
    foldedTexts.set(one, [one.question, one.gold, one.id, ...said].join("\n").toLowerCase());
  }
  return foldedTexts.get(one);
}

/** Return what a policy said; without policies, what the plain model did. */
function answerOf(one, policy) {
  return one.answers[policy] ?? one.trials.find((trial) => DATA.programs[trial[0]].text === PLAIN);
}

/** Return how the verdict on a policy differs from that on the identity. */
function changeOf(one, policy) {
  const [ours, plain] = [answerOf(one, policy)?.[1], answerOf(one, PLAIN)?.[1]];
  if (ours === null || plain === null || ours === undefined || plain === undefined) return "";
  if (ours === plain) return ours ? "right" : "wrong";
  return ours ? "fixed" : "broken";
}

/** Return the questions that a state asks for. */
function filtered(state) {
  const words = (state.get("text") ?? "").toLowerCase();
  const [category, program, change] = ["category", "program", "change"].map((name) => state.get(name) ?? "");
  const policy = state.get("policy") ?? PLAIN;
  const [least, most] = (state.get("sure") || "0-1").split("-").map(Number);
  const isSure = (sure) => sure !== null && sure >= least && (sure < most || most === 1);
  const isAsked = (one) => {
    const answer = answerOf(one, policy);
    if (words && !foldedText(one).includes(words)) return false;
    if (category && one.category !== category) return false;
    if (program && String(answer?.[0]) !== program) return false;
    if (state.get("sure") && !isSure(answer?.[2] ?? null)) return false;
    if (change === "any") return answer?.[1] === false && one.trials.some((trial) => trial[1]);
    return !change || changeOf(one, policy) === change;
  };
  return DATA.questions[partOf(state)].filter(isAsked);
}

/** Return the form of the filters; a change goes into the address. */
function filterForm(state) {
  const part = partOf(state);
  const asked = DATA.questions[part];
  const policy = state.get("policy") ?? PLAIN;
  const policies = Object.keys(asked[0]?.answers ?? {});
  const categories = [...new Set(asked.map((one) => one.category))].filter(Boolean).sort();
  const programs = new Set(asked.map((one) => answerOf(one, policy)?.[0]).filter((place) => place !== undefined));
  const change = (event) => {
    const given = Object.fromEntries(new FormData(event.currentTarget));
    if ((given.part ?? part) !== part || (given.policy ?? policy) !== policy) given.program = "";
    location.replace(addressOf("questions", given));
  };
  const parts = Object.entries(PARTS).filter(([name]) => DATA.questions[name].length)
    .map(([name, words]) => [name, `${words} (${DATA.questions[name].length})`]);
  const fields = [
    el("label", { class: "grows" }, "search",
      el("input", { type: "search", name: "text", value: state.get("text") ?? "", placeholder: "question, gold or answer" })),
    parts.length > 1 ? choice("questions", "part", parts, part) : null,
    policies.length ? choice("policy", "policy", policies.map((name) => [name, name]), policy) : null,
    categories.length ? choice("category", "category", [["", "all"], ...categories.map((name) => [name, name])], state.get("category")) : null,
    policies.length ? choice("change", "change", CHANGES, state.get("change")) : null,
    programs.size > 1
      ? choice("program", "program", [["", "all"], ...[...programs].sort((a, b) => a - b).map((place) => [String(place), DATA.programs[place].text])], state.get("program"))
      : null,
    choice("sureness", "sure", SURENESS, state.get("sure")),
  ];
  return el("form", { class: "filters", role: "search", oninput: change, onsubmit: (event) => event.preventDefault() }, fields);
}

/** Return one line of the list. */
function questionRow(one, policy, href, isOpen) {
  const [program, verdict, sure, text] = answerOf(one, policy) ?? [];
  const [words, look] = verdict === undefined ? ["", ""] : verdictWords(verdict);
  const change = changeOf(one, policy);
  const said = change === "fixed" || change === "broken" ? change : words;
  return el("a", { class: "row", href, "aria-current": isOpen ? "true" : null },
    el("span", { class: "asked" }, shortened(one.question, 160)),
    el("span", { class: "said" }, text === undefined ? "" : shortened(DATA.texts[text].trim() || "(nothing)", 60)),
    el("span", { class: `verdict ${look}` }, said),
    program === undefined ? el("span") : layerBar(DATA.programs[program]),
    el("span", { class: "sure" }, sure === null || sure === undefined ? "" : `${(100 * sure).toFixed(0)} %`));
}

/** Return a table of what was said to a question; each row: name, [program, verdict, sure, text]. */
function answersTable(title, rows, chosen) {
  const lines = rows.map(([name, [program, verdict, sure, text]]) => {
    const [words, look] = verdictWords(verdict);
    return el("tr", { class: program === chosen ? "chosen-row" : null },
      el("th", { scope: "row" }, name),
      el("td", { class: look }, words),
      el("td", { class: "text" }, DATA.texts[text].trim() || "(nothing)"),
      el("td", {}, percent(sure)),
      el("td", {}, layerBar(DATA.programs[program])));
  });
  const head = ["", "verdict", "answer", "probability", "layers"].map((name) => el("th", { scope: "col" }, name));
  return [el("h3", {}, title),
    el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, lines)))];
}

function promptOf(one) {
  return DATA.texts[one.prompt[0]] + one.prompt[1];
}

/** Return one question with all that was said to it. */
function questionDetail(one, policy, links) {
  const answer = answerOf(one, policy);
  const program = answer && DATA.programs[answer[0]];
  const trials = [...one.trials].sort((a, b) => a[0] - b[0])
    .map((trial) => [DATA.programs[trial[0]].text, trial]);
  const facts = [["question", one.question], ["gold", one.gold], ["category", one.category]];
  return el("article", { class: "detail", tabindex: "-1", "aria-label": `Question ${one.id}` },
    links,
    el("dl", {}, facts.filter(([, text]) => text).flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])),
    el("details", {}, el("summary", {}, "prompt"), el("pre", {}, promptOf(one))),
    document.getElementById("view-playground") ? el("p", {}, el("a", { href: addressOf("playground", { prompt: promptOf(one) }) }, "ask in the playground")) : null,
    program ? [el("h3", {}, `${one.answers[policy] ? policy : PLAIN} runs ${programWords(program)}`), numberedLayers(program)] : [],
    Object.keys(one.answers).length ? answersTable("What each policy says", Object.entries(one.answers), answer?.[0]) : [],
    trials.length ? answersTable("What each program says", trials, answer?.[0]) : []);
}

/** Show the list, and the question that is open. */
function showQuestions(view, state) {
  const form = view.querySelector("form");
  const focused = form?.contains(document.activeElement) ? document.activeElement : null;
  const [name, caret] = [focused?.name, focused?.selectionStart];
  const policy = state.get("policy") ?? PLAIN;
  const found = filtered(state);
  const given = Object.fromEntries(state);
  const nPages = Math.ceil(found.length / N_ON_PAGE);
  const open = state.has("open") ? found.findIndex((one) => one.id === state.get("open")) : -1;
  const page = open >= 0 ? Math.floor(open / N_ON_PAGE) : Math.min(Number(state.get("page") ?? 0), Math.max(nPages - 1, 0));
  const addressOfOpen = (i) => addressOf("questions", { ...given, page: null, open: found[i].id });
  const rows = found.slice(page * N_ON_PAGE, (page + 1) * N_ON_PAGE).map((one, i) =>
    questionRow(one, policy, addressOfOpen(page * N_ON_PAGE + i), page * N_ON_PAGE + i === open));
  const list = el("div", { class: "list" },
    el("p", { class: "note", role: "status" }, `${found.length} of ${DATA.questions[partOf(state)].length} questions`),
    el("div", { class: "rows" }, rows),
    pageLinks(page, nPages, (target) => addressOf("questions", { ...given, page: target, open: null })));
  const links = open < 0 ? null : el("nav", { class: "pages", "aria-label": "Question" },
    el("a", { href: addressOf("questions", { ...given, page, open: null }) }, "✕ close"),
    open > 0 ? el("a", { href: addressOfOpen(open - 1) }, "← before") : el("span", { class: "dim" }, "← before"),
    open < found.length - 1 ? el("a", { href: addressOfOpen(open + 1) }, "next →") : el("span", { class: "dim" }, "next →"));
  const detail = open < 0 ? null : questionDetail(found[open], policy, links);
  const panes = el("div", { class: detail ? "panes open" : "panes" }, [list, detail].filter(Boolean));
  view.replaceChildren(filterForm(state), panes);
  if (name) {
    const field = view.querySelector(`[name="${name}"]`);
    field?.focus();
    if (field?.type === "search") field.setSelectionRange(caret, caret);
  } else if (detail) {
    view.querySelector(".row[aria-current]")?.scrollIntoView({ block: "nearest" });
    detail.focus({ preventScroll: window.innerWidth > 800 });
  }
}
