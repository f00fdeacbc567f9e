// Masks: COCO's run-length encoding, drawn onto the canvas over the page.

import { fetchJson } from "./http.js";

const OPACITY = 0.38;

/** Lengths of alternating runs of zeros and ones, column by column. */
export function decodeRuns(text) {
  const runs = [];
  let at = 0;
  while (at < text.length) {
    let [value, shift, bits] = [0, 0, 0];
    do {
      bits = text.charCodeAt(at++) - 48;
      value |= (bits & 0x1f) << shift;
      shift += 5;
    } while (bits & 0x20);
    // The last group's highest bit is the sign.
    if (bits & 0x10 && shift < 32) value |= -1 << shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

function area(region) {
  const { width, height } = region.firstElementChild;
  return width.baseVal.value * height.baseVal.value;
}

function rgb(element) {
  const hex = getComputedStyle(element).getPropertyValue("--c").trim();
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function paint(image, mask, [r, g, b]) {
  const [height, width] = mask.size;
  if (height !== image.height || width !== image.width) return;
  // Little end first, as on every machine that browsers run on.
  const color = ((Math.round(OPACITY * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;
  const pixels = new Uint32Array(image.data.buffer);
  let [at, set] = [0, false];
  for (const run of decodeRuns(mask.counts)) {
    if (set) {
      for (let i = at; i < at + run; i++) pixels[(i % height) * width + Math.floor(i / height)] = color;
    }
    at += run;
    set = !set;
  }
}

const cache = new Map();

/** The masks of a page by ordinal; the last few pages are kept. */
async function masksOf(url) {
  if (!cache.has(url)) {
    const { detections } = await fetchJson(url);
    cache.set(url, new Map(detections.map((d) => [String(d.ordinal), d.mask_rle])));
    if (cache.size > 5) cache.delete(cache.keys().next().value);
  }
  return cache.get(url);
}

/** Draws the masks of the regions that are visible, or hides the canvas. */
export async function drawMasks(shown, on) {
  const canvas = shown.querySelector(".masks");
  if (!canvas) return;
  canvas.hidden = !on;
  if (!on) return;
  const masks = await masksOf(shown.dataset.detections);
  if (!canvas.isConnected) return;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const regions = [...shown.querySelectorAll(".region:not(.is-off)")];
  // Small ones come last, so that they lie on top.
  for (const region of regions.sort((a, b) => area(b) - area(a))) {
    const mask = masks.get(region.dataset.ordinal);
    if (mask) paint(image, mask, rgb(region));
  }
  context.putImageData(image, 0, 0);
}
