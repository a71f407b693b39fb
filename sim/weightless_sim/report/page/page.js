"use strict";
// Sorting, the CSV button, and the slider; all figures are in the page without it.
const cell = (row, k) => row.cells[k].dataset.value ?? row.cells[k].textContent.trim();
for (const button of document.querySelectorAll("#table th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0], k = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down < 0 ? "descending" : "ascending");
    const number = text => text === "" ? -Infinity : Number(text);
    const order = (a, b) => {
      const [x, y] = [cell(a, k), cell(b, k)];
      return head.classList.contains("text") ? x.localeCompare(y) : number(x) - number(y);
    };
    body.append(...[...body.rows].sort((a, b) => down * order(a, b)));
  });
}
document.getElementById("save-csv")?.addEventListener("click", () => {
  const text = JSON.parse(document.getElementById("csv").textContent);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
  link.download = "network.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});
function si(value, unit) { // as si() in Python
  const prefixes = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];
  const [factor, prefix] = prefixes.find(([factor]) => Math.abs(value) >= factor) ?? prefixes[6];
  const scaled = value / factor;
  return scaled.toFixed(scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2) + " " + prefix + unit;
}
for (const slider of document.querySelectorAll(".slider input")) {
  const show = () => {
    const hertz = 1e6 * Number(slider.value), of = slider.closest(".of");
    of.querySelector("[data-mhz]").textContent = Number(slider.value).toFixed(1);
    for (const out of of.querySelectorAll("[data-per]"))
      out.textContent = si(hertz * Number(out.dataset.per), out.dataset.unit);
    for (const out of of.querySelectorAll("[data-cycles]"))
      out.textContent = si(Number(out.dataset.cycles) / hertz, out.dataset.unit);
  };
  slider.addEventListener("input", show);
}
