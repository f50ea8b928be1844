"""Cells -> rows. Numbers are computed from predictions alone, and every one can be traced to a stage folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import threadpoolctl  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.errors import StoreError, unknown
from w2s_sweep.metrics import NO_TEST_LABELS, ROLES, Recovery, plain_ratio
from w2s_sweep.plan.stage import digest
from w2s_sweep.results.absence import describe_absence, stage_failures
from w2s_sweep.results.cell_names import label_settings, name_settings
from w2s_sweep.results.collected import Results
from w2s_sweep.results.compare import compare
from w2s_sweep.results.curve_point import CurvePoint
from w2s_sweep.results.curves import CurveReader
from w2s_sweep.results.examples import Examples
from w2s_sweep.results.groups import group_cells, medians
from w2s_sweep.results.join import join
from w2s_sweep.results.labels import sorted_json
from w2s_sweep.results.pairs import Students
from w2s_sweep.results.reader import Reader
from w2s_sweep.results.records import Group, Reliability, Row
from w2s_sweep.results.reliability import ReliabilityReader
from w2s_sweep.results.score import Measured, Scorer, summarize
from w2s_sweep.store import Store

F = TypeVar("F", bound=Callable[..., Any])


def limit_threads(function: F) -> F:
    """Have BLAS use one thread in a function."""
    return cast(Any, threadpoolctl).threadpool_limits.wrap(limits=1, user_api="blas")(function)


def collect(store: Store, *sweeps: str, test: str | None = None) -> Results:
    """The results of sweeps, joined, as far as they have run. Raises StoreError where the store has no such sweep.

    `test`: the name of one of the further test sets that cells have (`tests`); None is the cells' own.
    """
    record = join([store.read_sweep(sweep) for sweep in dict.fromkeys(sweeps)])
    return collect_record(store, record if test is None else _on_test(record, test))


def collect_record(store: Store, record: dict[str, Any]) -> Results:
    """The same of a record, which may hold some cells of a sweep only."""
    return collect_students(store, record)[0]


@limit_threads
def collect_students(store: Store, record: dict[str, Any]) -> tuple[Results, Students]:
    """The same, and the students of its cells, which can be compared without another look at the store.

    On one thread: its many small products are no faster on several, and many times slower beside other work.
    """
    failures = stage_failures(store, record["stages"])
    names = label_settings([entry["cell"] for entry in record["cells"]])
    reader, scorer = Reader(store, record["stages"]), Scorer()
    rows: dict[int, Row] = {}
    curves, points = CurveReader(store, reader, scorer.designs), list[CurvePoint]()
    counted, reliability = ReliabilityReader(reader), dict[str, Mapping[str, Reliability]]()
    groups: dict[str, tuple[Group, Recovery | None]] = {}
    for name, cells in _by_group(record["cells"]).items():
        found = [_row(name, i, record["cells"][i], names, failures, record["stages"], reader, scorer) for i in cells]
        rows |= {row.cell: row for row, _ in found}
        points += curves.points([row for row, _ in found])
        reliability[name] = counted.pool([row for row, _ in found])
        groups[name] = group_cells(
            [row for row, _ in found],
            [measured for _, measured in found if measured is not None],
            scorer.designs,
        )
    ordered = tuple(rows[i] for i in range(len(rows)))
    recoveries = {name: recovery for name, (_, recovery) in groups.items() if recovery is not None}
    summed = tuple(group for group, _ in groups.values())
    students = Students(reader, scorer)
    comparisons = compare(ordered, students)
    found = medians(summed)
    steps = {row.cell: steps for row in ordered if (steps := curves.student_steps(row))}
    results = Results(
        str(record["name"]),
        record,
        ordered,
        summed,
        found,
        comparisons,
        failures,
        recoveries,
        tuple(points),
        steps,
        reliability,
    )
    return results, students


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
        found.setdefault(digest(json.loads(sorted_json(about))), []).append(i)
    return found


def _row(
    group: str,
    index: int,
    entry: Mapping[str, Any],
    names: Mapping[str, Mapping[str, str]],
    failures: Mapping[str, str],
    stages: Mapping[str, Any],
    reader: Reader,
    scorer: Scorer,
) -> tuple[Row, Measured | None]:
    """A cell's row, and what is known of its test examples where it is finished."""
    cell, keys = entry["cell"], entry["roles"]
    label = {name: names[name][sorted_json(value)] for name, value in name_settings(cell).items()}
    about: dict[str, Any] = {
        "cell": index,
        "group": group,
        "dataset": label["dataset"],
        "weak_model": label["weak"],
        "strong_model": label["strong"],
        "loss": label["loss"],
        "method": label["method"],
        "finetune": label["finetune"],
        "seed": cell["seed"],
        "metric": cell["metric"],
        "weak_params": 0 if cell["weak"] is None else cell["weak"]["params"],
        "strong_params": cell["strong"]["params"],
        "overrides": tuple(entry["overrides"]),
    } | {f"{role}_key": keys.get(role, "") for role in ROLES}
    found = {role: reader.beside(key, keys["weak"]) for role, key in keys.items()}
    absent = {role: text for role, text in found.items() if isinstance(text, str)}
    if absent and set(absent.values()) != {NO_TEST_LABELS}:
        return Row(**about, **describe_absence(absent, keys, failures, stages)), None
    sets = {role: test for role, test in found.items() if isinstance(test, Examples)}
    mismatch = _mismatch(sets)
    if mismatch:
        return Row(**about, state="failed", note=mismatch), None
    measured, student = scorer.measure(keys, sets), sets["student"]
    common, _ = summarize([measured], cell["metric"], scorer.designs)
    ratio = plain_ratio(*(common[role].value for role in ROLES))
    about |= {"n_test": len(student.ids), "classes": student.probs.shape[1], "ratio": ratio}
    return Row(**about, **common, majority=float(np.bincount(student.truth).max() / len(student.ids))), measured


def _mismatch(sets: Mapping[str, Examples]) -> str:
    """Why the roles cannot be compared; empty when they predict the same examples with the same truth."""
    first, base = next(iter(sets.items()))
    for role, other in sets.items():
        if other.digest == base.digest:
            continue
        mine, theirs = set(base.ids.tolist()), set(other.ids.tolist())
        if mine == theirs:
            return f"the truth of the test examples differs between {first} and {role}"
        return (
            f"the test examples differ: {len(mine - theirs)} only in {first}, {len(theirs - mine)} only in {role}, "
            f"{len(mine & theirs)} in both"
        )
    return ""
