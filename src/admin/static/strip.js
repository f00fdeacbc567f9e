// The strip of pages: only what is in sight is in the document, however many pages there are.

const AHEAD = 4;

/** "1-3,5" -> [1, 2, 3, 5] */
export function numbersOf(text) {
  const numbers = [];
  for (const part of text.split(",").filter(Boolean)) {
    const [first, last] = part.split("-").map(Number);
    for (let n = first; n <= (last ?? first); n++) numbers.push(n);
  }
  return numbers;
}

export class Strip {
  constructor(viewer) {
    this.viewer = viewer;
    this.frame = viewer.querySelector("[data-strip]");
    this.track = this.frame.querySelector("ol");
    this.items = new Map();
    this.states = [];
    this.wanted = 0;
    this.read(viewer);
    this.frame.addEventListener("scroll", () => this.schedule(), { passive: true });
    this.frame.addEventListener("keydown", (event) => this.move(event));
    // Pages from before thumbnails, and those that are not made yet, show a sheet with their number.
    this.frame.addEventListener("error", (event) => event.target.replaceWith(blank("")), true);
    new ResizeObserver(() => this.layOut()).observe(this.frame);
  }

  /** Takes over what the server says about the pages; `data-pages` has regions, "f" for failed or "" for each. */
  read(viewer) {
    const { pages, numbers, thumbnails } = viewer.dataset;
    const states = pages.split(",");
    const all = numbers !== this.ranges || thumbnails !== this.template;
    const focused = Number(document.activeElement?.closest(".strip a")?.dataset.number);
    for (const [index, item] of this.items) {
      // What has not changed stays, and its picture does not flicker.
      if (!all && states[index] === this.states[index]) continue;
      item.remove();
      this.items.delete(index);
    }
    Object.assign(this, { states, ranges: numbers, template: thumbnails, numbers: numbersOf(numbers) });
    this.layOut();
    if (focused) this.items.get(this.numbers.indexOf(focused))?.firstElementChild.focus({ preventScroll: true });
  }

  layOut() {
    const across = matchMedia("(max-width: 64rem)").matches;
    // One is made to see how large they are.
    const probe = this.items.values().next().value ?? this.add(0);
    const size = across ? probe.offsetWidth : probe.offsetHeight;
    if (!size) return;
    const turned = size !== this.size || across !== this.across;
    Object.assign(this, { size, across });
    const length = `${size * this.numbers.length}px`;
    Object.assign(this.track.style, across ? { width: length, height: "" } : { height: length, width: "" });
    for (const [index, item] of this.items) this.place(item, index);
    // A person who looks at other pages in the strip stays there.
    if (turned) this.show(this.number, false);
    this.render();
  }

  /** What of the strip is in sight: where it starts and how long it is. */
  sight() {
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.frame;
    return this.across ? [scrollLeft, clientWidth] : [scrollTop, clientHeight];
  }

  place(item, index) {
    const at = index * this.size;
    item.style.transform = this.across ? `translateX(${at}px)` : `translateY(${at}px)`;
  }

  schedule() {
    this.wanted ||= requestAnimationFrame(() => {
      this.wanted = 0;
      this.render();
    });
  }

  render() {
    if (!this.size) return;
    const [start, length] = this.sight();
    const first = Math.max(0, Math.floor(start / this.size) - AHEAD);
    const last = Math.min(this.numbers.length - 1, Math.ceil((start + length) / this.size) + AHEAD);
    // The shown page stays wherever it is: Tab leads to it.
    const current = this.numbers.indexOf(this.number);
    for (const [index, item] of this.items) {
      if ((index < first || index > last) && index !== current && !item.contains(document.activeElement)) {
        item.remove();
        this.items.delete(index);
      }
    }
    for (let index = first; index <= last; index++) {
      if (!this.items.has(index)) this.add(index);
    }
    if (current >= 0 && !this.items.has(current)) this.add(current);
  }

  add(index) {
    const number = this.numbers[index];
    const state = this.states[index] ?? "";
    const item = document.createElement("li");
    item.setAttribute("aria-setsize", this.numbers.length);
    item.setAttribute("aria-posinset", index + 1);
    const link = document.createElement("a");
    link.href = `?page=${number}`;
    link.dataset.pageLink = "";
    link.dataset.number = number;
    link.classList.toggle("is-failed", state === "f");
    link.append(this.picture(number, state), `${number}${describe(state)}`);
    link.setAttribute("aria-label", `Page ${number}${describe(state) || ", not done yet"}`);
    this.mark(link);
    item.append(link);
    if (this.size) this.place(item, index);
    this.items.set(index, item);
    // Screen readers read pages in their order.
    const after = Math.min(...[...this.items.keys()].filter((other) => other > index));
    this.track.insertBefore(item, this.items.get(after) ?? null);
    return item;
  }

  picture(number, state) {
    if (state === "" || state === "f" || !this.template) return blank(state === "f" ? "!" : "");
    const image = document.createElement("img");
    image.alt = "";
    image.src = this.template.replace("{n}", number);
    return image;
  }

  /** Marks a page as the shown one and brings it into sight. */
  show(number, smooth = true) {
    this.number = number;
    for (const item of this.items.values()) this.mark(item.firstElementChild);
    const index = this.numbers.indexOf(number);
    if (index < 0 || !this.size) return;
    const [start, length] = this.sight();
    const at = index * this.size;
    this.render();
    if (at >= start && at + this.size <= start + length) return;
    const target = Math.max(0, at - (length - this.size) / 2);
    const near = Math.abs(target - start) < 3 * length;
    const behavior = smooth && near && !matchMedia("(prefers-reduced-motion: reduce)").matches ? "smooth" : "instant";
    this.frame.scrollTo(this.across ? { left: target, behavior } : { top: target, behavior });
  }

  // Tab goes to the shown page; the arrow keys go on from there.
  mark(link) {
    const current = Number(link.dataset.number) === this.number;
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    link.tabIndex = current ? 0 : -1;
  }

  // The arrow keys go from page to page in the strip; what comes into sight is made first.
  move(event) {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    const link = event.target.closest("a[data-number]");
    if (!by || !link) return;
    event.preventDefault();
    event.stopPropagation();
    const from = this.numbers.indexOf(Number(link.dataset.number));
    const index = Math.min(this.numbers.length - 1, Math.max(0, from + by));
    const at = index * this.size;
    if (!this.items.has(index)) {
      this.frame.scrollTo(this.across ? { left: at } : { top: at });
      this.render();
    }
    this.items.get(index)?.firstElementChild.focus();
  }
}

function describe(state) {
  if (state === "") return "";
  if (state === "f") return ", failed";
  return ` · ${state}`;
}

function blank(text) {
  const sheet = document.createElement("span");
  sheet.className = "blank";
  sheet.textContent = text;
  return sheet;
}
