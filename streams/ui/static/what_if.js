// The sliders of the page on thresholds: each shows the row of its worker's table that it stands on.
// The page works without it, by a form.
"use strict";

function move(slider) {
  const worker = slider.closest("[data-worker]");
  const row = worker.querySelectorAll("[data-points] tbody tr")[Number(slider.value)];
  const texts = Array.from(row.cells, (cell) => cell.textContent);
  for (const shown of worker.querySelectorAll("[data-column]")) {
    const text = texts[Number(shown.dataset.column)];
    if (shown.textContent !== text) shown.textContent = text; // an equal one would call the observer below again
  }
  worker.classList.toggle("at-rest", slider.value === slider.dataset.rest); // it shows the present threshold alone
  slider.setAttribute("aria-valuetext", texts.join(", "));
  for (const line of worker.querySelectorAll(".cursor")) {
    const [low, high] = [Number(line.dataset.low), Number(line.dataset.high)];
    line.setAttribute("transform", `translate(${low + (high - low) * Number(texts[0])} 0)`);
  }
}

function prepare() {
  for (const slider of document.querySelectorAll("[data-worker] input[type=range]")) move(slider);
}

document.addEventListener("input", (event) => event.target.matches("[data-worker] input[type=range]") && move(event.target));
document.body.classList.add("scripted");
new MutationObserver(prepare).observe(document.getElementById("main"), { childList: true, subtree: true });
prepare();
