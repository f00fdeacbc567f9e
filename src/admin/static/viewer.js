// The page of a document: goes from page to page without loading all anew, and follows the processing.

import { fetchPage, swap } from "./http.js";
import * as regions from "./regions.js";
import { Strip } from "./strip.js";
import * as zooming from "./zoom.js";

const LABELS = { pending: "Waiting", processing: "Processing", done: "Done", failed: "Failed", canceled: "Canceled" };
const viewer = document.getElementById("viewer");
const shown = () => document.getElementById("shown");
let strip = null;

// Pages

let loading = null;

/** Shows another page: the server renders it, and its part is put in place of the present one. */
async function goTo(url, push = true) {
  loading?.abort();
  loading = new AbortController();
  const { signal } = loading;
  const number = Number(new URL(url, location.href).searchParams.get("page"));
  shown().classList.add("is-busy");
  if (strip.numbers.includes(number)) strip.show(number);
  const page = await fetchPage(url, signal);
  if (signal.aborted) return;
  // Signed out, deleted, or no answer: the browser shows what there is.
  if (!page?.getElementById("shown")) return location.assign(url);
  if (push) history.pushState({}, "", url);
  const focused = shown().contains(document.activeElement) ? document.activeElement : null;
  put(page);
  restoreFocus(focused);
  const about = shown().querySelector(".panel h2, .stage-empty h2").textContent;
  shown().querySelector("[data-announce]").textContent = `Page ${shown().dataset.number}. ${about}`;
}

function put(page) {
  swap("shown", page);
  swap("crops", page);
  regions.applyChoice(shown());
  zooming.applyZoom(shown());
  strip.show(Number(shown().dataset.number));
}

function restoreFocus(old) {
  if (!old) return;
  const same = old.id && document.getElementById(old.id);
  const near = old.closest(".panel") ? ".region-list a[tabindex='0']" : ".stage";
  const target = same || shown().querySelector(near) || shown().querySelector("a, input");
  target?.focus({ preventScroll: true });
}

function turn(by) {
  const link = document.getElementById(by > 0 ? "next" : "prev");
  if (link) goTo(link.href);
}

function listenForPages() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-page-link]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    goTo(link.href);
  });
  viewer.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-page-form]")) return;
    event.preventDefault();
    goTo(`?page=${encodeURIComponent(event.target.elements.page.value)}`);
  });
  const first = shown().dataset.number;
  addEventListener("popstate", () => {
    // A link to a part of this page is no other page.
    const number = new URLSearchParams(location.search).get("page") ?? first;
    if (number !== shown().dataset.number) goTo(`?page=${number}`, false);
  });
}

// Keys

const KEYS = {
  j: () => regions.step(shown(), 1),
  k: () => regions.step(shown(), -1),
  "]": () => turn(1),
  "[": () => turn(-1),
  m: () => regions.toggle(shown(), "masks"),
  l: () => regions.toggle(shown(), "labels"),
  "+": () => zooming.zoom(shown(), zooming.STEP),
  "=": () => zooming.zoom(shown(), zooming.STEP),
  "-": () => zooming.zoom(shown(), 1 / zooming.STEP),
  0: () => zooming.zoom(shown(), null),
};
// These scroll elsewhere, so they act only in the picture and the list of regions.
const INSIDE = {
  ArrowDown: KEYS.j, ArrowRight: KEYS.j, ArrowUp: KEYS.k, ArrowLeft: KEYS.k,
  PageDown: KEYS["]"], PageUp: KEYS["["],
  Enter: () => regions.showCrop(shown()),
};

function isTyping(element) {
  return element.isContentEditable || element.matches("input:not([type=checkbox], [type=range]), textarea, select");
}

function listenForKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) return;
    if (event.key === "Escape" && regions.clear(shown())) return;
    const inside = event.target.closest(".stage, .region-list");
    // A link that has the focus acts on Enter by itself.
    if (event.key === "Enter" && event.target.closest("a")) return;
    const act = KEYS[event.key.toLowerCase()] ?? (inside && INSIDE[event.key]);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

// Progress

let source = null;
let timer = 0;

function follow() {
  source?.close();
  source = null;
  const state = document.getElementById("state");
  const id = document.querySelector("[data-document-id]").dataset.documentId;
  if (!("live" in state.dataset) || document.hidden) return;
  source = new EventSource(`/api/v1/documents/${id}/events`);
  for (const kind of ["queued", "started", "page"]) {
    source.addEventListener(kind, (event) => progress(JSON.parse(event.data), 2500));
  }
  for (const kind of ["done", "failed", "canceled"]) {
    source.addEventListener(kind, (event) => progress(JSON.parse(event.data), 300));
  }
}

function progress({ status, pages_done: done, page_count: count, at }, wait) {
  const state = document.getElementById("state");
  // The stream begins with what happened to the document before it was queued this time.
  if (new Date(at) < new Date(state.dataset.since)) return;
  const badge = state.querySelector("[data-status]");
  badge.className = `badge badge-${status}`;
  badge.textContent = LABELS[status];
  const bar = state.querySelector("progress");
  if (bar && count) {
    Object.assign(bar, { max: count, value: done, hidden: false });
    state.querySelector("[data-progress-text]").textContent = `${done} of ${count} ${count === 1 ? "page" : "pages"}`;
  }
  // What an end changes is shown soon, pages that come one by one now and then.
  if (wait < 1000) clearTimeout(timer);
  else if (timer) return;
  timer = setTimeout(refresh, wait);
}

/** Reads this page again and replaces what has changed; a menu that is open stays as it is. */
async function refresh() {
  timer = 0;
  const page = await fetchPage(location.href);
  if (!page) return;
  const fresh = page.getElementById("viewer");
  // The first page has come, or all are gone: everything is different.
  if (Boolean(fresh) !== Boolean(viewer)) return location.reload();
  swap("state", page);
  swap("details", page);
  if (!document.querySelector("#actions details[open], #actions :focus")) swap("actions", page);
  if (fresh) {
    const other = page.getElementById("shown");
    // Other thumbnails are those of another run.
    const replaced = fresh.dataset.thumbnails !== viewer.dataset.thumbnails;
    const changed = replaced || other.dataset.state !== shown().dataset.state;
    if (replaced || fresh.dataset.pages !== viewer.dataset.pages || fresh.dataset.numbers !== viewer.dataset.numbers) {
      Object.assign(viewer.dataset, { ...fresh.dataset });
      strip.read(viewer);
    }
    if (changed) put(page);
  }
  if (!("live" in document.getElementById("state").dataset)) follow();
}

document.addEventListener("visibilitychange", follow);
addEventListener("pagehide", () => source?.close());
document.addEventListener("click", (event) => {
  if (event.target.matches("[data-cancel-rename]")) event.target.closest("details").open = false;
});
document.addEventListener("toggle", (event) => {
  if (event.target.matches(".rename[open]")) event.target.querySelector("input[name=title]").select();
}, true);

if (viewer) {
  strip = new Strip(viewer);
  strip.show(Number(shown().dataset.number), false);
  regions.applyChoice(shown());
  zooming.applyZoom(shown());
  regions.listen(viewer, shown);
  zooming.listen(viewer, shown);
  listenForPages();
  listenForKeys();
}
follow();
