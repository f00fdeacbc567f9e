// What every page gains from JavaScript; each page works without it.
"use strict";

document.documentElement.classList.add("js");

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function ago(date) {
  const seconds = (date - Date.now()) / 1000;
  if (Math.abs(seconds) < 45) return "just now";
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
  return relative.format(Math.round(seconds / length) || Math.sign(seconds), unit);
}

// <time datetime> reads "3 min. ago" for a month, the local date after that or with data-absolute.
function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    const local = absolute.format(date);
    const old = Math.abs(Date.now() - date) > 30 * 86400 * 1000;
    const text = old || "absolute" in time.dataset ? local : ago(date);
    if (time.textContent !== text) time.textContent = text;
    if (time.title !== local) time.title = local;
  }
}

// Tables shown as cards lose their roles with `display: block`; these put them back.
function keepTableRoles(root) {
  for (const table of root.querySelectorAll(".table-cards")) {
    table.setAttribute("role", "table");
    const roles = { "thead, tbody": "rowgroup", tr: "row", td: "cell", "thead th": "columnheader", "tbody th": "rowheader" };
    for (const [selector, role] of Object.entries(roles)) {
      for (const element of table.querySelectorAll(selector)) element.setAttribute("role", role);
    }
  }
}

function enhance(root) {
  showTimes(root);
  keepTableRoles(root);
}

function openDialog(id) {
  const dialog = document.getElementById(id);
  if (dialog && !dialog.open) dialog.showModal();
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const text = source.value ?? source.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Without HTTPS there is no clipboard: the text is selected, so that the keyboard copies it.
    getSelection().selectAllChildren(source);
    button.textContent = "Selected: press Ctrl+C";
  }
}

function isTyping(element) {
  return element.isContentEditable || element.matches("input:not([type=checkbox], [type=radio], [type=range]), textarea, select");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dismiss], [data-copy], [data-open]");
  if (button?.matches("[data-dismiss]")) {
    button.closest(".notice").remove();
    document.getElementById("main").focus();
  }
  if (button?.matches("[data-copy]")) copy(button);
  if (button?.matches("[data-open]")) openDialog(button.dataset.open);
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = document.querySelector("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "?") openDialog("shortcuts");
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  }
});

// A filter hides the rows and groups of the page that do not contain what is typed.
document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-filter]")) return;
  const wanted = event.target.value.trim().toLowerCase();
  for (const group of document.querySelectorAll("[data-filter-group]")) {
    let shown = 0;
    for (const row of group.querySelectorAll("[data-filter-row]")) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      if (!row.hidden) shown += 1;
    }
    group.hidden = shown === 0;
  }
  const none = document.querySelector("[data-filter-none]");
  if (none) none.hidden = document.querySelector("[data-filter-group]:not([hidden])") !== null;
});

document.addEventListener("focusout", (event) => {
  const menu = event.target.closest("details.menu[open]");
  if (menu && event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
});

// A page that refreshes itself holds still while nobody sees it, while a person is choosing
// something in it, and for as long as its switch is off.
document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.target.closest("[data-refresh]");
  if (!part) return;
  const off = document.getElementById(part.dataset.refresh)?.checked === false;
  const busy = part.querySelector("details[open]") || part.querySelector(":is(input, select):focus") || document.querySelector("dialog[open]");
  const selecting = !getSelection().isCollapsed;
  if (off || busy || selecting || document.hidden) event.preventDefault();
});
document.addEventListener("htmx:afterSettle", (event) => enhance(event.target));

enhance(document);
setInterval(() => showTimes(document), 30000);
