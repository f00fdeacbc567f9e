// The regions of the shown page: what is visible, which one is chosen, and its crop.

import { drawMasks } from "./masks.js";
import { reveal } from "./zoom.js";

// What the viewer remembers from page to page; `labels` is null until it is chosen: the server shows them where they are few.
const choice = { hidden: new Set(), score: 0, labels: null, masks: false };
let selected = null;

const boxOf = (shown, ordinal) => shown.querySelector(`.region[data-ordinal="${ordinal}"]`);
const itemOf = (shown, ordinal) => shown.querySelector(`.region-list li[data-ordinal="${ordinal}"]`);

/** What is visible, in the server's order: from the top of the page. */
function inOrder(shown) {
  return [...shown.querySelectorAll(".region-list li:not([hidden])")];
}

/** Puts a page that has just come into the state that was chosen. */
export function applyChoice(shown) {
  selected = null;
  for (const box of shown.querySelectorAll("[data-class]")) box.checked = !choice.hidden.has(box.dataset.class);
  const score = shown.querySelector("input[data-score]");
  if (score) score.value = choice.score;
  const [labels, masks] = [shown.querySelector("[data-labels]"), shown.querySelector("[data-masks]")];
  if (labels) labels.checked = choice.labels ?? labels.checked;
  if (masks) masks.checked = choice.masks;
  filter(shown);
}

function filter(shown) {
  const svg = shown.querySelector(".regions");
  if (!svg) return;
  svg.classList.toggle("no-labels", !shown.querySelector("[data-labels]").checked);
  let visible = 0;
  const items = shown.querySelectorAll(".region-list li");
  for (const item of items) {
    const off = choice.hidden.has(item.dataset.label) || Number(item.dataset.score) * 100 < choice.score;
    item.hidden = off;
    boxOf(shown, item.dataset.ordinal).classList.toggle("is-off", off);
    if (!off) visible += 1;
  }
  const text = shown.querySelector("[data-score-text]");
  if (text) text.textContent = `${choice.score} %`;
  const count = shown.querySelector("[data-visible]");
  if (count) count.textContent = `${visible} of ${items.length} regions are shown`;
  if (selected && itemOf(shown, selected)?.hidden) select(shown, null);
  keepOneTabStop(shown);
  drawMasks(shown, choice.masks).catch(() => shown.querySelector("[data-masks]")?.click());
}

// Tab goes to one region; the arrow keys go on from there.
function keepOneTabStop(shown) {
  const items = inOrder(shown);
  const stop = items.find((item) => item.dataset.ordinal === selected) ?? items[0];
  for (const item of shown.querySelectorAll(".region-list li")) {
    const index = item === stop ? 0 : -1;
    item.firstElementChild.setAttribute("tabindex", index);
    boxOf(shown, item.dataset.ordinal).setAttribute("tabindex", index);
  }
}

/** Chooses a region, or none with null. */
export function select(shown, ordinal) {
  for (const old of shown.querySelectorAll(".is-selected")) old.classList.remove("is-selected");
  selected = ordinal;
  if (ordinal !== null) {
    const [box, item] = [boxOf(shown, ordinal), itemOf(shown, ordinal)];
    box.classList.add("is-selected");
    item.classList.add("is-selected");
    const list = item.parentElement;
    const [row, frame] = [item.getBoundingClientRect(), list.getBoundingClientRect()];
    if (row.top < frame.top) list.scrollTop -= frame.top - row.top;
    if (row.bottom > frame.bottom) list.scrollTop += row.bottom - frame.bottom;
    reveal(shown, box);
  }
  keepOneTabStop(shown);
}

/** Chooses the next region (or the one before, with -1); the focus goes along, in the picture or in the list. */
export function step(shown, by) {
  const items = inOrder(shown);
  if (items.length === 0) return;
  const at = items.findIndex((item) => item.dataset.ordinal === selected);
  const next = at < 0 ? (by > 0 ? 0 : items.length - 1) : (at + by + items.length) % items.length;
  const item = items[next];
  select(shown, item.dataset.ordinal);
  const inList = document.activeElement?.closest(".region-list");
  const target = inList ? item.firstElementChild : boxOf(shown, item.dataset.ordinal);
  target.focus({ preventScroll: true });
}

export function clear(shown) {
  if (selected === null) return false;
  const focused = document.activeElement?.closest(".region, .region-list a");
  select(shown, null);
  if (focused) shown.querySelector(".stage").focus({ preventScroll: true });
  return true;
}

export function toggle(shown, name) {
  shown.querySelector(`[data-${name}]`)?.click();
}

/** Opens the crop of the chosen region. */
export function showCrop(shown, ordinal = selected) {
  if (ordinal === null) return;
  const item = itemOf(shown, ordinal);
  const dialog = document.getElementById("crop");
  const [name, percent, size] = [".region-name", ".num", ".region-size"].map((s) => item.querySelector(s).textContent);
  const url = item.dataset.crop;
  dialog.querySelector("h2").textContent = `${name}, ${percent}`;
  const why = url ? "" : ". It was not cut out: its score is below that for crops.";
  dialog.querySelector("[data-crop-text]").textContent = `${size}${why}`;
  const [image, link] = [dialog.querySelector("img"), dialog.querySelector("[data-crop-link]")];
  image.hidden = link.hidden = !url;
  if (url) {
    image.src = link.href = url;
    image.alt = `${name}, cut out of page ${shown.dataset.number}`;
  }
  dialog.showModal();
}

function hover(shown, element, on) {
  const ordinal = element?.closest(".region, .region-list li")?.dataset.ordinal;
  if (ordinal === undefined) return;
  boxOf(shown, ordinal)?.classList.toggle("is-hover", on);
  itemOf(shown, ordinal)?.classList.toggle("is-hover", on);
}

export function listen(viewer, current) {
  viewer.addEventListener("pointerover", (event) => hover(current(), event.target, true));
  viewer.addEventListener("pointerout", (event) => hover(current(), event.target, false));
  viewer.addEventListener("click", (event) => {
    const region = event.target.closest(".region, .region-list li");
    if (!region) return;
    event.preventDefault();
    const { ordinal } = region.dataset;
    if (selected === ordinal || event.detail === 0) {
      // Enter on a link, or a second click on the chosen region.
      select(current(), ordinal);
      showCrop(current());
    } else {
      select(current(), ordinal);
    }
  });
  viewer.addEventListener("focusin", (event) => {
    const region = event.target.closest(".region, .region-list a")?.closest("[data-ordinal]");
    if (region && event.target.matches(":focus-visible")) select(current(), region.dataset.ordinal);
  });
  viewer.addEventListener("input", (event) => {
    const { target } = event;
    if (target.matches("[data-class]")) choice.hidden[target.checked ? "delete" : "add"](target.dataset.class);
    else if (target.matches("input[data-score]")) choice.score = Number(target.value);
    else if (target.matches("[data-labels]")) choice.labels = target.checked;
    else if (target.matches("[data-masks]")) choice.masks = target.checked;
    else return;
    filter(current());
  });
  document.addEventListener("click", (event) => {
    const crop = event.target.closest("[data-crop-of]");
    if (!crop || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    showCrop(current(), crop.dataset.cropOf);
  });
}
