// A click (or Enter) on a heading sorts its table: numbers by value, texts by alphabet, what is missing last.
for (const table of document.querySelectorAll("table.sort")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells], body = table.tBodies[0];
  const value = (row, i) => {
    const text = row.cells[i].textContent.trim(), number = parseFloat(text.replace(/^[<+]/, ""));
    return heads[i].classList.contains("n") ? (isNaN(number) ? null : number) : text;
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  heads.forEach((head, i) => {
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending", rows = [...body.rows].map(row => [value(row, i), row]);
      rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : down ? compare(b, a) : compare(a, b)));
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...rows.map(([, row]) => row));
    };
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => event.key === "Enter" && sort());
  });
}
