"use strict";

// Figures and the open party follow events; a burst of them asks once.
(() => {
  const shown = document.querySelector("[data-party]");
  const follows = shown || document.querySelector("[hx-trigger^='live ']");
  const worker = document.querySelector("meta[name=live]");
  if (!follows || !worker || !window.EventSource) return;

  let waiting = null;
  let mine = false;
  const changed = (event) => {
    if (shown && !event.all && event.party !== shown.dataset.party) return;
    mine = mine || Boolean(shown);
    waiting ??= setTimeout(() => {
      waiting = null;
      document.body.dispatchEvent(new CustomEvent(mine ? "live-party" : "live"));
      mine = false;
    }, 600);
  };

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
