"use strict";

// What happens, as the gateway tells it. As a shared worker it is one stream for all pages of a browser, which opens six
// connections to a place and no more; where there are no such workers, a page runs the same by itself.
const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;

self.followEvents = (types, tell) => {
  let source = null;
  let again = null;
  let last = "";
  let waits = FIRST_MS;
  let refused = false;

  const open = () => {
    source = new EventSource(last ? `/stream?after=${last}` : "/stream");
    const heard = (event) => {
      last = event.lastEventId || last;
      try {
        tell({ party: JSON.parse(event.data).party_id });
      } catch {
        tell({ all: true });
      }
    };
    types.forEach((type) => source.addEventListener(type, heard));
    source.addEventListener("message", heard);
    source.addEventListener("reset", (event) => {
      last = event.lastEventId || last;
      tell({ all: true });
    });
    source.onopen = () => {
      // One that had heard of nothing yet does not know behind what to go on.
      tell({ live: true, all: refused && !last });
      refused = false;
      waits = FIRST_MS;
    };
    source.onerror = () => {
      tell({ live: false });
      // A connection that breaks is taken up again by the browser; one that is refused, as by a gateway that has just
      // started, never is.
      if (source.readyState !== EventSource.CLOSED) return;
      refused = true;
      again = setTimeout(open, waits * (0.5 + Math.random() / 2));
      waits = Math.min(waits * 2, LONGEST_MS);
    };
  };

  open();
  return () => {
    clearTimeout(again);
    source.close();
  };
};

if ("onconnect" in self) {
  const pages = new Set();
  let live = null;
  let end = null;

  const tell = (said) => {
    live = said.live ?? live;
    pages.forEach((page) => page.postMessage(said));
  };

  self.onconnect = (event) => {
    const page = event.ports[0];
    pages.add(page);
    page.onmessage = (said) => {
      if (said.data === "bye") pages.delete(page);
      if (pages.size === 0 && end) {
        end();
        end = live = null;
      }
    };
    page.start();
    if (live !== null) page.postMessage({ live });
    // A worker is known by its name: that is the list of the types that its pages want.
    end ??= self.followEvents(self.name.split(" "), tell);
  };
}
