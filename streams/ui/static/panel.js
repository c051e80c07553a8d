// The script of the panel's pages: keys, the clock, and forms that are posted again until they are saved.
// Every page works without it.
"use strict";

const form = document.getElementById("judge");
const status_line = document.getElementById("status");
const fields = form ? Array.from(form.querySelectorAll(".field")) : [];
const KEYS_OFF = "escalon-keys-off";
const POST_SECONDS = 20;
let active = 0;
let posting = false;

const chosen = (field) => field.querySelector("input:checked");
const typing = (element) => element.matches("textarea, input:not([type=radio]):not([type=checkbox]), select");
const open_popover = () => document.querySelector("[popover]:popover-open");

function say(words, problem = false) {
  if (!status_line) return;
  status_line.textContent = words;
  status_line.classList.toggle("problem", problem);
}

// Questions ---------------------------------------------------------------------------------------------------------

function activate(place, focus) {
  active = Math.max(0, Math.min(place, fields.length - 1));
  fields.forEach((field, other) => field.classList.toggle("active", other === active));
  if (!focus || !fields.length) return;
  const input = chosen(fields[active]) || fields[active].querySelector("input");
  input.focus({ preventScroll: true });
  for (const shown of [fields[active].closest("fieldset"), fields[active]]) shown.scrollIntoView({ block: "nearest" });
}

function answer(key) {
  const field = fields[active];
  const input = field && Array.from(field.querySelectorAll("input")).find((one) => one.dataset.key === key);
  if (!input) return false;
  input.checked = true;
  const open = fields.findIndex((one) => !chosen(one));
  say(open < 0 ? "All answered. Enter sends." : "");
  activate(active + 1 < fields.length ? active + 1 : open < 0 ? active : open, true);
  return true;
}

function send() {
  const open = fields.findIndex((field) => !chosen(field));
  if (open >= 0) {
    say("Answer every question first.", true);
    activate(open, true);
  } else {
    form.requestSubmit();
  }
}

// Posting -----------------------------------------------------------------------------------------------------------

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// Post a form; return true if it is saved, false if it is not yet, and the response for anything else.
async function post(body, url) {
  try {
    const signal = AbortSignal.timeout(1000 * POST_SECONDS);
    const response = await fetch(url, { method: "POST", body, redirect: "manual", credentials: "same-origin", signal });
    if (response.type === "opaqueredirect" || response.status === 204) return true;
    return response.status === 503 ? false : response;
  } catch {
    return false;
  }
}

async function save(sent) {
  if (posting) return;
  posting = true;
  const body = new URLSearchParams(new FormData(sent));
  document.body.classList.add("posting");
  if (open_popover()) open_popover().hidePopover();
  say("Saving…");
  for (let round = 0; ; round += 1) {
    const result = await post(body, sent.action);
    if (result === true) {
      location.replace(sent.dataset.next);
      return;
    }
    if (result !== false) {
      sent.submit(); // the reply is a page with an explanation
      return;
    }
    say("Not saved yet. Your input is kept; trying again…", true);
    await pause(Math.min(2 ** round, 10) / 2);
  }
}

for (const one of document.querySelectorAll("form[data-next]")) {
  one.addEventListener("submit", (event) => {
    event.preventDefault();
    save(one);
  });
}

// Keys --------------------------------------------------------------------------------------------------------------

function submit(name) {
  const found = document.getElementById(name + "-form");
  if (found) found.requestSubmit();
  return Boolean(found);
}

function show(name) {
  const found = document.getElementById(name);
  if (found) found.togglePopover();
  return Boolean(found);
}

function toggle_differences() {
  const box = document.getElementById("differences");
  if (box) box.checked = !box.checked;
  return Boolean(box);
}

function comment() {
  const box = document.getElementById("comment");
  if (box) box.focus();
  return Boolean(box);
}

const COMMANDS = {
  u: () => submit("undo"),
  p: () => submit("pause"),
  s: () => show("skip"),
  d: toggle_differences,
  c: comment,
  "?": () => show("help"),
  ArrowUp: () => form && (activate(active - 1, true), true),
  ArrowDown: () => form && (activate(active + 1, true), true),
};

function in_popover(shown, key) {
  const input = shown.querySelector(`input[data-key="${CSS.escape(key)}"]`);
  if (input) input.click();
  return Boolean(input);
}

function on_key(event) {
  const target = event.target;
  if (event.ctrlKey && event.key === "Enter" && form && form.contains(target)) {
    event.preventDefault();
    send();
  }
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || posting) return;
  if (typing(target)) {
    if (event.key === "Escape" && target.id === "comment") activate(active, true);
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const shown = open_popover();
  if (shown) {
    if (key === "?") shown.hidePopover();
    else if (key.length === 1 && in_popover(shown, key)) event.preventDefault();
    return;
  }
  if (key === "Enter") {
    if (!form || target.closest("button, a, summary")) return;
    event.preventDefault();
    send();
  } else if (localStorage.getItem(KEYS_OFF) === null || key.length > 1) {
    if (answer(key) || (key in COMMANDS && COMMANDS[key]())) event.preventDefault();
  }
}

document.addEventListener("keydown", on_key);

const use_keys = document.getElementById("use-keys");
if (use_keys) {
  use_keys.checked = localStorage.getItem(KEYS_OFF) === null;
  use_keys.addEventListener("change", () => {
    if (use_keys.checked) localStorage.removeItem(KEYS_OFF);
    else localStorage.setItem(KEYS_OFF, "1");
  });
}

// The case's clock, and the reservation -----------------------------------------------------------------------------

let seconds = 0;
let used_at = Date.now();

function tick() {
  if (document.hidden) return;
  seconds += 1;
  const clock = document.getElementById("clock");
  clock.textContent = Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
}

async function renew(interval) {
  if (posting || Date.now() - used_at > 1000 * interval) return;
  const body = new URLSearchParams(new FormData(form));
  body.set("do", "renew");
  await post(body, form.action);
}

if (form) {
  form.addEventListener("change", (event) => {
    const place = fields.findIndex((field) => field.contains(event.target));
    if (place >= 0) activate(place, false);
    if (status_line.classList.contains("problem")) say("");
  });
  form.addEventListener("focusin", (event) => {
    const place = fields.findIndex((field) => field.contains(event.target));
    if (place >= 0) activate(place, false);
  });
  const open = fields.findIndex((field) => !chosen(field));
  activate(open < 0 ? 0 : open, false);
  if (document.getElementById("clock")) setInterval(tick, 1000);
  const interval = Number(form.dataset.renew || 0);
  if (interval) setInterval(renew, 1000 * interval, interval);
  for (const kind of ["pointerdown", "keydown", "scroll"]) {
    document.addEventListener(kind, () => (used_at = Date.now()), { passive: true, capture: true });
  }
}

// Pages that wait ---------------------------------------------------------------------------------------------------

const waiting = document.querySelector("[data-refresh]");
if (waiting) setTimeout(() => location.reload(), 1000 * Number(waiting.dataset.refresh));
