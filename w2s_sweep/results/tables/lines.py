"""The rows of each table as texts, the same in a terminal, in Markdown and in the report; and what explains them."""

from collections.abc import Callable, Iterable, Sequence

from w2s_sweep.amounts import show_hours
from w2s_sweep.metrics import METRICS, Interval, cause
from w2s_sweep.results.collected import Results
from w2s_sweep.results.comparison import Comparison, PairedTest
from w2s_sweep.results.records import Group, Median, Row
from w2s_sweep.results.usage import Usage

UNBALANCED = 1.1
"""A test set whose most frequent class has so many times an equal share, or more, is said to be unbalanced."""
ALPHA = 0.05
"""A corrected p-value below this is printed bold."""


def number(value: float | None, digits: int = 3) -> str:
    """Three decimals without the leading zero; a dash where there is none."""
    if value is None:
        return "-"
    text = f"{value:.{digits}f}"
    if text[0] == "0":
        return text[1:] or text
    if text.startswith("-0"):
        return f"-{text[2:]}" if text.strip("-0.") else text[2:] or "0"  # no -.000
    return text


USAGE_ABOUT = (
    "Of finished stages, with all runs that they continued from; asked for are time limits and memory of SLURM tasks, "
    "earlier ones for the same stages included, of memory the most of any. A task that SLURM queued again counts once, "
    "with what it asked for at first."
)


def usage(rows: Sequence[Usage]) -> dict[str, list[str]]:
    """Heading -> texts, a row per kind of work; without the columns of which nothing is known."""
    hours = {
        "hours asked": [row.asked_hours for row in rows],
        "hours used": [row.used_hours for row in rows],
        "GPU-hours asked": [row.asked_gpu_hours for row in rows],
        "GPU-hours used": [row.used_gpu_hours for row in rows],
    }
    memory = {
        "GB asked": [row.asked_gb for row in rows],
        "GB used": [row.used_gb for row in rows],
        "GB of a GPU planned": [row.planned_gpu_gb for row in rows],
        "GB of a GPU used": [row.used_gpu_gb for row in rows],
    }
    found = {"work": [row.work for row in rows], "stages": [str(row.stages) for row in rows]}
    if any(row.tasks for row in rows):
        found["tasks"] = [str(row.tasks) for row in rows]
    found |= {h: ["-" if x is None else show_hours(x) for x in many] for h, many in hours.items() if any(many)}
    return found | {h: ["-" if x is None else f"{x:.1f}" for x in many] for h, many in memory.items() if any(many)}


def interval(estimate: Interval, digits: int = 2) -> str:
    """`.57 [.41, .70]`, or the value alone."""
    if estimate.value is None:
        return "-"
    value, low, high = (number(end, digits) for end in (estimate.value, estimate.low, estimate.high))
    return value if estimate.low is None else f"{value} [{low}, {high}]"


def p_text(p: float | None) -> str:
    """`.012`, `<.001`; a dash where there is no test."""
    return "<.001" if p is not None and p < 0.001 else number(p)


def count_text(count: int, what: str) -> str:
    """`1 task`, `3 tasks`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


ORACLE = "Cells were chosen by their validation PGR: an oracle, which spends the truth of validation rows."
BEATEN = "Where the ceiling is beaten a PGR near 1 says little: tune the ceiling, as in ceiling.lr=[0.003,0.01,0.03]."
ONE_SEED = "†"
"""Marks intervals of settings with one seed."""


def plus_minus(estimate: Interval, digits: int = 3) -> str:
    """`.080 ±.023`: a number whose interval is symmetric."""
    if estimate.value is None or estimate.high is None:
        return number(estimate.value, digits)
    return f"{number(estimate.value, digits)} ±{number(estimate.high - estimate.value, digits)}"


def group_gap(group: Group) -> str:
    return plus_minus(group.gap)


def group_pgr(group: Group) -> str:
    """PGR and its interval, marked where it is of one seed; `not identified`; a dash before any cell is finished."""
    if not group.seeds:
        return "-"
    return "not identified" if group.unidentified else f"{interval(group.pgr)}{ONE_SEED * (len(group.seeds) == 1)}"


def cell_pgr(row: Row) -> str:
    """PGR and its interval, or `not identified`, `failed`, `missing`."""
    if row.state != "done":
        return row.state
    return "not identified" if row.unidentified else interval(row.pgr)


def median_heads(results: Results) -> list[str]:
    return [name for name in results.columns() if name != "dataset"]


def median_texts(results: Results, m: Median) -> list[str]:
    """What `median_heads` title."""
    return [m.pair, results.variant(m)][-len(median_heads(results)) :]


def median_pgr(m: Median) -> str:
    return "not identified" if m.pgr.value is None and m.unidentified else interval(m.pgr)


def note_left_out(m: Median) -> str:
    """`3 tasks: the gap is not told from 0`."""
    ordered = sorted(m.reasons.items(), key=lambda item: -item[1])
    return "; ".join(f"{count_text(n, 'task')}: {reason}" for reason, n in ordered)


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
    """How settings were compared: what of what, which test over what, and how it is corrected."""
    if not shown:
        return ""
    bases = " or ".join(sorted({results.variant(c.first) for c in shown}))
    text = f"Student {results.rows[0].metric} minus that of {bases} on the same task, models, seed and test examples. "
    tests = [c.test for c in shown if c.test is not None]
    text += " ".join(_describe_test(test, tests) for test in {t.name: t for t in tests}.values())
    count = len({c.students for c in shown})
    holm = f"corrected by Holm over the {count} comparisons" if count > 1 else "nothing to correct for"
    return f"{text} Two-sided, {holm}."


def _describe_test(test: PairedTest, tests: Sequence[PairedTest]) -> str:
    """What a p is of."""
    if test.name == "sign flips":
        fewest = max((t for t in tests if t.name == test.name), key=lambda t: t.smallest)
        floor = f"; {count_text(fewest.units, 'task')} can give no p below {p_text(fewest.smallest)}"
        return f"p: sign flips of the tasks' mean differences, a task counting once{floor}."
    if test.name == "these models":
        return "p with one seed: over groups of test examples, of these trained models; other runs may differ by more."
    return "p: Student's t over seeds and groups of test examples together."


def remarks(results: Results, most: int = 5) -> list[str]:
    """What a reader of the numbers must know: what intervals are over, what is not identified, failed or missing; of
    each kind at most so many lines."""
    done = [g for g in results.groups if g.seeds]
    lines = [ORACLE] if results.record.get("settings", {}).get("objective") == "validation_pgr" else []
    if any(len(g.seeds) > 1 for g in done):
        lines.append(
            f"PGR: mean gain / mean gap, 95 % over {_span([len(g.seeds) for g in done if len(g.seeds) > 1])} seeds and "
            f"{_span([g.n_groups for g in done])} groups of test examples (docs/STATISTICS.md)."
        )
    if any(len(g.seeds) == 1 for g in done):
        lines.append(
            f"{ONE_SEED} One seed: 95 % of this trained model over {_span([g.n_groups for g in done])} groups of test "
            "examples; others may differ by more."
        )
    classes = {row.dataset: row.classes or 2 for row in results.rows}
    shares = {
        g.dataset: g.majority
        for g in done
        # 1: generation, whose truth is that the written text is right
        if g.majority is not None and UNBALANCED / classes.get(g.dataset, 2) < g.majority < 1
    }
    lines += [f"{name}: always the most frequent class has accuracy {number(share)}" for name, share in shares.items()]
    unknown = (cause(g.unidentified) for g in done if g.unidentified)
    lines += _count_lines("PGR not identified", results.count_groups, unknown, most)
    lines += _without_answers(done)[:most]
    lines += _beaten_ceilings(results, done, most)
    lines += _count_lines("failed", _cells, (row.note for row in results.rows if row.state == "failed"), most)
    lines += _count_lines("missing", _cells, (row.note for row in results.rows if row.state == "missing"), most)
    return lines


def _without_answers(done: Iterable[Group]) -> list[str]:
    """Tasks of which a metric of whole questions was left out: `results/summary.py` leaves it without a value."""
    found = {
        (g.dataset, metric.label)
        for g in done
        for name, metric in METRICS.items()
        if metric.reads_groups and name != g.metric and g.details.get(f"{name}/student") == Interval(None)
    }
    return [
        f"{task}: no {label}, since dataset.balance=classes left answers of its questions out; dataset.balance=none "
        "keeps them."
        for task, label in sorted(found)
    ]


def _beaten_ceilings(results: Results, done: Iterable[Group], most: int) -> list[str]:
    """Tasks and models whose ceiling a student beats, by more than chance: by which, and by how much."""
    found: dict[tuple[str, str], list[Group]] = {}
    for g in done:
        if g.excess.low is not None and g.excess.low > 0:
            found.setdefault((g.dataset, g.strong_model), []).append(g)
    lines: list[str] = []
    for (task, model), groups in list(found.items())[:most]:
        best = max(groups, key=lambda g: g.excess.value or 0)
        lines.append(
            f"ceiling beaten: {task}, {model}: the student of {results.variant(best)} is better by "
            f"{interval(best.excess, 3)} ({count_text(len(groups), 'setting')} above it)."
        )
    if len(found) > most:
        lines.append(f"ceiling beaten: {len(found) - most} more: in groups.csv, where excess_low is above 0.")
    return lines + ([BEATEN] if lines else [])


def _span(values: Iterable[int | None]) -> str:
    """`3`, or `3 to 5`."""
    known = [value for value in values if value is not None]
    return f"{known[0]:,}" if len(set(known)) == 1 else f"{min(known):,} to {max(known):,}"


def _cells(count: int) -> str:
    return count_text(count, "cell")


def _count_lines(head: str, name: Callable[[int], str], reasons: Iterable[str], most: int) -> list[str]:
    """`name`: what is counted, with its number."""
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    lines = [f"{head} ({name(count)}): {reason}" for reason, count in ordered[:most]]
    rest = sum(count for _, count in ordered[most:])
    return lines + ([f"{head}: more in the tables ({name(rest)})."] if rest else [])
