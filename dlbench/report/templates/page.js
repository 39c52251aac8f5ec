"use strict";
// Tables sort by a click on a column's head, and longer ones filter; without scripts they stay as they are.
for (const table of document.querySelectorAll("table.cases")) {
  const heads = [...table.tHead.rows[0].cells];
  const cases = [...table.tBodies];
  if (cases.length < 2) continue;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (body) => body.rows[0].cells[column].dataset.sort;
      const order = (a, b) => {
        const [x, y] = [Number(key(a)), Number(key(b))];
        const both = Number.isNaN(x) || Number.isNaN(y) ? key(a).localeCompare(key(b)) : x < y ? -1 : x > y ? 1 : 0;
        return down ? -both : both;
      };
      table.append(...[...table.tBodies].sort(order));
    });
  });
  if (cases.length < 6) continue;
  const label = document.createElement("label");
  const input = document.createElement("input");
  const shown = document.createElement("output");
  input.type = "search";
  label.className = "filter";
  label.append("Filter ", input, " ", shown);
  table.parentElement.before(label);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    const found = cases.filter((body) => {
      const text = body.rows[0].textContent.toLowerCase();
      body.hidden = !words.every((word) => text.includes(word));
      return !body.hidden;
    });
    shown.textContent = input.value ? `${found.length} of ${cases.length}` : "";
  });
}
// What is wider than the window scrolls, and so is a stop of the keyboard's; what fits is none.
const wide = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
document.querySelectorAll(".scroll, .picture, pre, .math.block").forEach((one) => wide.observe(one));
