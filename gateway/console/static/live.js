"use strict";

// Figures and the open party follow events; a burst of them asks once.
(() => {
  const shown = document.querySelector("[data-party]");
  // A page of an empty house is another one as soon as somebody is there.
  const anew = document.querySelector("[data-anew]");
  const follows = shown || anew || document.querySelector("[hx-trigger^='live ']");
  const stream = document.querySelector("meta[name=live]");
  if (!follows || !stream || !window.EventSource) return;

  // What a stream that is broken does not tell is looked for now and then, by whoever can be seen.
  const SLOWLY_MS = 15_000;
  const SOON_MS = [1_500, 4_000];
  const TOGETHER_MS = 600;
  const AGAIN_MS = 5_000;

  const refresh = async () => {
    if (!anew) return document.body.dispatchEvent(new CustomEvent(shown ? "live-party" : "live"));
    const answer = await fetch(window.location.href, { headers: { "X-Unattended": "1" } }).catch(() => null);
    if (answer?.ok && !(await answer.text()).includes("data-anew")) window.location.reload();
  };
  setInterval(() => document.hidden || refresh(), SLOWLY_MS);
  // What was recorded just now, of whatever day, is about to be assessed.
  if (document.querySelector(".notice")) SOON_MS.forEach((after) => setTimeout(refresh, after));

  let waiting = null;
  const heard = (said) => {
    if ("live" in said) document.dispatchEvent(new CustomEvent("live-state", { detail: said.live }));
    const meant = said.all || (said.party && (!shown || said.party === shown.dataset.party));
    if (!meant) return;
    waiting ??= setTimeout(() => {
      waiting = null;
      refresh();
    }, TOGETHER_MS);
  };

  // What somebody is about to fill in or to press is not taken from under their hands: it follows when they are gone.
  let held = false;
  const filled = (field) => {
    if (field.matches("select")) return field.selectedIndex !== Math.max([...field.options].findIndex((each) => each.defaultSelected), 0);
    return field.matches("[type=checkbox], [type=radio]") ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
  };
  const inUse = (part) => part.contains(document.activeElement) || part.querySelector("[role=alert]")
    || [...part.querySelectorAll("input:not([type=hidden]), select, textarea")].some(filled);
  document.addEventListener("focusout", () => {
    if (!held) return;
    held = false;
    setTimeout(refresh);
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    if (!part.matches("[data-held]") || !inUse(part)) return;
    held = true;
    event.detail.shouldSwap = false;
  });
  // What somebody leafed to is told again with the rest.
  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, parameters } = event.detail;
    if (elt.id === "timeline") parameters.shown = elt.querySelectorAll(".entry").length;
  });

  const types = stream.dataset.types;
  const shared = () => {
    const worker = new SharedWorker(stream.content, { name: types });
    worker.port.onmessage = (said) => heard(said.data);
    worker.port.start();
    worker.onerror = () => setTimeout(shared, AGAIN_MS);
    window.addEventListener("pagehide", () => worker.port.postMessage("bye"));
  };
  const alone = () => {
    const script = document.createElement("script");
    script.src = stream.content;
    script.onload = () => window.addEventListener("pagehide", self.followEvents(types.split(" "), heard));
    script.onerror = () => setTimeout(alone, AGAIN_MS);
    document.head.append(script);
  };
  window.addEventListener("pageshow", (event) => event.persisted && window.location.reload());
  window.SharedWorker ? shared() : alone();
})();
