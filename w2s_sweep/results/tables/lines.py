"""The rows of each table as texts, the same in a terminal, in Markdown and in the report; and what explains them."""

from collections.abc import Iterable, Sequence

from w2s_sweep.metrics import METRICS, Interval, cause, smallest_p
from w2s_sweep.results.records import Comparison, Group, Median, PairedTest, Results, Row

ALPHA = 0.05
"""A corrected p-value below this is printed bold."""


def number(value: float | None, digits: int = 3) -> str:
    """Three decimals without the leading zero; a dash where there is none."""
    if value is None:
        return "-"
    text = f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no -.000
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def interval(estimate: Interval, digits: int = 2) -> str:
    """`.57 [.41, .70]`, or the value alone."""
    if estimate.value is None:
        return "-"
    value, low, high = (number(end, digits) for end in (estimate.value, estimate.low, estimate.high))
    return value if estimate.low is None else f"{value} [{low}, {high}]"


def p_text(p: float | None) -> str:
    """`.012`, `<.001`; a dash where there is no test."""
    return "<.001" if p is not None and p < 0.001 else number(p)


def group_pgr(group: Group) -> str:
    """PGR, its interval, and how many cells are left out; `undefined` where all are."""
    if not group.seeds:
        return "-"
    left_out = f" ({group.undefined} undef.)" if group.undefined and group.pgr.value is not None else ""
    return "undefined" if group.pgr.value is None else interval(group.pgr) + left_out


def cell_pgr(row: Row) -> str:
    """PGR and its interval, or `undefined`, `failed`, `missing`."""
    if row.state != "done":
        return row.state
    return "undefined" if row.pgr_undefined else interval(row.pgr)


def median_heads(results: Results) -> list[str]:
    return [name for name in results.columns() if name != "dataset"]


def median_texts(results: Results, m: Median) -> list[str]:
    """What `median_heads` title."""
    return [m.pair, results.variant(m)][-len(median_heads(results)) :]


def median_pgr(m: Median) -> str:
    return "undefined" if m.pgr.value is None and m.undefined else interval(m.pgr)


def left_out(m: Median) -> str:
    """`3 cells: the ceiling is not better than the weak supervisor`."""
    return "; ".join(f"{n} {_cells(n)}: {reason}" for reason, n in sorted(m.left_out.items(), key=lambda i: -i[1]))


def better(c: Comparison) -> str:
    """`2/3`: in how many seeds, or tasks, the setting is better."""
    return f"{c.better}/{c.tasks if c.tasks > 1 else c.pairs}"


def difference_head(shown: Sequence[Comparison]) -> str:
    """`difference [95 % over seeds]`; a row with a single pair of cells has its interval over examples."""
    return f"difference [95 % over {' or '.join(dict.fromkeys(c.over for c in shown))}]"


def distinct(test: PairedTest | None) -> bool:
    """Whether the corrected p-value is below `ALPHA`."""
    return test is not None and test.corrected < ALPHA


def method(results: Results, shown: Sequence[Comparison]) -> str:
    """How settings were compared: what of what, which tests over what, and how they are corrected."""
    if not shown:
        return ""
    bases = " or ".join(sorted({results.variant(c.first) for c in shown}))
    metric, joint = results.rows[0].metric, shown[0].tasks > 1
    runs = min((c.by_run.pairs for c in shown if c.by_run is not None), default=0)
    text = f"Student {metric} minus that of {bases} on the same task, models, seed and test examples. "
    if runs:
        flips = f"sign flips of the paired differences over {'tasks × seeds' if joint else 'seeds'}"
        floor = smallest_p(runs)
        bound = f", with {runs} pairs never below {p_text(floor)}" if floor >= 0.001 else ""
        text += f"p over runs: {flips}{bound}; "
    test = METRICS[metric].test_text
    text += f"p over examples: {test} on the pooled test examples, one that several seeds share counted once. "
    count = len({c.students for c in shown})
    holm = f"corrected by Holm over the {count} comparisons" if count > 1 else "nothing to correct for"
    return f"{text}Two-sided, {holm}."


def remarks(results: Results) -> list[str]:
    """What a reader of the numbers must know: kinds of interval, what is undefined, failed or missing, and why."""
    many = any(len(g.seeds) > 1 for g in results.groups)
    kind = "over seeds where there are several, else over test examples (paired bootstrap)"
    lines = [f"Intervals: 95 %, {kind if many else 'over test examples (paired bootstrap)'}."]
    lines += _count_lines("PGR undefined", (cause(row.pgr_undefined) for row in results.rows if row.pgr_undefined))
    lines += _count_lines("failed", (row.note for row in results.rows if row.state == "failed"))
    lines += _count_lines("missing", (row.note for row in results.rows if row.state == "missing"))
    return lines


def _count_lines(head: str, reasons: Iterable[str], most: int = 5) -> list[str]:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    lines = [f"{head} ({count} {_cells(count)}): {reason}" for reason, count in ordered[:most]]
    rest = sum(count for _, count in ordered[most:])
    return lines + ([f"{head}: {rest} more cells, see the report."] if rest else [])


def _cells(count: int) -> str:
    return "cell" if count == 1 else "cells"
