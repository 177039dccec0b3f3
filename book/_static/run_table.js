/* The table of all runs: headers sort, and a click anywhere in a row opens the run's report. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.qpatch-runs")) {
    const body = table.tBodies[0], headers = [...table.tHead.rows[0].cells];

    const value = (row, column) => {
      const cell = row.cells[column], number = Number(cell.dataset.value);
      return cell.dataset.value === undefined ? cell.textContent : number;
    };
    /* Missing values come last in both directions. */
    const compare = (a, b, sign) => {
      if (typeof a === "string") return sign * a.localeCompare(b, "en", { numeric: true });
      return Number.isNaN(a) - Number.isNaN(b) || sign * (a - b) || 0;
    };
    const sort = column => {
      const falling = headers[column].getAttribute("aria-sort") === "ascending";
      headers.forEach(header => header.removeAttribute("aria-sort"));
      headers[column].setAttribute("aria-sort", falling ? "descending" : "ascending");
      const rows = [...body.rows];
      rows.sort((a, b) => compare(value(a, column), value(b, column), falling ? -1 : 1));
      body.append(...rows);
    };

    headers.forEach((header, column) =>
      header.replaceChildren(qpatch.make("button", { type: "button", click: () => sort(column) }, header.textContent)));
    body.addEventListener("click", event => {
      if (!event.target.closest("a") && !getSelection().toString()) event.target.closest("tr").querySelector("a").click();
    });
    table.classList.add("qx-live");
  }
});
