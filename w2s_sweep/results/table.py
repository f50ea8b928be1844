"""The results in a terminal: a row per group, a row per cell, what is undefined and what failed. Fits 100 columns."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from w2s_sweep.metrics import Interval
from w2s_sweep.results.rows import Group, Results, Row

PLAIN_WIDTH = 100


def print_results(results: Results, console: Console | None = None, cells: int = 60) -> None:
    """Print groups, and cells where there are at most `cells`. Plain text without colour where not a terminal."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(PLAIN_WIDTH, console.width)
    head = f"[bold]{escape(results.sweep)}[/]: {results.count('done')} of {len(results.rows)} cells finished"
    console.print(f"{head} · {escape(results.constants)}", highlight=False, soft_wrap=True)
    console.print(_groups(results))
    if any(g.cells > 1 for g in results.groups) and len(results.rows) <= cells:
        console.print(_cells(results))
    if len({row.dataset for row in results.rows}) > 1:
        console.print(_medians(results))
    for line in remarks(results):
        console.print(escape(line), highlight=False, soft_wrap=True)


def number(value: float | None, digits: int = 3) -> str:
    """Three decimals without the leading zero; a dash where there is none."""
    if value is None:
        return "-"
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def interval(estimate: Interval, digits: int = 2) -> str:
    """`.57 [.41, .70]`, or the value alone."""
    if estimate.value is None:
        return "-"
    value, low, high = (number(end, digits) for end in (estimate.value, estimate.low, estimate.high))
    return value if estimate.low is None else f"{value} [{low}, {high}]"


def _table(results: Results, title: str, numbers: Sequence[str], names: Sequence[str] | None = None) -> Table:
    table = Table(
        title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for name in names or results.columns():
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _groups(results: Results) -> Table:
    table = _table(results, "Mean over seeds", ("seeds", "weak", "student", "ceiling", "PGR [95 %]"))
    for g in results.groups:
        scores = [number(e.value) for e in (g.weak, g.student, g.ceiling)]
        seeds = f"{len(g.seeds)}" if len(g.seeds) == g.cells else f"{len(g.seeds)}/{g.cells}"
        table.add_row(*map(escape, results.texts(g)), seeds, *scores, group_pgr(g))
    return table


def group_pgr(group: Group) -> str:
    """PGR, its interval, and how many cells are left out; `undefined` where all are."""
    if not group.seeds:
        return "-"
    left_out = f" ({group.undefined} undef.)" if group.undefined and group.pgr.value is not None else ""
    return "undefined" if group.pgr.value is None else interval(group.pgr) + left_out


def _cells(results: Results) -> Table:
    table = _table(results, "Cells", ("seed", "weak", "student", "ceiling", "PGR [95 %]"))
    for row in by_group(results):
        scores = [number(e.value) for e in (row.weak, row.student, row.ceiling)]
        table.add_row(*map(escape, results.texts(row)), str(row.seed), *scores, cell_pgr(row))
    return table


def by_group(results: Results) -> list[Row]:
    """The cells, those of a group next to each other."""
    order = {g.group: place for place, g in enumerate(results.groups)}
    return sorted(results.rows, key=lambda row: (order[row.group], row.seed))


def _medians(results: Results) -> Table:
    names = [name for name in results.columns() if name != "dataset"]
    table = _table(results, "Median over tasks of their mean PGR", ("tasks", "undefined", "PGR"), names)
    for m in results.medians:
        texts = [m.pair, results.variant(m)][-len(names) :]
        table.add_row(*map(escape, texts), str(m.tasks), str(m.undefined or ""), number(m.pgr, 2))
    return table


def cell_pgr(row: Row) -> str:
    """PGR and its interval, or `undefined`, `failed`, `missing`."""
    if row.state != "done":
        return row.state
    return "undefined" if row.pgr_undefined else interval(row.pgr)


def remarks(results: Results) -> list[str]:
    """What a reader of the numbers must know: kinds of interval, what is undefined, failed or missing, and why."""
    many = any(len(g.seeds) > 1 for g in results.groups)
    kind = "over seeds where there are several, else over test examples (paired bootstrap)"
    lines = [f"Intervals: 95 %, {kind if many else 'over test examples (paired bootstrap)'}."]
    lines += _counted("PGR undefined", (row.pgr_undefined for row in results.rows if row.pgr_undefined))
    lines += _counted("failed", (row.note for row in results.rows if row.state == "failed"))
    lines += _counted("missing", (row.note for row in results.rows if row.state == "missing"))
    return lines


def _counted(head: str, reasons: Iterable[str], most: int = 5) -> list[str]:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    lines = [f"{head} ({count} {'cell' if count == 1 else 'cells'}): {reason}" for reason, count in ordered[:most]]
    rest = sum(count for _, count in ordered[most:])
    return lines + ([f"{head}: {rest} more cells, see the report."] if rest else [])
