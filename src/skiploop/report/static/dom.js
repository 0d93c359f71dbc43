"use strict";
// What all views build with: elements, numbers as words, and the state that the address holds.

/** Return an element with attributes and children; texts stay texts. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null));
  return made;
}

/** Return a share in percent with one decimal. */
function percent(share) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)} %`;
}

/** Return a text of at most so many characters. */
function shortened(text, n) {
  return text.length <= n ? text : `${text.slice(0, n - 1)}…`;
}

/** Return the verdict in a word and the class that colours it. */
function verdictWords(verdict) {
  return verdict === null ? ["ungraded", "dim"] : verdict ? ["right", "right"] : ["wrong", "wrong"];
}

/** Return the view that the address names, and what else stands there. */
function address() {
  const [view, rest] = location.hash.slice(1).split("?");
  return { view, state: new URLSearchParams(rest ?? "") };
}

/** Return the address of a view, what is empty left out. */
function addressOf(view, state) {
  const given = Object.entries(state).filter(([, value]) => value !== "" && value !== null);
  const rest = new URLSearchParams(given).toString();
  return `#${view}${rest ? `?${rest}` : ""}`;
}

/** Return a labelled select. */
function choice(label, name, options, chosen) {
  const items = options.map(([value, words]) =>
    el("option", { value, selected: value === chosen }, words));
  return el("label", {}, label, el("select", { name }, items));
}

/** Return links to the pages of a long list, none if there is one. */
function pageLinks(page, nPages, addressOfPage) {
  if (nPages < 2) return el("span");
  const link = (target, words) =>
    target < 0 || target >= nPages
      ? el("span", { class: "dim" }, words)
      : el("a", { href: addressOfPage(target) }, words);
  return el("nav", { class: "pages", "aria-label": "Pages" },
    link(page - 1, "← before"), ` page ${page + 1} of ${nPages} `, link(page + 1, "next →"));
}
