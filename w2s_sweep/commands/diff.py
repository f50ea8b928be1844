"""`w2s diff`: two sweeps, or two cells, beside each other."""

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from w2s_sweep.commands.base import Command
from w2s_sweep.store import Store

if TYPE_CHECKING:
    from w2s_sweep.results.comparison import Comparison
    from w2s_sweep.results.differ import Difference

MANY = 40
"""Rows of a table; more are counted."""
VALUES = 5


def diff(console: Console, store: Store, args: argparse.Namespace) -> int:
    from w2s_sweep.results.differ import differ, read_side  # pyarrow is loaded only where it is needed

    found = differ(store, read_side(store, args.left), read_side(store, args.right))
    for part in (_settings(found, args.left, args.right), *_stages(found, args.left, args.right), *_scores(found)):
        console.print(part, highlight=False)
    return 0


def _settings(found: "Difference", left: str, right: str) -> Table | Text:
    if not found.settings:
        return Text("settings: no difference")
    table = _table("setting", left, right)
    for path, (mine, theirs) in list(found.settings.items())[:MANY]:
        table.add_row(Text(path), Text(_values(mine)), Text(_values(theirs)))
    if len(found.settings) > MANY:
        table.add_row("...", f"{len(found.settings) - MANY} more", "")
    return table


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(Text(head), overflow="fold")
    return table


def _values(values: Sequence[Any]) -> str:
    """`-` where the setting does not occur; several values of a grid side by side."""
    shown = ", ".join("null" if value is None else str(value) for value in values[:VALUES])
    return (shown or "-") + (f", ... ({len(values)} values)" if len(values) > VALUES else "")


def _stages(found: "Difference", left: str, right: str) -> list[Text]:
    lines = [f"\nstages: {found.shared} shared"]
    for name, stages in zip((left, right), found.stages, strict=True):
        counts = Counter(str(stage.get("role") or stage.get("kind", "stage")) for stage in stages.values())
        said = ", ".join(f"{count} {role}" for role, count in sorted(counts.items()))
        lines.append(f"only {name}: {len(stages)}" + (f" ({said})" if said else ""))
    return [Text(line) for line in lines]


def _scores(found: "Difference") -> list[Table | Text]:
    from w2s_sweep.results.tables import lines

    parts: list[Table | Text] = [Text(line) for line in _list_unpaired(found)]
    compared = [c for c in found.comparisons if c.tasks > 1] or list(found.comparisons)
    if not compared:
        return parts
    table = _table("task", "weak → strong", "left", "right", "better", "right - left [95 %]", "p")
    for c in compared[:MANY]:
        p = lines.p_text(None if c.test is None else c.test.corrected)
        words = (c.dataset, c.pair, _setting(c, 0), _setting(c, 1), lines.better(c), lines.interval(c.difference, 3), p)
        table.add_row(*map(Text, words))
    said = f"Student {compared[0].first.metric} of cells that agree in all settings but those above; "
    test = " or ".join(dict.fromkeys(c.test.name for c in compared if c.test is not None))
    tested = f"p over {test}, two-sided, after Holm's correction." if test else "too little is known for a test."
    return [Text(), table, Text(said + tested), *parts]


def _setting(c: "Comparison", side: int) -> str:
    """Loss, and method and fine-tuning where they say more than that both sides are alike."""
    row, other = (c.first, c.second) if side == 0 else (c.second, c.first)
    names = [name for name in ("method", "finetune") if getattr(row, name) != getattr(other, name)]
    return " · ".join([row.loss, *(str(getattr(row, name)) for name in names)])


def _list_unpaired(found: "Difference") -> list[str]:
    lines = [f"{found.same} cells are the same on both sides"] if found.same else []
    if any(found.unpaired):
        left, right = found.unpaired
        lines.append(f"{left} cells of the left and {right} of the right have no one counterpart")
    return lines + [f"{count} pairs of cells not compared: {why}" for why, count in found.unscored.items()]


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("left", metavar="A", help="SWEEP, or SWEEP/CELL with the number of a cell, from 0")
    parser.add_argument("right", metavar="B", help="what it is compared with")


DIFF = "Compare two sweeps, or two cells: settings that differ, stages that are shared, scores with a paired test."
MORE = """\
`w2s diff demo other` pairs the cells of both that agree in every setting both have, seed included, and tests the
difference of their students as the report does (docs/STATISTICS.md). `w2s diff demo/0 demo/3` compares two cells.
`w2s explain KEY KEY` shows why two stages have different keys."""
COMMANDS = (Command("diff", DIFF, diff, _diff_arguments, more=MORE),)
