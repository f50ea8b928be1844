// Tables that can be sorted and filtered. Rows are kept as text, a page of them is drawn at a time: 10,000 stay usable.
const PAGE = 100;
const box = document.querySelector("#filter");
const tables = [...document.querySelectorAll("table.sort")].map(table => {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells], body = table.tBodies[0];
  const rest = table.parentElement.querySelector("script.rows")?.textContent.split(/(?<=<\/tr>)/) ?? [];
  const rows = [...[...body.rows].map(row => row.outerHTML), ...rest.filter(html => html.trim())].map(html => ({ html }));
  const more = document.createElement("p");
  more.className = "more";
  table.parentElement.after(more);
  return { table, heads, body, rows, found: rows, from: 0, shown: PAGE, more };
});

const SIGNS = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&#34;": '"', "&#39;": "'", "&nbsp;": " " };
const plain = html => html.replace(/<[^>]*>/g, "").replace(/&[^;]*;/g, sign => SIGNS[sign] ?? sign).trim();
const cellsOf = row => (row.cells ??= row.html.split("</td>").slice(0, -1).map(plain));
const textOf = row => (row.text ??= cellsOf(row).join(" ").toLowerCase());

const draw = state => {
  state.body.innerHTML = state.found.slice(state.from, state.shown).map(row => row.html).join("");
  const left = state.found.length - state.shown;
  state.more.replaceChildren();
  if (left <= 0 && !state.from) return;
  const said = document.createElement("span");
  said.textContent = `rows ${state.from + 1} to ${Math.min(state.shown, state.found.length)} of ${state.found.length}`;
  state.more.append(said);
  const offer = (text, from, shown) => {
    const button = document.createElement("button");
    button.textContent = text;
    button.addEventListener("click", () => { Object.assign(state, { from, shown }); draw(state); });
    state.more.append(button);
  };
  if (state.from) offer("from the first", 0, PAGE);
  for (const count of [PAGE, 10 * PAGE]) {
    if (left > 0) offer(count < left ? `${count} more` : `the other ${left}`, state.from, state.shown + count);
    if (count >= left) break;
  }
};

// A click (or Enter) on a heading sorts: numbers by value, texts by alphabet, what is missing last.
const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
const sort = (state, i, down) => {
  const head = state.heads[i];
  const value = row => {
    const text = cellsOf(row)[i], number = parseFloat(text.replace(/^[<+]/, ""));
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
    state.found = words.length ? state.rows.filter(row => words.every(word => textOf(row).includes(word))) : state.rows;
    shown += state.found.length;
    all += state.rows.length;
    if (state.from >= state.found.length) Object.assign(state, { from: 0, shown: PAGE });
    draw(state);
  }
  box.nextElementSibling.textContent = words.length ? `${shown} of ${all} rows` : "";
  if (words.length) document.querySelectorAll("details:has(table.sort)").forEach(part => (part.open = true));
};

for (const state of tables) {
  state.heads.forEach((head, i) => {
    const turn = () => { state.from = 0; state.shown = PAGE; sort(state, i, head.getAttribute("aria-sort") === "ascending"); filter(); };
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
    const at = state.found.findIndex(row => row.html.includes(`id="${id}"`));
    if (at < 0) continue;
    if (at < state.from || at >= state.shown) Object.assign(state, { from: at, shown: at + PAGE });
    state.table.closest("details")?.setAttribute("open", "");
    draw(state);
    document.getElementById(id).scrollIntoView({ block: "center" });
  }
};
addEventListener("hashchange", visit);

// While the sweep runs the page shows itself anew, where and how it was read.
const KEY = `w2s ${location.pathname}`;
const store = () => {
  const sorted = tables.map(state => state.heads.findIndex(head => head.hasAttribute("aria-sort")));
  const down = tables.map((state, i) => sorted[i] >= 0 && state.heads[sorted[i]].getAttribute("aria-sort") === "descending");
  const open = [...document.querySelectorAll("details")].map(part => part.open);
  sessionStorage.setItem(KEY, JSON.stringify({ top: scrollY, words: box.value, sorted, down, open, shown: tables.map(s => [s.from, s.shown]) }));
};
const restore = () => {
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  sessionStorage.removeItem(KEY);
  if (!kept) return filter(), visit();
  box.value = kept.words;
  tables.forEach((state, i) => {
    if (kept.sorted[i] >= 0 && kept.sorted[i] < state.heads.length) sort(state, kept.sorted[i], kept.down[i]);
    [state.from, state.shown] = kept.shown[i] ?? [0, PAGE];
  });
  filter();
  document.querySelectorAll("details").forEach((part, i) => (part.open = kept.open[i] ?? part.open));
  scrollTo(0, kept.top);
};
restore();
if (document.body.dataset.live) {
  setTimeout(() => { store(); location.reload(); }, 1000 * Number(document.body.dataset.live));
}
