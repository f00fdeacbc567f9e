// The list of documents: selection for bulk actions, and progress of what is being processed.

const results = () => document.getElementById("results");
const LABELS = { pending: "Waiting", processing: "Processing", done: "Done", failed: "Failed", canceled: "Canceled" };

// Selection

function boxes() {
  return [...results().querySelectorAll('input[name="id"]')];
}

function showSelection() {
  const bar = results().querySelector("[data-bulk]");
  if (!bar) return;
  const all = boxes();
  const count = all.filter((box) => box.checked).length;
  bar.hidden = count === 0;
  bar.querySelector("[data-count]").textContent = `${count} selected`;
  const every = results().querySelector("[data-select-all]");
  every.checked = count > 0 && count === all.length;
  every.indeterminate = count > 0 && count < all.length;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-select-all]")) {
    for (const box of boxes()) box.checked = event.target.checked;
  }
  if (event.target.matches('[data-select-all], input[name="id"]')) showSelection();
});

document.addEventListener("click", (event) => {
  if (!event.target.matches("[data-clear]")) return;
  for (const box of boxes()) box.checked = false;
  showSelection();
  results().querySelector("[data-select-all]").focus();
});

// Progress

let source = null;
let ended = new Set();
let timer = 0;

function liveIds() {
  return [...results().querySelectorAll("tr[data-live]")].map((row) => row.dataset.id);
}

function follow() {
  source?.close();
  source = null;
  const ids = liveIds();
  if (ids.length === 0 || document.hidden) return;
  source = new EventSource(`/admin/documents/events/?ids=${ids.join(",")}`);
  source.addEventListener("document", (event) => update(JSON.parse(event.data)));
}

function update({ id, status, pages_done: done, page_count: count }) {
  const row = document.getElementById(`document-${id}`);
  if (!row || !("live" in row.dataset)) return;
  if (status === "pending" || status === "processing") {
    showStatus(row, status);
    const progress = row.querySelector("[data-progress]");
    progress.hidden = !count;
    if (!count) return;
    Object.assign(progress.querySelector("progress"), { max: count, value: done });
    progress.querySelector("[data-progress-text]").textContent = `${done} of ${count} ${count === 1 ? "page" : "pages"}`;
  } else {
    delete row.dataset.live;
    showStatus(row, status);
    row.querySelector("[data-progress]")?.remove();
    ended.add(row.id);
    // Several documents may end together: they are read again by one request.
    clearTimeout(timer);
    timer = setTimeout(replaceEnded, 400);
  }
  if (liveIds().length === 0) source?.close();
}

function showStatus(row, status) {
  const badge = row.querySelector("[data-status]");
  badge.className = `badge badge-${status}`;
  badge.textContent = LABELS[status];
}

// What an event does not say (thumbnail, regions, errors) is on the same page, read again.
async function replaceEnded() {
  const ids = ended;
  ended = new Set();
  const response = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!response?.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of ids) {
    const [row, next] = [document.getElementById(id), fresh.getElementById(id)];
    if (!row || !next) continue;
    const checked = row.querySelector('input[name="id"]')?.checked;
    const focused = row.contains(document.activeElement) ? document.activeElement.tagName : null;
    row.replaceWith(document.adoptNode(next));
    const box = next.querySelector('input[name="id"]');
    if (box) box.checked = checked;
    if (focused) next.querySelector(focused)?.focus();
    next.classList.add("is-new");
    // The page's common script shows its time and restores the roles of its cells.
    next.dispatchEvent(new CustomEvent("htmx:afterSettle", { bubbles: true }));
  }
}

function start() {
  showSelection();
  follow();
}

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id === "results" || event.target === document.body) start();
});
document.addEventListener("htmx:historyRestore", start);
document.addEventListener("visibilitychange", follow);
addEventListener("pagehide", () => source?.close());
start();
