// Tables that can be sorted and filtered. Of long ones a page of rows is drawn at a time: 10,000 rows stay usable.
const PAGE = 100;
const box = document.querySelector("#filter");
const tables = [...document.querySelectorAll("table.sort")].map(table => {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells], body = table.tBodies[0];
  const rows = [...body.rows], more = document.createElement("p");
  const state = { table, heads, body, rows, found: rows, shown: PAGE, more, texts: new Map() };
  more.className = "more";
  table.parentElement.after(more);
  return state;
});

const textOf = (state, row) => {
  if (!state.texts.has(row)) state.texts.set(row, row.textContent.toLowerCase());
  return state.texts.get(row);
};

const draw = state => {
  state.body.replaceChildren(...state.found.slice(0, state.shown));
  const left = state.found.length - state.shown;
  state.more.replaceChildren();
  if (left <= 0) return;
  for (const [text, count] of [[`${Math.min(PAGE, left)} more rows`, PAGE], [`all ${state.found.length}`, Infinity]]) {
    const button = document.createElement("button");
    button.textContent = text;
    button.addEventListener("click", () => { state.shown += count; draw(state); });
    state.more.append(button);
  }
};

// A click (or Enter) on a heading sorts: numbers by value, texts by alphabet, what is missing last.
const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
const sort = (state, i, down) => {
  const head = state.heads[i];
  const value = row => {
    const text = row.cells[i].textContent.trim(), number = parseFloat(text.replace(/^[<+]/, ""));
    return head.classList.contains("n") ? (isNaN(number) ? null : number) : text;
  };
  const pairs = state.rows.map(row => [value(row), row]);
  pairs.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : down ? compare(b, a) : compare(a, b)));
  state.rows = pairs.map(([, row]) => row);
  state.heads.forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
};

// Words in the box above the tables: rows without one of them are hidden.
const filter = () => {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0, all = 0;
  for (const state of tables) {
    state.found = words.length ? state.rows.filter(row => words.every(word => textOf(state, row).includes(word))) : state.rows;
    shown += state.found.length;
    all += state.rows.length;
    draw(state);
  }
  box.nextElementSibling.textContent = words.length ? `${shown} of ${all} rows` : "";
  if (words.length) document.querySelectorAll("details:has(table.sort)").forEach(part => (part.open = true));
};

for (const state of tables) {
  state.heads.forEach((head, i) => {
    const turn = () => { sort(state, i, head.getAttribute("aria-sort") === "ascending"); filter(); };
    head.tabIndex = 0;
    head.title = "sorts";
    head.addEventListener("click", turn);
    head.addEventListener("keydown", event => event.key === "Enter" && turn());
  });
}
if (tables.some(state => state.rows.length > Number(box.dataset.rows))) {
  box.closest("label").hidden = false;
  box.addEventListener("input", filter);
}

// A link to the cells of a setting: the row may be on a page that is not drawn, or in a part that is folded.
const visit = () => {
  const id = decodeURIComponent(location.hash.slice(1));
  for (const state of id ? tables : []) {
    const at = state.found.findIndex(row => row.id === id);
    if (at < 0) continue;
    state.shown = Math.max(state.shown, at + PAGE);
    state.table.closest("details")?.setAttribute("open", "");
    draw(state);
    state.found[at].scrollIntoView({ block: "center" });
  }
};
addEventListener("hashchange", visit);

// While the sweep runs the page shows itself anew, where and how it was read.
const KEY = `w2s ${location.pathname}`;
const store = () => {
  const sorted = tables.map(state => state.heads.findIndex(head => head.hasAttribute("aria-sort")));
  const down = tables.map((state, i) => sorted[i] >= 0 && state.heads[sorted[i]].getAttribute("aria-sort") === "descending");
  const open = [...document.querySelectorAll("details")].map(part => part.open);
  sessionStorage.setItem(KEY, JSON.stringify({ top: scrollY, words: box.value, sorted, down, open, shown: tables.map(s => s.shown) }));
};
const restore = () => {
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  sessionStorage.removeItem(KEY);
  if (!kept) return filter(), visit();
  box.value = kept.words;
  tables.forEach((state, i) => {
    if (kept.sorted[i] >= 0 && kept.sorted[i] < state.heads.length) sort(state, kept.sorted[i], kept.down[i]);
    state.shown = kept.shown[i] ?? PAGE;
  });
  filter();
  document.querySelectorAll("details").forEach((part, i) => (part.open = kept.open[i] ?? part.open));
  scrollTo(0, kept.top);
};
restore();
if (document.body.dataset.live) {
  setTimeout(() => { store(); location.reload(); }, 1000 * Number(document.body.dataset.live));
}
