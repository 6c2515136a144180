"use strict";

// The token of the forms goes with whatever htmx sends.
document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRF-Token"] = document.querySelector("meta[name=csrf]").content;
  // What a page asks for now and then, or because something happened elsewhere, nobody asks for.
  if (event.detail.triggeringEvent?.isTrusted !== true) event.detail.headers["X-Unattended"] = "1";
});

// On a phone the navigation is a strip: the place that one is at is in sight.
document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

const typing = (element) => element.closest("input, select, textarea, [contenteditable]") !== null;

// Rows of a list are walked with the arrows, and opened with Enter as the links that they are.
const walk = (step) => {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (rows.length === 0) return false;
  const at = rows.indexOf(document.activeElement.closest("[data-row]") ?? document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1);
  rows[next].focus();
  return true;
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    return;
  }
  if (typing(event.target)) return;
  const find = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (find) {
    event.preventDefault();
    find.focus();
    find.select();
  } else if ((event.key === "ArrowDown" && walk(1)) || (event.key === "ArrowUp" && walk(-1))) {
    event.preventDefault();
  }
});

document.addEventListener("click", (event) => {
  document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});

// What takes the place of a part has open what was opened in it, stands where it was moved to, and has the focus that was
// in it; where more of a list takes the place of the word for it, the focus goes to the first that is new.
const able = (part) => [...part.querySelectorAll("a, button, summary, input, select, textarea, [tabindex]")];
const named = (place) => place.id || (place.matches("summary") && place.parentElement.id)
  || (!place.closest(".more") && place.getAttribute("href")) || place.getAttribute("aria-labelledby")
  || place.getAttribute("aria-label") || place.textContent;
const alike = (part, name) => able(part).filter((place) => named(place) === name);
let kept = null;

document.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
  const at = able(target).find((place) => place === document.activeElement);
  kept = {
    opened: [...target.querySelectorAll("details")].map((each) => each.open),
    moved: [...target.querySelectorAll(".table")].map((each) => each.scrollLeft),
    last: at && target.matches("tr.more, li.more") && target.previousElementSibling,
    name: at && named(at),
    nth: at && alike(target, named(at)).indexOf(at),
  };
});
document.addEventListener("htmx:afterSwap", ({ detail: { target } }) => {
  if (!kept) return;
  const { opened, moved, last, name, nth } = kept;
  kept = null;
  if (last) {
    const first = last.nextElementSibling;
    (first?.matches("[tabindex]") ? first : first?.querySelector("[data-row]"))?.focus();
    return;
  }
  const part = target.isConnected ? target : document.getElementById(target.id);
  if (!part) return;
  const details = [...part.querySelectorAll("details")];
  if (details.length === opened.length) details.forEach((each, at) => (each.open = opened[at]));
  const tables = [...part.querySelectorAll(".table")];
  if (tables.length === moved.length) tables.forEach((each, at) => (each.scrollLeft = moved[at]));
  if (name !== undefined) alike(part, name)[nth]?.focus({ preventScroll: true });
});

// Whoever tells a part anew tells what is open in it, too.
document.addEventListener("htmx:configRequest", ({ detail: { elt, parameters } }) => {
  const open = [...elt.querySelectorAll("details[open][data-told]")].map((each) => each.dataset.told);
  if (open.length) parameters.open = open;
});

// What a part that follows by itself says of the whole is said aloud when it turns, not whenever it is drawn.
const heard = document.getElementById("heard");
const verdict = () => [...document.querySelectorAll("[data-verdict]")].map((each) => each.textContent).join(" ");
let before = verdict();
document.addEventListener("htmx:afterSwap", () => {
  if (heard && verdict() !== before) heard.textContent = before = verdict();
});

// A file may be let go anywhere on the place for it, and not on the field alone: beside that a browser would open it.
document.querySelectorAll(".drop").forEach((place) => {
  const field = place.querySelector("input[type=file]");
  const several = place.querySelector("[data-several]");
  const tell = (files) => (several.textContent = files.length > 1 ? several.dataset.several : "");
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    const { files } = event.dataTransfer;
    if (files.length === 0 || field.matches(":disabled")) return;
    const one = new DataTransfer();
    one.items.add(files[0]);
    field.files = one.files;
    tell(files);
  });
  field.addEventListener("change", () => tell(field.files));
});

// What cannot be taken back is asked about first, by the form or the button; `#` is how many were chosen.
document.addEventListener("submit", (event) => {
  const chosen = event.target.querySelectorAll("[name=id]:checked, [name=id][type=hidden]");
  const question = (event.submitter?.dataset.ask ?? event.target.dataset.ask)?.replace("#", chosen.length);
  if (question && !window.confirm(question)) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}, true);

// A form that is on its way cannot be sent twice.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  setTimeout(() => event.target.querySelectorAll("button").forEach((button) => (button.disabled = true)));
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form button:disabled:not([data-off])").forEach((button) => (button.disabled = false));
});

// What is wrong with the way to the gateway is said in sight and aloud, once, and taken back when it is over.
const said = document.getElementById("said");
const wrong = new Map();
const say = () => {
  const first = ["away", "failed", "deaf"].find((each) => wrong.has(each));
  const text = first ? said.dataset[first] : "";
  if (said.textContent !== text) said.textContent = text;
};
const goes = (what, holds, path = null) => {
  if (holds) wrong.set(what, path);
  else if (wrong.get(what) === path) wrong.delete(what);
  say();
};
const UNREACHED = [502, 503, 504];

document.addEventListener("htmx:sendError", () => goes("away", true));
document.addEventListener("htmx:responseError", (event) => {
  if (UNREACHED.includes(event.detail.xhr.status)) goes("away", true);
  else goes("failed", true, event.detail.pathInfo.requestPath);
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (!event.detail.successful) return;
  goes("away", false);
  goes("failed", false, event.detail.pathInfo.requestPath);
});

// A stream that breaks is mostly there again before anybody would have read of it.
const DEAF_MS = 5_000;
let deaf = null;
document.addEventListener("live-state", (event) => {
  if (event.detail) {
    clearTimeout(deaf);
    deaf = null;
    goes("deaf", false);
  } else {
    deaf ??= setTimeout(() => goes("deaf", true), DEAF_MS);
  }
});
