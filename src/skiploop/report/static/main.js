"use strict";
// Which view is shown, and what fills it: the address says so.

const FIRST = "overview";
const SHOW = { questions: showQuestions, layers: showLayers, menu: showMenu, search: showSearch };
if (document.getElementById("playground")) SHOW.playground = showPlayground; // of a studio

/** Show the view that the address names. */
function show() {
  const { view, state } = address();
  const views = [...document.querySelectorAll(".view")];
  const shown = views.find((one) => one.id === view) ?? document.getElementById(FIRST);
  for (const one of views) one.hidden = one !== shown;
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.hash === `#${shown.id}`) link.setAttribute("aria-current", "page");
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
