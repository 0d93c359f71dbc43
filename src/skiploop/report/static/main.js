"use strict";
// Which view is shown, and what fills it: the address says so.

const FIRST = "overview";
const PREFIX = "view-"; // an element of the view's own name would be scrolled to
const SHOW = {
  elsewhere: showElsewhere, questions: showQuestions, layers: showLayers, menu: showMenu, search: showSearch,
};
if (document.getElementById("view-playground")) SHOW.playground = showPlayground; // of a studio

/** Show the view that the address names. */
function show() {
  const { view, state } = address();
  const views = [...document.querySelectorAll(".view")];
  const shown = views.find((one) => one.id === PREFIX + view) ?? document.getElementById(PREFIX + FIRST);
  if (shown.hidden) window.scrollTo(0, 0);
  for (const one of views) one.hidden = one !== shown;
  for (const link of document.querySelectorAll("header nav a")) {
    if (PREFIX + link.hash.slice(1) === shown.id) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  drawCharts(shown);
  const parts = [shown, ...shown.querySelectorAll("[data-part]")].filter((one) => one.dataset.part);
  for (const part of parts) SHOW[part.dataset.part](part, state);
}

let width = window.innerWidth;
let waiting;
window.addEventListener("hashchange", show);
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return; // a phone's keyboard came or went
  width = window.innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(show, 100);
});
document.documentElement.classList.add("drawn");
show();
