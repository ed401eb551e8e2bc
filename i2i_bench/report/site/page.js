"use strict";
// All of this adds to a page that is complete without it: sorting, filters, plots, wipes, links.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const announce = (text) => { document.getElementById("status").textContent = text; };

// --- sorting: a button in each header; the first click puts the better end on top

function sortBy(header) {
  const table = header.closest("table");
  const first = header.dataset.sort === "higher" ? "descending" : "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  const order = header.getAttribute("aria-sort") === first ? other : first;
  all("[aria-sort]", table).forEach((each) => each.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", order);
  const body = table.querySelector("tbody.ranked");
  const rows = [...body.rows].map((row) => [row.cells[header.cellIndex].dataset.value, row]);
  rows.sort(([a], [b]) => compare(a, b, header.dataset.sort === "text", order));
  body.append(...rows.map(([, row]) => row));
  announce(`sorted by ${header.textContent}, ${order}`);
}

function compare(a, b, isText, order) {
  if (a === "" || b === "") return (a === "") - (b === ""); // without a value: last, either way
  const ahead = isText ? a.localeCompare(b) : Number(a) - Number(b);
  return order === "ascending" ? ahead : -ahead;
}

for (const header of all("th[data-sort]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...header.childNodes);
  if (header.hasAttribute("aria-label")) button.setAttribute("aria-label", header.ariaLabel);
  button.addEventListener("click", () => sortBy(header));
  header.append(button);
}

// --- filters: of a task, over all of its tables

function filter(form) {
  const wanted = Object.fromEntries(new FormData(form));
  const text = (wanted.text ?? "").trim().toLowerCase();
  const fits = (row) => row.dataset.name.toLowerCase().includes(text)
    && Number(row.dataset.seeds) >= Number(wanted.seeds ?? 0);
  let shown = 0;
  for (const board of all(".board", form.closest(".task"))) {
    board.hidden = ["direction", "protocol", "preset"]
      .some((key) => wanted[key] && wanted[key] !== board.dataset[key]);
    const rows = all("tbody:not(.baselines) tr[data-name]", board);
    rows.forEach((row) => { row.hidden = !fits(row); });
    all("tr.reason", board).forEach((each) => { each.hidden = each.previousElementSibling.hidden; });
    const visible = rows.filter((row) => !row.hidden).length;
    const count = board.querySelector(".count");
    count.hidden = visible === rows.length;
    count.textContent = `${visible} of ${rows.length} models shown.`;
    shown += board.hidden ? 0 : visible;
  }
  for (const way of all(".way", form.closest(".task"))) {
    way.hidden = all(".board", way).every((board) => board.hidden);
  }
  announce(`${shown} rows shown`);
}

for (const form of all(".filters")) {
  form.hidden = false;
  form.addEventListener("input", () => filter(form));
  form.addEventListener("reset", () => setTimeout(() => filter(form)));
  form.addEventListener("submit", (event) => event.preventDefault());
}

// --- plots: one cost at a time

for (const choice of all("select.cost")) {
  choice.closest(".controls").hidden = false;
  choice.addEventListener("change", () => {
    for (const plot of all(".plot", choice.closest(".plots"))) {
      plot.hidden = plot.dataset.key !== choice.value;
    }
  });
}

// --- samples: a slider wipes every translation of a direction over its source

for (const slider of all("input.wipe")) {
  slider.closest(".controls").hidden = false;
  const wipe = () => {
    const gallery = slider.closest(".gallery");
    gallery.style.setProperty("--wipe", `${slider.value}%`);
    gallery.classList.toggle("is-wiped", slider.value !== slider.max);
    slider.setAttribute("aria-valuetext", `${slider.value} % translation`);
  };
  slider.addEventListener("input", wipe);
  wipe();
}

// --- details: a link to a run opens it

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) {
    target.open = true;
    target.scrollIntoView();
    target.querySelector("summary").focus({ preventScroll: true });
  }
}

window.addEventListener("hashchange", openTarget);
document.addEventListener("click", (event) => { // a second click on the same link
  if (event.target.closest?.("a[href]")?.hash === location.hash && location.hash) openTarget();
});
openTarget();

for (const button of all("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      announce("copied");
      button.textContent = "Copied";
    } catch { // not allowed: select it, for the reader to copy
      getSelection().selectAllChildren(code);
    }
  });
}
