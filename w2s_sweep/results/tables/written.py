"""The tables for people: of a README or an issue as Markdown, of a paper as LaTeX."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from w2s_sweep.results.collected import Results
from w2s_sweep.results.comparison import Comparison
from w2s_sweep.results.records import Group, Median
from w2s_sweep.results.tables import lines


@dataclass(frozen=True)
class Written:
    """One table as texts."""

    title: str
    """Empty for that of groups, which comes first."""
    about: str
    """What has to be known to read it; empty where the table says it all."""
    names: int
    """Columns, from the left, that say what a row is of."""
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def list_written(results: Results) -> Iterator[Written]:
    """A row per group; medians over tasks where there are several; what is compared in pairs; what it took."""
    yield _groups(results)
    if len({row.dataset for row in results.rows}) > 1:
        yield _medians(results)
    for title, found in (("over all tasks", results.over_tasks), ("task by task", results.task_by_task)):
        if found:
            yield _comparisons(results, f"Compared in pairs, {title}", found)
    if results.usage:
        yield _usage(results)


def as_markdown(results: Results) -> str:
    """For a README or an issue."""
    blocks = [f"# {results.sweep}", results.constants]
    for table in list_written(results):
        blocks += [text for text in (f"## {table.title}" * bool(table.title), table.about) if text]
        blocks.append("\n".join(map(_markdown_line, (table.heads, ["---"] * len(table.heads), *table.rows))))
    return "\n\n".join([*blocks, "\n".join(f"- {line}" for line in lines.remarks(results))]) + "\n"


def as_latex(results: Results) -> str:
    """For a paper, with booktabs: one `table` each, whose caption says what the numbers are."""
    said = " ".join([f"{results.constants}.", *lines.remarks(results)])
    blocks = [f"% {_one_line(results.sweep)}: \\usepackage{{booktabs}}"]
    for table in list_written(results):
        caption = " ".join(text for text in (f"{table.title}." * bool(table.title), table.about or said) if text)
        blocks.append(_latex_table(table, caption))
    return "\n\n".join(blocks) + "\n"


def _groups(results: Results) -> Written:
    def line(g: Group) -> list[str]:
        scores = [lines.number(e.value) for e in (g.weak, g.student, g.ceiling)]
        return [*results.texts(g), f"{len(g.seeds)}/{g.cells}", *scores, lines.interval(g.gap, 3), lines.group_pgr(g)]

    names = results.columns()
    heads = [*names, "seeds", "weak", "student", "ceiling", "gap [95 %]", "PGR [95 %]"]
    return Written("", "", len(names), heads, list(map(line, results.groups)))


def _medians(results: Results) -> Written:
    def line(m: Median) -> list[str]:
        counts = [str(m.tasks), str(m.unidentified), lines.note_left_out(m), lines.median_pgr(m)]
        return [*lines.median_texts(results, m), *counts]

    names = lines.median_heads(results)
    heads = [*names, "tasks", "not identified", "why", "median PGR [95 % over tasks]"]
    return Written("Median over tasks", "", len(names), heads, list(map(line, results.medians)))


def _comparisons(results: Results, title: str, found: Sequence[Comparison]) -> Written:
    def line(c: Comparison) -> list[str]:
        units, p, corrected = (c.test.units, c.test.p, c.test.corrected) if c.test else ("-", None, None)
        texts = [lines.interval(c.difference, 3), lines.better(c), str(units), lines.p_text(p), lines.p_text(corrected)]
        return [*results.texts(c), *texts]

    names = results.columns()
    units = "tasks" if found[0].tasks > 1 else "seeds" if found[0].pairs > 1 else "groups of examples"
    heads = [*names, lines.difference_head(found), "better", units, "p", "p Holm"]
    return Written(title, lines.method(results, found), len(names), heads, list(map(line, found)))


def _usage(results: Results) -> Written:
    shown = lines.usage(results.usage)
    return Written("Time and memory", lines.USAGE_ABOUT, 1, list(shown), list(zip(*shown.values(), strict=True)))


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "→": r"$\to$", "±": r"$\pm$",
    "·": r"$\cdot$", "†": r"$\dagger$", "−": "$-$",
}  # fmt: skip
"""Characters that LaTeX reads otherwise, or that its usual fonts lack."""
NUMBER = re.compile(r"(?<![\w.])-(?=[.\d])")


def escape_latex(text: str) -> str:
    """A text that LaTeX sets as it is; the minus of numbers is a minus."""
    signed = NUMBER.sub("−", _one_line(text))
    return "".join(LATEX.get(character, character) for character in signed)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _latex_table(table: Written, caption: str) -> str:
    columns = "l" * table.names + "r" * (len(table.heads) - table.names)
    head = [r"\begin{table}", rf"\caption{{{escape_latex(caption)}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    body = [_latex_line(table.heads), r"\midrule", *map(_latex_line, table.rows)]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _latex_line(cells: Iterable[str]) -> str:
    # A row that begins with [ would be read as an option of the line end before it.
    return " & ".join(f"{{{cell}}}" if cell.startswith("[") else cell for cell in map(escape_latex, cells)) + r" \\"
