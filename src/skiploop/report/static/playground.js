"use strict";
// One prompt under several programs side by side: answers as they are written, and under each what
// the model would have said after each of its layer passes. Needs the server of `skiploop studio`.

const N_OFFERED = 8; // programs of the menu

/** Return a program by its text, as far as it can be drawn. */
function programOf(text, nLayers) {
  const runs = new Array(nLayers).fill(1);
  for (const [, start, stop, times] of text.matchAll(/(\d+):(\d+)x(\d+)/g)) runs.fill(Number(times), Number(start), Number(stop));
  return { text, runs, slots: runs.reduce((sum, n) => sum + n, 0) };
}

/** Return what a route of the server says; what is wrong is an error with its words. */
async function asked(route, body) {
  const response = await fetch(route, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error((await response.json()).error.message);
  return response;
}

/** Yield the parts of a streamed answer. */
async function* parts(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (text + value).split("\n\n");
    text = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const part = JSON.parse(data);
      if (part.error) throw new Error(part.error.message);
      yield part;
    }
  }
}

/** Return the likeliest next tokens after each layer pass, the last one at the bottom. */
function lensTable({ passes }) {
  const rows = passes.map(({ layer, tokens: [first, ...others] }) => el("tr", {},
    el("th", { scope: "row" }, String(layer)),
    el("td", { class: "text", style: `--share:${first.probability}` }, JSON.stringify(first.text)),
    el("td", {}, percent(first.probability)),
    el("td", { class: "dim text" }, others.map((token) => JSON.stringify(token.text)).join(" "))));
  const head = ["layer", "next token", "probability", "then"].map((name) => el("th", { scope: "col" }, name));
  return el("div", { class: "wide" }, el("table", { class: "lens" },
    el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}

/** Ask under one variant, and show in a card what comes. */
async function answerIn(card, variant, given, signal) {
  const [layers, text, lens] = ["layers-of", "answer", "lens-of"].map((name) => card.querySelector(`.${name}`));
  const nLayers = DATA.programs[0].runs.length;
  try {
    const body = { model: variant, prompt: given.prompt, max_tokens: Number(given.max_tokens), stream: true };
    if (given.stop.length) body.stop = given.stop;
    for await (const part of parts(await asked("/v1/completions", body))) {
      if (signal.aborted) return;
      text.append(part.choices[0]?.text ?? "");
      if (part.skiploop) {
        const program = programOf(part.skiploop.program, nLayers);
        layers.replaceChildren(layerBar(program, { large: true }),
          el("p", { class: "note" }, `${programWords(program)}; probability of the answer ${percent(part.skiploop.confidence)}`));
      }
    }
    const seen = await asked("/v1/skiploop/lens", { model: variant, prompt: given.prompt });
    if (!signal.aborted) lens.replaceChildren(lensTable(await seen.json()));
  } catch (error) {
    card.append(el("p", { class: "wrong", role: "alert" }, error.message));
  }
}

/** Return the variants that a form has chosen, by the words for them. */
function chosenVariants(form, model) {
  const other = form.elements.other.value.trim();
  const chosen = new FormData(form).getAll("variant").map((name) => [name.replace(`${model}:`, ""), name]);
  return other ? [...chosen, [other, `${model}:${other}`]] : chosen;
}

/** Show the playground; what was asked before stays while other views are looked at. */
function showPlayground(view, state) {
  const given = JSON.parse(view.dataset.playground);
  if (!view.hasChildNodes()) buildPlayground(view, given);
  if (state.has("prompt")) view.querySelector("textarea").value = state.get("prompt");
}

function buildPlayground(view, { model, policies, stop, max_new_tokens }) {
  const first = DATA.questions.judged[0];
  const menu = (DATA.report.menu?.programs ?? DATA.programs.map((program) => program.text)).slice(0, N_OFFERED);
  const names = [...policies, ...new Set([PLAIN, ...menu].map((text) => `${model}:${text}`))];
  const boxes = names.map((name, i) => el("label", { class: "box" },
    el("input", { type: "checkbox", name: "variant", value: name, checked: i < policies.length + 2 }), ` ${name.replace(`${model}:`, "")}`));
  const cards = el("div", { class: "cards", "aria-live": "polite" });
  let running = new AbortController();
  const ask = (event) => {
    event.preventDefault();
    running.abort();
    running = new AbortController();
    const form = event.currentTarget;
    const asked = { prompt: form.elements.prompt.value, max_tokens: form.elements.max_tokens.value, stop: form.elements.stops.checked ? stop : [] };
    const made = chosenVariants(form, model).map(([words, variant]) => {
      const card = el("article", { class: "card" }, el("h3", {}, words), el("div", { class: "layers-of" }),
        el("pre", { class: "answer" }), el("div", { class: "lens-of" }));
      answerIn(card, variant, asked, running.signal);
      return card;
    });
    cards.replaceChildren(...made);
  };
  view.replaceChildren(
    el("form", { class: "ask", onsubmit: ask },
      el("label", {}, "prompt", el("textarea", { name: "prompt", rows: 6, required: true }, first ? promptOf(first) : "")),
      el("fieldset", {}, el("legend", {}, "under"), boxes,
        el("label", { class: "box" }, "and ", el("input", { name: "other", placeholder: "3:5x0 6:8x2", size: 14 }))),
      el("div", { class: "filters" },
        el("label", {}, "new tokens at most", el("input", { type: "number", name: "max_tokens", value: max_new_tokens, min: 1, max: 1024 })),
        el("label", { class: "box", hidden: !stop.length }, el("span", {}, el("input", { type: "checkbox", name: "stops", checked: true }), " end as the run's answers do")),
        el("button", {}, "Ask"))),
    cards);
}
