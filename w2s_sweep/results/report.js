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

// Words in the box above the tables: rows without one of them are hidden, and sections say how many are left.
const box = document.querySelector("#filter"), bodies = [...document.querySelectorAll("table.sort tbody")];
if (bodies.some(body => body.rows.length > Number(box.dataset.rows))) {
  box.closest("label").hidden = false;
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, all = 0;
    for (const row of bodies.flatMap(body => [...body.rows])) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      shown += !row.hidden;
      all += 1;
    }
    box.nextElementSibling.textContent = words.length ? `${shown} of ${all} rows` : "";
    if (words.length) document.querySelectorAll("details:has(table.sort)").forEach(part => (part.open = true));
  });
}
