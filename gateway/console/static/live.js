"use strict";

// Figures and the open party follow events; a burst of them asks once.
(() => {
  const shown = document.querySelector("[data-party]");
  // A page of an empty house is another one as soon as somebody is there.
  const anew = document.querySelector("[data-anew]");
  const follows = shown || anew || document.querySelector("[hx-trigger^='live ']");
  const worker = document.querySelector("meta[name=live]");
  if (!follows || !worker || !window.EventSource) return;

  // What a file tells of long ago is not in the stream: that is looked for now and then, by whoever can be seen.
  const SLOWLY_MS = 15_000;
  const SOON_MS = [1_500, 4_000];

  const refresh = async () => {
    if (!anew) return document.body.dispatchEvent(new CustomEvent(shown ? "live-party" : "live"));
    const answer = await fetch(window.location.href).catch(() => null);
    if (answer?.ok && !(await answer.text()).includes("data-anew")) window.location.reload();
  };
  setInterval(() => document.hidden || refresh(), SLOWLY_MS);
  // What was recorded just now, of whatever day, is about to be assessed.
  if (document.querySelector(".notice")) SOON_MS.forEach((after) => setTimeout(refresh, after));

  let waiting = null;
  const changed = (event) => {
    if (shown && !event.all && event.party !== shown.dataset.party) return;
    waiting ??= setTimeout(() => {
      waiting = null;
      refresh();
    }, 600);
  };

  // What somebody opened to read stays open when its figures are replaced.
  let opened = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    opened = [...event.detail.target.querySelectorAll("details")].map((each) => each.open);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const now = [...event.detail.target.querySelectorAll("details")];
    if (now.length === opened.length) now.forEach((each, nth) => (each.open = opened[nth]));
  });

  if (window.SharedWorker) {
    const shared = new SharedWorker(worker.content);
    shared.port.onmessage = (said) => changed(said.data);
    shared.port.start();
    window.addEventListener("pagehide", () => shared.port.postMessage("bye"));
    window.addEventListener("pageshow", (event) => event.persisted && window.location.reload());
  } else {
    const source = new EventSource("/stream");
    const heard = (event) => changed({ party: JSON.parse(event.data).party_id });
    ["scoring.standing_changed.v1", "scoring.standing_regraded.v1", "customers.purchase_completed.v1",
      "customers.interaction_recorded.v1", "customers.fact_withdrawn.v1"].forEach((type) => source.addEventListener(type, heard));
    source.addEventListener("reset", () => changed({ all: true }));
    window.addEventListener("pagehide", () => source.close());
  }
})();
