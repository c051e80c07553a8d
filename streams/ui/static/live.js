// The script of the operator's pages: it brings the parts marked data-live up to date. Every page works without it.
"use strict";

const parts = new Map(Array.from(document.querySelectorAll("[data-live]"), (part) => [part.dataset.live, part]));
let stream = null;

// Change an element into a new one step by step, so that open details, the focus and CSS transitions are kept.
function morph(old, fresh) {
  for (const { name } of Array.from(old.attributes)) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
  }
  const known = new Map();
  for (const child of old.children) if (child.dataset.key) known.set(child.dataset.key, child);
  let next = old.firstChild;
  for (const child of Array.from(fresh.childNodes)) {
    const key = child.dataset ? child.dataset.key : undefined;
    const match = key ? known.get(key) : next && !(next.dataset && next.dataset.key) ? next : null;
    if (match && match.nodeName === child.nodeName) {
      if (match === next) next = next.nextSibling;
      else old.insertBefore(match, next);
      if (child.nodeType === Node.ELEMENT_NODE) morph(match, child);
      else if (match.nodeValue !== child.nodeValue) match.nodeValue = child.nodeValue;
    } else {
      old.insertBefore(child, next);
    }
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

function show(event) {
  const part = parts.get(event.type);
  const typing = document.activeElement && document.activeElement.matches("input, select, textarea");
  if (typing && part.contains(document.activeElement)) return;
  const fresh = part.cloneNode(false);
  fresh.innerHTML = event.data;
  morph(part, fresh);
}

function follow() {
  if (stream || document.hidden) return;
  const address = new URLSearchParams(location.search);
  address.set("fragments", Array.from(parts.keys()).join(","));
  stream = new EventSource("/live?" + address);
  for (const name of parts.keys()) stream.addEventListener(name, show);
}

// A hidden page does not listen: browsers keep only six connections to a server.
function leave() {
  if (stream) stream.close();
  stream = null;
}

// On a narrow screen the navigation is a row that scrolls: begin at the present page.
const present = document.querySelector("nav [aria-current]");
if (present) present.parentElement.scrollLeft = present.offsetLeft - present.parentElement.offsetLeft;

if (parts.size) {
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", follow);
  follow();
}
