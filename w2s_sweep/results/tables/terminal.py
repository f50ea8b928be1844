"""The results in a terminal: a row per group and per cell, what is not identified, what failed. Fits 100 columns."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from w2s_sweep.results.collected import Results
from w2s_sweep.results.comparison import Comparison
from w2s_sweep.results.records import Row
from w2s_sweep.results.tables import lines
from w2s_sweep.terminal import SafeConsole

PLAIN_WIDTH = 100


def print_results(results: Results, console: Console | None = None, cells: int = 60, groups: int = 120) -> None:
    """Print groups, cells and comparisons, each where there are not too many. Plain text without colour in a pipe."""
    console = console or SafeConsole(soft_wrap=False)
    if not console.is_terminal:
        console.width = max(PLAIN_WIDTH, console.width)
    head = f"[bold]{escape(results.sweep)}[/]: {results.count('done')} of {len(results.rows)} cells finished"
    console.print(f"{head} · {escape(results.constants)}", highlight=False, soft_wrap=True)
    several = len({row.dataset for row in results.rows}) > 1
    if len(results.groups) <= groups or not several:
        console.print(_groups(results))
    if any(g.cells > 1 for g in results.groups) and len(results.rows) <= cells:
        console.print(_cells(results))
    if several:
        console.print(_medians(results))
    compared = results.over_tasks or results.task_by_task
    if compared and len(compared) <= cells:
        console.print(_comparisons(results, compared))
        console.print(escape(lines.method(results, compared)), highlight=False, soft_wrap=False)
    for line in lines.remarks(results):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _table(results: Results, title: str, numbers: Sequence[str], names: Sequence[str] | None = None) -> Table:
    table = Table(
        title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for name in results.columns() if names is None else names:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _groups(results: Results) -> Table:
    table = _table(results, "Mean over seeds", ("seeds", "weak", "student", "ceiling", "gap ±95 %", "PGR [95 %]"))
    for g in results.groups:
        scores = [lines.number(e.value) for e in (g.weak, g.student, g.ceiling)]
        seeds = f"{len(g.seeds)}" if len(g.seeds) == g.cells else f"{len(g.seeds)}/{g.cells}"
        table.add_row(*map(escape, results.texts(g)), seeds, *scores, lines.group_gap(g), escape(lines.group_pgr(g)))
    return table


def _cells(results: Results) -> Table:
    table = _table(
        results,
        "Cells: intervals of each trained model",
        ("seed", "weak", "student", "ceiling", "gap ±95 %", "PGR [95 %]"),
    )
    for row in by_group(results):
        scores = [lines.number(e.value) for e in (row.weak, row.student, row.ceiling)]
        table.add_row(
            *map(escape, results.texts(row)),
            str(row.seed),
            *scores,
            lines.plus_minus(row.gap),
            escape(lines.cell_pgr(row)),
        )
    return table


def by_group(results: Results) -> list[Row]:
    """The cells, those of a group next to each other."""
    order = {g.group: place for place, g in enumerate(results.groups)}
    return sorted(results.rows, key=lambda row: (order[row.group], row.seed))


def _medians(results: Results) -> Table:
    title = "Median over tasks of their PGR (interval: from 6 tasks on)"
    table = _table(results, title, ("tasks", "not identified", "PGR [95 %]"), lines.median_heads(results))
    for m in results.medians:
        names, pgr = lines.median_texts(results, m), lines.median_pgr(m)
        table.add_row(*map(escape, names), str(m.tasks), str(m.unidentified or ""), escape(pgr))
    return table


def _comparisons(results: Results, shown: Sequence[Comparison]) -> Table:
    base = " or ".join(sorted({results.variant(c.first) for c in shown}))
    title = f"Against {base}; p after Holm's correction"
    table = _table(results, title, ("better", "difference [95 %]", "p"))
    for c in shown:
        p = lines.p_text(None if c.test is None else c.test.corrected)
        table.add_row(*map(escape, results.texts(c)), lines.better(c), escape(lines.interval(c.difference, 3)), p)
    return table
