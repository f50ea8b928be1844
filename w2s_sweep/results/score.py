"""Test predictions of the roles -> the numbers of a cell, or of several that differ in the seed only.

Every metric is a mean of one number an example, so one crossed design of seeds and groups serves them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from w2s_sweep.arrays import Array
from w2s_sweep.metrics import (
    FURTHER,
    METRICS,
    NO_CEILING,
    NO_TEST_LABELS,
    ROLES,
    Design,
    Interval,
    OfCell,
    OfMeans,
    OfRole,
    Recovery,
    crossed_intervals,
    recover,
    scores_of,
    undefined,
    unscored,
)
from w2s_sweep.results.examples import Examples

Columns = dict[str, "Array | None"]
"""Name of a metric -> a number for each test example, whose mean it is; None where the metric is undefined."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What is known of the test examples of one cell."""

    groups: Array
    """[examples] text: the name of each one's group."""
    columns: Columns
    """By the names of `Row.details`."""

    def stack(self, names: Sequence[str]) -> Array:
        """[names, examples]: the numbers of some metrics, of which none is undefined."""
        return np.array([self.columns[name] for name in names])


@dataclass
class Designs:
    """Makes designs, each once: cells of one task and seed have the same array of group names."""

    made: dict[tuple[int, ...], tuple[Sequence[Array], Design]] = field(
        default_factory=dict[tuple[int, ...], tuple[Sequence[Array], Design]]
    )
    """Identities of the arrays, which are kept here so that no other ones get these, -> their design."""

    def of(self, cells: Sequence[Measured]) -> Design:
        arrays = [cell.groups for cell in cells]
        about = tuple(map(id, arrays))
        if about not in self.made:
            self.made[about] = (arrays, Design.of(arrays))
        return self.made[about][1]


@dataclass
class Scorer:
    """Measures cells; what depends on one stage alone is computed once however many cells use the stage."""

    designs: Designs = field(default_factory=Designs)
    stages: dict[tuple[str, str], Columns] = field(default_factory=dict[tuple[str, str], Columns])
    """(stage, which examples) -> its columns."""

    def measure(self, keys: Mapping[str, str], sets: Mapping[str, Examples]) -> Measured:
        """`keys` and `sets`: stage key and (the same) test examples of each role; `sets` may lack a supervisor that
        has no test examples, and a ceiling."""
        columns: Columns = {}
        further: dict[str, OfMeans] = {}
        there = [role for role in ROLES if role in sets]
        for role in there:
            columns |= {f"{name}/{role}": found for name, found in self.of_stage(keys[role], sets[role]).items()}
        for _, metric in FURTHER.items():
            if isinstance(metric, OfCell) and {*metric.needs} <= {*there}:
                further |= metric.measure(sets)
        columns |= scores_of(further)
        return Measured(sets["student"].groups, columns)

    def of_stage(self, key: str, examples: Examples) -> Columns:
        """What depends on one stage alone, by the name of the metric."""
        about = key, examples.digest
        if about not in self.stages:
            found: Columns = {name: m.scores_of(examples) for name, m in METRICS.items()}
            further = {name: m.measure(examples) for name, m in FURTHER.items() if isinstance(m, OfRole)}
            found |= scores_of({name: m for name, m in further.items() if m is not None})
            self.stages[about] = found
        return self.stages[about]


def summarize(
    cells: Sequence[Measured], metric: str, designs: Designs | None = None
) -> tuple[dict[str, Any], Recovery]:
    """What `Row` and `Group` have in common, of cells that differ in the seed only; and what the PGR is of."""
    designs = designs or Designs()
    idle = _idle(cells)
    every = dict.fromkeys(name for cell in cells for name in cell.columns if name.partition("/")[0] not in idle)
    ratios = {name: (f"{name}/weak", f"{name}/student", f"{name}/ceiling") for name in METRICS}
    ratios = {name: of for name, of in ratios.items() if name not in idle - {metric}}
    known, recoveries = estimate(cells, ratios, designs)
    details, found = dict.fromkeys(every, Interval(None)) | known, recoveries[metric]
    common = {
        "n_groups": designs.of(cells).counts[1],
        **{role: details.get(f"{metric}/{role}", Interval(None)) for role in ROLES},
        "gain": found.gain,
        "gap": found.gap,
        "excess": found.excess,
        "pgr": found.pgr,
        "unidentified": found.reason,
        "details": details | {f"pgr/{name}": recovery.pgr for name, recovery in recoveries.items()},
    }
    return common, found


def _idle(cells: Sequence[Measured]) -> set[str]:
    """Metrics of groups that no cell has: most tasks have no questions, and no column that says so."""
    known = {name.partition("/")[0] for cell in cells for name, column in cell.columns.items() if column is not None}
    return {name for name, metric in METRICS.items() if metric.reads_groups and name not in known}


Ratio = tuple[str, str, str]
"""Columns of the supervisor, the student and the ceiling, of which a PGR is the ratio of the gaps."""


def estimate(
    cells: Sequence[Measured], ratios: Mapping[str, Ratio], designs: Designs
) -> tuple[dict[str, Interval], dict[str, Recovery]]:
    """Of cells that differ in the seed only: the mean of every column over the cells that have it, with its interval;
    and the PGR of every ratio. All columns of the same cells are computed together."""
    known = dict[str, Interval]()
    recoveries = {name: why for name, of in ratios.items() if (why := _why_none(cells, of))}
    gaps = {name: (_minus(of[1], of[0]), _minus(of[2], of[0])) for name, of in ratios.items() if name not in recoveries}
    wide = [_with_gaps(cell, [of for name, of in ratios.items() if name in gaps]) for cell in cells]
    for names, members in _known(wide).items():
        moments = designs.of(members).moments(_stack(members, names))
        known |= zip(names, crossed_intervals(moments, map(_bounds, names)), strict=True)
        place = {name: i for i, name in enumerate(names)}
        recoveries |= {
            name: recover(moments.only(place[gain], place[gap])) for name, (gain, gap) in gaps.items() if gain in place
        }
    differences = {name for pair in gaps.values() for name in pair}
    return {name: found for name, found in known.items() if name not in differences}, recoveries


def _minus(above: str, below: str) -> str:
    return f"{above} - {below}"


def _with_gaps(cell: Measured, ratios: Sequence[Ratio]) -> Measured:
    """With columns of their own for the gaps: differences of means would lose digits where the roles agree."""
    columns = dict(cell.columns)
    for weak, student, ceiling in ratios:
        for one in (student, ceiling):
            if (name := _minus(one, weak)) not in columns:
                columns[name] = np.subtract(columns[one], columns[weak])  # type: ignore[arg-type]
    return Measured(cell.groups, columns)


def _known(cells: Sequence[Measured]) -> dict[tuple[str, ...], list[Measured]]:
    """Names of metrics that the same cells have -> these cells."""
    having: dict[tuple[int, ...], list[str]] = {}
    for name in dict.fromkeys(name for cell in cells for name in cell.columns):
        places = tuple(i for i, cell in enumerate(cells) if cell.columns.get(name) is not None)
        if places:
            having.setdefault(places, []).append(name)
    return {tuple(names): [cells[i] for i in places] for places, names in having.items()}


def _stack(cells: Sequence[Measured], names: Sequence[str]) -> Array:
    """[rows, names]: the numbers of all cells, one after another; those of a name lie side by side in memory."""
    return np.concatenate([cell.stack(names) for cell in cells], axis=1).T


def _why_none(cells: Sequence[Measured], names: Ratio) -> Recovery | None:
    """The PGR of cells where a role does not have the metric; None where all have it."""
    for name, reason in ((names[0], NO_TEST_LABELS), (names[2], NO_CEILING)):
        if any(name not in cell.columns for cell in cells):
            return unscored(reason)
    absent = [role for role, name in zip(ROLES, names, strict=True) if any(c.columns[name] is None for c in cells)]
    why = METRICS[names[0].partition("/")[0]].undefined_where
    return undefined(*absent, why=why) if absent else None


def _bounds(name: str) -> tuple[float, float]:
    metric = name.partition("/")[0]
    return METRICS[metric].bounds if metric in METRICS else (-np.inf, np.inf)
