// Two runs side by side: a region and its partner light up together, and kinds of difference can be left out.

const compare = document.getElementById("compare");

function mark(element, name, on) {
  const pair = element.closest?.("[data-pair]")?.dataset.pair;
  if (pair === undefined) return;
  for (const other of compare.querySelectorAll(`[data-pair="${pair}"]`)) other.classList.toggle(name, on);
}

function choose(element) {
  for (const old of compare.querySelectorAll(".is-selected")) old.classList.remove("is-selected");
  mark(element, "is-selected", true);
  for (const item of compare.querySelectorAll("li.is-selected")) {
    const [row, list] = [item.getBoundingClientRect(), item.parentElement.getBoundingClientRect()];
    if (row.top < list.top || row.bottom > list.bottom) item.parentElement.scrollTop += row.top - list.top - list.height / 3;
  }
}

compare.addEventListener("pointerover", (event) => mark(event.target, "is-hover", true));
compare.addEventListener("pointerout", (event) => mark(event.target, "is-hover", false));
compare.addEventListener("focusin", (event) => choose(event.target));
compare.addEventListener("click", (event) => {
  if (!event.target.closest("[data-pair]")) return;
  event.preventDefault();
  choose(event.target);
});

document.addEventListener("change", (event) => {
  const { kind } = event.target.dataset;
  if (kind === undefined) return;
  for (const element of compare.querySelectorAll(`[data-kind="${kind}"]`)) {
    element.classList.toggle("is-off", !event.target.checked);
    if (element.matches("li")) element.hidden = !event.target.checked;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox])")) return;
  const link = document.getElementById({ "[": "prev", "]": "next" }[event.key]);
  link?.click();
});
