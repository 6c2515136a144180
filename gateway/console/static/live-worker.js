"use strict";

// One stream for all pages of a browser: it opens six connections to a place and no more.
const pages = new Set();
let source = null;

const tell = (message) => pages.forEach((page) => page.postMessage(message));

const open = () => {
  // A connection that breaks is taken up again by the browser, behind the last event that it saw.
  source = new EventSource("/stream");
  const heard = (event) => {
    try {
      tell({ party: JSON.parse(event.data).party_id });
    } catch {
      tell({ all: true });
    }
  };
  ["scoring.standing_changed.v1", "scoring.standing_regraded.v1", "customers.purchase_completed.v1",
    "customers.interaction_recorded.v1", "customers.fact_withdrawn.v1"].forEach((type) => source.addEventListener(type, heard));
  source.addEventListener("message", heard);
  source.addEventListener("reset", () => tell({ all: true }));
};

self.onconnect = (event) => {
  const page = event.ports[0];
  pages.add(page);
  page.onmessage = (said) => {
    if (said.data === "bye") pages.delete(page);
    if (pages.size === 0 && source) {
      source.close();
      source = null;
    }
  };
  page.start();
  if (!source) open();
};
