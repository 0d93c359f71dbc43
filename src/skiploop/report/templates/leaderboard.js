"use strict";
const form = document.getElementById("filters");
const body = document.querySelector("tbody");

function filter() {
  const wanted = [...new FormData(form)].filter(([, value]) => value);
  for (const item of document.querySelectorAll(".shown")) {
    item.hidden = wanted.some(([name, value]) => name in item.dataset && item.dataset[name] !== value);
  }
}

function sortBy(column, header) {
  const down = header.dataset.down !== "yes";
  header.dataset.down = down ? "yes" : "no";
  const key = (row) => {
    const text = row.cells[column].textContent;
    const number = parseFloat(text.replace("< ", ""));
    return Number.isNaN(number) ? text : number;
  };
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  });
  body.append(...rows);
}

form.addEventListener("change", filter);
document.querySelectorAll("th").forEach((header, column) => {
  header.addEventListener("click", () => sortBy(column, header));
});
filter();
