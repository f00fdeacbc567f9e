// Zoom and pan of the page's picture. `scale` is null while the whole page fits.

const [LEAST, MOST, STEP] = [0.1, 6, 1.25];
let scale = null;

function parts(shown) {
  const stage = shown.querySelector(".stage");
  return stage && { stage, image: stage.querySelector("img"), level: shown.querySelector("[data-zoom-level]") };
}

/** Shows the present zoom on a page that has just come. */
export function applyZoom(shown) {
  const part = parts(shown);
  if (!part) return;
  const { stage, image, level } = part;
  stage.classList.toggle("is-zoomed", scale !== null);
  image.style.width = scale === null ? "" : `${Math.round(image.getAttribute("width") * scale)}px`;
  const now = image.clientWidth / image.getAttribute("width");
  level.textContent = `${Math.round(now * 100)} %`;
  stage.classList.toggle("can-pan", stage.scrollWidth > stage.clientWidth || stage.scrollHeight > stage.clientHeight);
}

/** Zooms by a factor, keeping the point (in the window) where it is; null fits the page. */
export function zoom(shown, factor, point) {
  const part = parts(shown);
  if (!part) return;
  const { stage, image } = part;
  if (factor === null) {
    scale = null;
    return applyZoom(shown);
  }
  const before = image.getBoundingClientRect();
  const frame = stage.getBoundingClientRect();
  const at = point ?? { x: frame.left + stage.clientWidth / 2, y: frame.top + stage.clientHeight / 2 };
  const unit = { x: (at.x - before.left) / before.width, y: (at.y - before.top) / before.height };
  const now = before.width / image.getAttribute("width");
  scale = Math.min(MOST, Math.max(LEAST, now * factor));
  applyZoom(shown);
  const after = image.getBoundingClientRect();
  stage.scrollLeft += after.left + unit.x * after.width - at.x;
  stage.scrollTop += after.top + unit.y * after.height - at.y;
}

/** Brings a region into sight where the page is larger than the stage; the window stays. */
export function reveal(shown, region) {
  const part = parts(shown);
  if (!part || scale === null) return;
  const [box, frame] = [region.querySelector("rect").getBoundingClientRect(), part.stage.getBoundingClientRect()];
  const inside = box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom;
  if (inside) return;
  part.stage.scrollLeft += (box.left + box.right - frame.left - frame.right) / 2;
  part.stage.scrollTop += (box.top + box.bottom - frame.top - frame.bottom) / 2;
}

export function listen(viewer, current) {
  viewer.addEventListener("click", (event) => {
    const way = event.target.closest("[data-zoom]")?.dataset.zoom;
    if (way) zoom(current(), { in: STEP, out: 1 / STEP, fit: null }[way]);
  });
  viewer.addEventListener("wheel", (event) => {
    if (!event.ctrlKey || !event.target.closest(".stage")) return;
    event.preventDefault();
    zoom(current(), Math.exp(-event.deltaY / 300), { x: event.clientX, y: event.clientY });
  }, { passive: false });
  viewer.addEventListener("pointerdown", startPan);
  addEventListener("resize", () => applyZoom(current()));
  // A picture that comes late changes what fits.
  viewer.addEventListener("load", (event) => event.target.closest?.(".sheet") && applyZoom(current()), true);
}

export { STEP };

// Touch scrolls by itself; a mouse drags.
function startPan(event) {
  const stage = event.target.closest(".stage.can-pan");
  if (!stage || event.pointerType !== "mouse" || event.button !== 0) return;
  const from = { x: event.clientX, y: event.clientY, left: stage.scrollLeft, top: stage.scrollTop };
  let moved = false;
  const move = (next) => {
    const [dx, dy] = [next.clientX - from.x, next.clientY - from.y];
    if (!moved && Math.hypot(dx, dy) < 4) return;
    moved = true;
    stage.classList.add("is-panning");
    stage.scrollTo(from.left - dx, from.top - dy);
  };
  const end = () => {
    stage.classList.remove("is-panning");
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", end);
    removeEventListener("pointercancel", end);
    // The click that ends a drag chooses no region.
    if (moved) {
      const swallow = (click) => { click.preventDefault(); click.stopPropagation(); };
      addEventListener("click", swallow, { capture: true, once: true });
      setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    }
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
  addEventListener("pointercancel", end);
  // Links in SVG would be dragged instead.
  event.preventDefault();
  stage.focus({ preventScroll: true });
}
