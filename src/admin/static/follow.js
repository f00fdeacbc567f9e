// Progress of documents: events for a few, questions now and then for the others. Browsers open six
// connections to a server at most, and three are for the uploads.

import { fetchJson } from "./http.js";

const STREAMS = 2;
const POLL = 4000;
const LAST = ["done", "failed", "canceled"];

let streams = 0;

/** Calls `report` with {status, pages_done, pages_failed, page_count} until the document has ended. */
export function followDocument(id, report) {
  if (streams < STREAMS) stream(id, report);
  else poll(id, report);
}

function stream(id, report) {
  streams += 1;
  const source = new EventSource(`/api/v1/documents/${id}/events`);
  const end = () => {
    source.close();
    streams -= 1;
  };
  for (const kind of ["queued", "started", "page", ...LAST]) {
    source.addEventListener(kind, (event) => {
      const state = JSON.parse(event.data);
      report(state);
      if (LAST.includes(kind)) end();
    });
  }
  source.addEventListener("error", () => {
    // A stream that broke off is opened again by the browser; a refused one is not.
    if (source.readyState !== EventSource.CLOSED) return;
    end();
    poll(id, report);
  });
}

function poll(id, report) {
  setTimeout(async () => {
    let state = null;
    try {
      state = await fetchJson(`/api/v1/documents/${id}`);
    } catch {
      return poll(id, report);
    }
    report({ ...state, error: state.error?.message });
    if (LAST.includes(state.status)) return;
    if (streams < STREAMS) stream(id, report);
    else poll(id, report);
  }, POLL);
}
