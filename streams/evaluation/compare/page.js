"use strict";
const search = document.getElementById("search");
const change = document.getElementById("change");
const right = document.getElementById("right");
const rows = Array.from(document.querySelectorAll(".flips tbody tr"));
const texts = rows.map((row) => row.textContent.toLowerCase());

function filter() {
  const wanted = search.value.trim().toLowerCase();
  let shown = 0;
  rows.forEach((row, place) => {
    const changes = row.dataset.changes.split(" ");
    row.hidden =
      !texts[place].includes(wanted) ||
      (change.value !== "" && !changes.includes(change.value)) ||
      (right.value !== "" && row.dataset.right !== right.value);
    shown += row.hidden ? 0 : 1;
  });
  document.getElementById("shown").textContent = shown + " of " + rows.length + " shown";
}

document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());
for (const control of [search, change, right]) control.addEventListener("input", filter);
filter();
