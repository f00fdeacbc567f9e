// Uploads: many files by dropping or choosing them, or by their addresses, each with its progress.

import { followDocument } from "./follow.js";
import { csrfToken, sentence } from "./http.js";

const AT_ONCE = 3;
const OPTIONS = ["pages", "model", "score_threshold", "crop_min_score", "priority"];
const STATES = {
  queued: ["pending", "Next"], sending: ["processing", "Uploading"], refused: ["failed", "Not uploaded"],
  pending: ["pending", "Waiting"], processing: ["processing", "Processing"],
  done: ["done", "Done"], failed: ["failed", "Failed"], canceled: ["canceled", "Canceled"],
};
const form = document.getElementById("upload");
const section = document.getElementById("uploads");
const queue = [];
const items = [];
let sending = 0;

/** One file or address on its way. */
class Upload {
  constructor(source, options) {
    Object.assign(this, { ...source, options });
    this.element = document.getElementById("upload-item").content.firstElementChild.cloneNode(true);
    this.part(".upload-title").textContent = this.name;
    this.part("[data-size]").textContent = this.file ? size(this.file.size) : "";
    this.bar = this.part("progress");
    this.bar.setAttribute("aria-label", `Progress of ${this.name}`);
  }

  part(selector) {
    return this.element.querySelector(selector);
  }

  show(state, text = "", error = "") {
    this.state = state;
    const [badge, label] = STATES[state];
    Object.assign(this.part("[data-badge]"), { className: `badge badge-${badge}`, textContent: label });
    this.part("[data-text]").textContent = text;
    const alert = this.part("[data-error]");
    if (alert.textContent !== error) alert.textContent = error;
    alert.hidden = error === "";
    this.bar.hidden = ["refused", "pending", "done", "failed", "canceled"].includes(state);
    this.offer();
    summarize();
  }

  // What can be done now.
  offer() {
    const actions = [];
    if (this.id) {
      const link = document.createElement("a");
      Object.assign(link, { className: "btn btn-small", href: `/admin/documents/${this.id}/`, textContent: "Open" });
      link.setAttribute("aria-label", `Open ${this.name}`);
      actions.push(link);
    } else if (this.state === "refused") {
      actions.push(this.button("Try again", () => this.again()));
      actions.push(this.button("Remove", () => this.remove()));
    } else {
      actions.push(this.button("Stop", () => this.stop()));
    }
    const place = this.part("[data-actions]");
    const same = [...place.children].map((e) => e.textContent).join() === actions.map((e) => e.textContent).join();
    // A button that has the focus stays the same one.
    if (!same) place.replaceChildren(...actions);
  }

  button(text, act) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "btn btn-small", textContent: text });
    button.setAttribute("aria-label", `${text}: ${this.name}`);
    button.addEventListener("click", act);
    return button;
  }

  /** Takes its turn, unless it is known that the server will refuse it. */
  enqueue() {
    const { maxBytes, maxSize } = form.dataset;
    if (this.file?.size > Number(maxBytes)) this.show("refused", "", `The file is larger than ${maxSize}, the most that the server takes.`);
    else if (this.file?.size === 0) this.show("refused", "", "The file is empty.");
    else {
      this.show("queued");
      queue.push(this);
    }
  }

  send() {
    sending += 1;
    const request = new XMLHttpRequest();
    this.request = request;
    request.open("POST", "/api/v1/documents");
    request.setRequestHeader("X-CSRF-Token", csrfToken());
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable || event.total === 0) return;
      this.bar.value = event.loaded / event.total;
      const whole = event.loaded === event.total;
      this.show("sending", whole ? "Sent; the server checks it" : `${Math.floor((100 * event.loaded) / event.total)} %`);
    });
    request.addEventListener("loadend", () => {
      sending -= 1;
      this.request = null;
      this.answered(request.status, request.responseText);
      next();
    });
    this.show("sending");
    if (this.file) {
      request.send(this.formData());
    } else {
      request.setRequestHeader("Content-Type", "application/json");
      request.send(JSON.stringify(this.json()));
    }
  }

  formData() {
    const data = new FormData();
    for (const [name, value] of Object.entries(this.options)) data.append(name, value);
    // The server reads the fields first.
    data.append("file", this.file, this.file.name);
    return data;
  }

  json() {
    const fields = { url: this.url, ...this.options };
    for (const name of ["score_threshold", "crop_min_score", "priority"]) {
      if (name in fields) fields[name] = Number(fields[name]);
    }
    return fields;
  }

  answered(status, body) {
    if (this.stopped) return;
    if (status !== 202) return this.show("refused", "", sentence(status, body));
    this.id = JSON.parse(body).id;
    this.file = null;
    this.show("pending", "A worker takes it as soon as one is free");
    this.bar.removeAttribute("value");
    followDocument(this.id, (state) => this.processed(state));
  }

  processed({ status, pages_done: done, pages_failed: failed, page_count: count, error }) {
    if (count) Object.assign(this.bar, { max: count, value: done });
    const pages = count === 1 ? "1 page" : `${count} pages`;
    const text = {
      processing: count ? `${done} of ${pages}` : "The file is opened",
      done: failed ? `${pages}, ${failed} of them failed` : pages,
    }[status];
    const why = error ?? "It could not be processed; its page says why.";
    this.show(status, text ?? "", status === "failed" ? why : "");
  }

  again() {
    this.bar.value = 0;
    // The options may be what was wrong.
    this.options = { ...options(), ...(this.options.title && { title: this.options.title }) };
    this.enqueue();
    next();
  }

  stop() {
    this.stopped = true;
    this.request?.abort();
    this.remove();
  }

  remove() {
    for (const list of [queue, items]) {
      const at = list.indexOf(this);
      if (at >= 0) list.splice(at, 1);
    }
    const focus = this.element.nextElementSibling ?? this.element.previousElementSibling;
    this.element.remove();
    (focus?.querySelector("[data-actions] > *") ?? document.querySelector(".drop-input")).focus();
    summarize();
  }
}

function size(bytes) {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function summarize() {
  section.hidden = items.length === 0;
  const count = (...states) => items.filter((item) => states.includes(item.state)).length;
  const words = [
    [count("queued", "sending"), "to upload"], [count("pending", "processing"), "in process"],
    [count("done"), "done"], [count("failed", "refused"), "failed"],
  ];
  section.querySelector("[data-summary]").textContent = words.filter(([n]) => n > 0).map(([n, word]) => `${n} ${word}`).join(", ");
}

/** What is set now; what is empty is left to the worker. */
function options() {
  const fields = OPTIONS.map((name) => [name, form.elements[name].value.trim()]);
  return Object.fromEntries(fields.filter(([name, value]) => value !== "" && !(name === "priority" && value === "0")));
}

function add(sources) {
  if (sources.length === 0) return;
  const wrong = form.querySelector(".upload-options :invalid");
  if (wrong) {
    form.querySelector(".upload-options").open = true;
    wrong.reportValidity();
    return;
  }
  const title = form.elements.title.value.trim();
  const uploads = sources.map((source) => new Upload(source, { ...options(), ...(title && sources.length === 1 && { title }) }));
  items.push(...uploads);
  section.querySelector("[data-list]").prepend(...uploads.map((upload) => upload.element));
  for (const upload of uploads) upload.enqueue();
  form.elements.title.value = "";
  next();
}

function next() {
  while (sending < AT_ONCE && queue.length > 0) queue.shift().send();
}

const files = (list) => add([...list].map((file) => ({ file, name: file.name })));

function addUrls() {
  const field = form.elements.url;
  const urls = field.value.split(/\s+/).filter(Boolean);
  if (urls.length === 0) field.focus();
  add(urls.map((url) => ({ url, name: url })));
  if (form.querySelector(".upload-options :invalid") === null) field.value = "";
}

// Choosing and dropping

const input = form.elements.file;
input.multiple = true;
input.addEventListener("change", () => {
  files(input.files);
  input.value = "";
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  addUrls();
});
form.querySelector("[data-add-urls]").addEventListener("click", addUrls);
form.elements.url.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  addUrls();
});

const veil = document.querySelector("[data-veil]");
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  veil.hidden = false;
});
document.addEventListener("dragleave", (event) => {
  // To nowhere: out of the window.
  if (event.relatedTarget === null) veil.hidden = true;
});
document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  veil.hidden = true;
  files(event.dataTransfer.files);
});
addEventListener("beforeunload", (event) => {
  if (sending > 0 || queue.length > 0) event.preventDefault();
});
