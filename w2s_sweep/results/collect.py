"""Cells -> rows. Numbers are computed from predictions alone, and every one can be traced to a stage folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar, cast

import threadpoolctl  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.errors import StoreError, unknown
from w2s_sweep.metrics import Recovery
from w2s_sweep.metrics.interval import special_functions
from w2s_sweep.plan.stage import digest
from w2s_sweep.results.absence import stage_failures
from w2s_sweep.results.cells import Block, CellReader, Groups, blocks, split_tasks
from w2s_sweep.results.collected import Results
from w2s_sweep.results.compare import Compared, compare_tasks, join_tasks
from w2s_sweep.results.curve_point import CurvePoint, StudentStep
from w2s_sweep.results.curves import CurveReader
from w2s_sweep.results.estimate import Designs, Entry
from w2s_sweep.results.groups import group_cells, medians
from w2s_sweep.results.join import join
from w2s_sweep.results.labels import sorted_json
from w2s_sweep.results.memory import keep_freed_memory, no_garbage_collection
from w2s_sweep.results.pairs import Students
from w2s_sweep.results.processes import run_beside
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.records import Group, Reliability, Row
from w2s_sweep.results.reliability import ReliabilityReader
from w2s_sweep.results.score import measure
from w2s_sweep.results.summary import Summary, leave_out_questions, summarize
from w2s_sweep.store import Store

F = TypeVar("F", bound=Callable[..., Any])
MANY = 200
"""Cells from which on it pays to fork."""


def limit_threads(function: F) -> F:
    """Have BLAS use one thread in a function."""
    return cast(Any, threadpoolctl).threadpool_limits.wrap(limits=1, user_api="blas")(function)


def collect(store: Store, *sweeps: str, test: str | None = None) -> Results:
    """The results of sweeps, joined, as far as they have run. Raises StoreError where the store has no such sweep.

    `test`: the name of one of the further test sets that cells have (`tests`); None is the cells' own.
    """
    return collect_record(store, read_record(store, sweeps, test))


def read_record(store: Store, sweeps: Sequence[str], test: str | None = None) -> dict[str, Any]:
    """What `collect` collects: the record of sweeps, joined, with the stages of a further test set where one is named.
    Raises StoreError."""
    record = join([store.read_sweep(sweep) for sweep in dict.fromkeys(sweeps)])
    return record if test is None else _on_test(record, test)


@limit_threads
@no_garbage_collection
def collect_record(store: Store, record: dict[str, Any]) -> Results:
    """The same of a record, which may hold some cells of a sweep only. Of many cells tasks are collected beside each
    other, by processes.

    Each is on one thread: its many small products are no faster on several, and many times slower beside other work.
    """
    work = Work.of(store, record)
    if len(record["cells"]) < MANY:
        return work.conclude([work.collect(task) for task in work.tasks])
    keep_freed_memory()
    special_functions()  # loaded once, for all processes
    return work.conclude(run_beside([partial(work.collect, task) for task in work.tasks]))


@limit_threads
@no_garbage_collection
def collect_students(store: Store, record: dict[str, Any]) -> tuple[Results, Students]:
    """The same, and the students of its cells, which can be compared without another look at the store."""
    work = Work.of(store, record)
    return work.conclude([work.collect(task) for task in work.tasks]), work.students


@dataclass(frozen=True)
class Collected:
    """What is known of the cells of one task and metric."""

    scored: Mapping[str, "Scored"]
    """By the name of cells that differ in the seed only."""
    steps: Mapping[int, tuple[StudentStep, ...]]
    """Cell -> the evaluations of its student."""
    compared: Sequence[Compared]


@dataclass(frozen=True)
class Work:
    """Reads and scores the cells of a record."""

    record: dict[str, Any]
    failures: dict[str, str]
    groups: Groups
    cells: CellReader
    designs: Designs
    curves: CurveReader
    counted: ReliabilityReader
    students: Students

    @classmethod
    def of(cls, store: Store, record: dict[str, Any]) -> "Work":
        failures, reader, designs = stage_failures(store, record["stages"]), Reader(store, record["stages"]), Designs()
        readers = CellReader.of(reader, record, failures), designs, CurveReader.of(reader, designs)
        return cls(
            record,
            failures,
            _by_group(record["cells"]),
            *readers,
            ReliabilityReader(reader),
            Students(reader, designs),
        )

    @cached_property
    def tasks(self) -> list[Groups]:
        return split_tasks(self.record, self.groups)

    def collect(self, task: Groups) -> Collected:
        """The cells of one task."""
        scored = dict[str, Scored]()
        for block in blocks(self.cells, task):
            scored |= _score(block, self.designs, self.curves, self.counted)
            self.cells.reader.forget_curves()
        rows = sorted((row for one in scored.values() for row in one.rows), key=lambda row: row.cell)
        steps = {row.cell: steps for row in rows if (steps := self.curves.student_steps(row))}
        return Collected(scored, steps, compare_tasks(rows, self.students))

    def conclude(self, tasks: Sequence[Collected]) -> Results:
        """What is known of all cells."""
        scored = {name: one for task in tasks for name, one in task.scored.items()}
        found = {name: scored[name] for name in self.groups}
        rows = sorted((row for one in found.values() for row in one.rows), key=lambda row: row.cell)
        steps = {cell: one for task in tasks for cell, one in task.steps.items()}
        summed = tuple(one.group for one in found.values())
        return Results(
            str(self.record["name"]),
            self.record,
            tuple(rows),
            summed,
            medians(summed),
            join_tasks(one for task in tasks for one in task.compared),
            self.failures,
            {name: one.recovery for name, one in found.items() if one.recovery is not None},
            tuple(point for one in found.values() for point in one.points),
            {row.cell: steps[row.cell] for row in rows if row.cell in steps},
            {name: one.reliability for name, one in found.items()},
        )


@dataclass(frozen=True)
class Scored:
    """What is known of cells that differ in the seed only."""

    rows: Sequence[Row]
    group: Group
    recovery: Recovery | None
    points: Sequence[CurvePoint]
    reliability: Mapping[str, Reliability]


def _score(block: Block, designs: Designs, curves: CurveReader, counted: ReliabilityReader) -> dict[str, Scored]:
    """The groups of a block by name: the numbers of all cells are computed together, then those of all groups."""
    done = {cell.index: cell for cell in block.cells if cell.sets}
    measured = dict(zip(done, measure([cell.sets for cell in done.values()]), strict=True))
    alone = dict(zip(done, _summarize(block, [[measured[i]] for i in done], designs), strict=True))
    rows = {
        name: [cell.row(alone[cell.index][0] if cell.index in done else None) for cell in cells]
        for name, cells in block.groups.items()
    }
    entries = {
        name: [measured[cell.index] for cell in cells if cell.sets]
        for name, cells in block.groups.items()
        if any(cell.sets for cell in cells)
    }
    together = dict(zip(entries, _summarize(block, [*entries.values()], designs), strict=True))
    points = dict(zip(rows, curves.points([*rows.values()]), strict=True))
    return {
        name: Scored(found, *group_cells(found, together.get(name)), points[name], counted.pool(found))
        for name, found in rows.items()
    }


def _summarize(block: Block, entries: Sequence[Entry], designs: Designs) -> list[Summary]:
    found = summarize(entries, block.metric, designs)
    return found if block.whole else [(leave_out_questions(common, block.metric), of) for common, of in found]


def names_of_tests(record: Mapping[str, Any]) -> list[str]:
    """The further test sets that cells of a sweep have."""
    return list(dict.fromkeys(name for entry in record["cells"] for name in entry.get("tests", {})))


def _on_test(record: Mapping[str, Any], test: str) -> dict[str, Any]:
    """The record with the stages that show a further test set to the roles, of the cells that have it."""
    known = names_of_tests(record)
    if test not in known:
        raise StoreError(unknown("test", test, known))
    cells = [entry | {"roles": entry["tests"][test]} for entry in record["cells"] if test in entry.get("tests", {})]
    return {**record, "name": f"{record['name']} on {test}", "cells": cells}


def _by_group(cells: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """A name for all cells that differ in the seed only -> their positions, in order of first appearance."""
    found: dict[str, list[int]] = {}
    for i, entry in enumerate(cells):
        about = {name: value for name, value in entry["cell"].items() if name != "seed"}
        found.setdefault(sorted_json(about), []).append(i)
    return {digest(json.loads(about)): places for about, places in found.items()}
