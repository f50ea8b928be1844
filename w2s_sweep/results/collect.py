"""Cells -> rows. Numbers are computed from predictions alone, and every one can be traced to a stage folder."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs]
import threadpoolctl  # pyright: ignore[reportMissingTypeStubs]

from w2s_sweep.arrays import Array
from w2s_sweep.config.supervisor import Supervisor
from w2s_sweep.errors import StoreError, unknown
from w2s_sweep.kinds.labels import LabelsFile
from w2s_sweep.metrics import NO_CEILING, NO_TEST_LABELS, Recovery, plain_ratio
from w2s_sweep.plan.stage import digest
from w2s_sweep.predictions import FILE, TEXTS, read_predictions
from w2s_sweep.results.compare import compare
from w2s_sweep.results.curves import CurveReader
from w2s_sweep.results.examples import Examples, Order
from w2s_sweep.results.groups import group_cells, medians
from w2s_sweep.results.join import join
from w2s_sweep.results.labels import label_all, sorted_json
from w2s_sweep.results.pairs import Students
from w2s_sweep.results.records import ROLES, CurvePoint, Group, Reliability, Results, Row
from w2s_sweep.results.reliability import ReliabilityReader
from w2s_sweep.results.score import Measured, Scorer, summarize
from w2s_sweep.store import Store
from w2s_sweep.store.files import read_json

EXAMPLES = "examples.parquet"
"""What a data stage leaves."""
NAMED = ("dataset", "weak", "strong", "loss", "method", "finetune")


F = TypeVar("F", bound=Callable[..., Any])


def limit_threads(function: F) -> F:
    """Have BLAS use one thread in a function."""
    return cast(Any, threadpoolctl).threadpool_limits.wrap(limits=1, user_api="blas")(function)


@dataclass
class Reader:
    """Test predictions of stages, each read once however many cells use it."""

    store: Store
    stages: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the sweep's record."""
    read: dict[str, "Examples | str"] = field(default_factory=dict[str, "Examples | str"])
    groups: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """Key of a data stage -> example id -> name of its group."""
    orders: dict[tuple[str | None, str], Order] = field(default_factory=dict[tuple[str | None, str], Order])
    """(data stage, example ids as they stand in a file) -> their order."""

    def examples(self, key: str) -> "Examples | str":
        """The stage's test predictions sorted by id; or, in words, why there are none."""
        if key not in self.read:
            self.read[key] = self._load(key) if key else NO_CEILING
        return self.read[key]

    def _load(self, key: str) -> "Examples | str":
        if not self.store.done(key) and not self.store.path(key).is_dir():
            return "not finished"
        data = self._data(key)
        if data is not None and not self.store.path(data).is_dir():  # intervals without groups would claim too much
            return f"stage {data[:10]}, which says what test examples are one group, is gone; run the sweep again"
        try:
            folder = self.store.verify(key)  # once a stage: a flipped bit would be another number, without a word
            predictions = read_predictions(folder / FILE, "test")
            order = self._order(data, predictions.ids)
        except StoreError as error:
            return str(error)
        if len(predictions):
            return Examples.of(predictions, _legal(folder / TEXTS), order)
        if self.stages.get(key, {}).get("kind") == LabelsFile.kind:
            return NO_TEST_LABELS
        return f"no test examples in {folder / FILE}"

    def _data(self, key: str) -> str | None:
        """The data stage that a stage's examples come from."""
        inputs: Mapping[str, str] = self.stages.get(key, {}).get("inputs", {})
        if "data" in inputs:
            return inputs["data"]
        return next((found for other in inputs.values() if (found := self._data(other)) is not None), None)

    def _order(self, data: str | None, ids: Array) -> Order:
        about = (data, "\n".join(ids.tolist()))
        if about not in self.orders:
            self.orders[about] = Order.of(ids, self._groups(data))
        return self.orders[about]

    def _groups(self, data: str | None) -> dict[str, str]:
        """Groups of a data stage's examples; none where no stage is known, as of sweeps that hold none."""
        if data is None:
            return {}
        if data not in self.groups:
            table: Any = cast(Any, pyarrow.parquet).read_table(
                self.store.verify(data) / EXAMPLES, columns=["id", "group"]
            )
            self.groups[data] = dict(zip(table["id"].to_pylist(), table["group"].to_pylist(), strict=True))
        return self.groups[data]


def _legal(path: Path) -> dict[str, bool]:
    """Example id -> whether what was generated is a possible answer, where that is known."""
    table: Any = cast(Any, pyarrow.parquet).read_table(path) if path.is_file() else None
    if table is None or "legal" not in table.column_names:
        return {}
    pairs: Iterable[tuple[str, bool | None]] = zip(table["id"].to_pylist(), table["legal"].to_pylist(), strict=True)
    return {name: legal for name, legal in pairs if legal is not None}


def collect(store: Store, *sweeps: str, test: str | None = None) -> Results:
    """The results of sweeps, joined, as far as they have run. Raises StoreError where the store has no such sweep.

    `test`: the name of one of the further test sets that cells have (`tests`); None is the cells' own.
    """
    record = join([store.read_sweep(sweep) for sweep in dict.fromkeys(sweeps)])
    return collect_record(store, record if test is None else _on_test(record, test))


@limit_threads
def collect_record(store: Store, record: dict[str, Any]) -> Results:
    """The same of a record, which may hold some cells of a sweep only.

    On one thread: its many small products are no faster on several, and many times slower beside other work.
    """
    failures = stage_failures(store, record["stages"])
    names = _names([entry["cell"] for entry in record["cells"]])
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
    comparisons = compare(ordered, Students(reader.examples, scorer))
    found = medians(summed)
    steps = {row.cell: steps for row in ordered if (steps := curves.student_steps(row))}
    return Results(
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


def stage_failures(store: Store, stages: Mapping[str, Any]) -> dict[str, str]:
    """Key -> error of every stage whose last run failed and that is not finished since."""
    found: dict[str, str] = {}
    for key in stages:
        record = read_json(store.work(key) / "failure.json")
        if record is not None and not store.done(key):
            found[key] = str(record.get("error", "failed without a message"))
    return found


def _names(cells: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """For each named setting: `sorted_json` -> label. Both models of a cell share one set of labels."""
    named = [_named(cell) for cell in cells]
    models = label_all(found[name] for found in named for name in ("weak", "strong"))
    others = {name: label_all(found[name] for found in named) for name in NAMED if name not in ("weak", "strong")}
    return others | {"weak": models, "strong": models}


def _named(cell: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a cell that labels are made of: a file of labels stands in the place of the weak model, whether
    labels are made hard belongs to the loss, and how the ceiling is trained to how models are."""
    how: Mapping[str, Any] = cell.get("supervisor") or {}
    named = {name: cell[name] for name in NAMED}
    if named["weak"] is None:
        named["weak"] = {"name": Supervisor(labels=how["labels"], name=how["name"]).title, "path": how["labels"]}
    if taught := _taught(how):
        named["loss"] = {**named["loss"], "supervision": taught}
    tried = {f"ceiling {key}": value for key, value in cell.get("ceiling", {}).items() if value}
    return named | {"finetune": {**named["finetune"], **tried}}


def _taught(how: Mapping[str, Any]) -> str | None:
    """What was done to a supervisor's labels before a student learnt from them; None where nothing was."""
    if how.get("harden"):
        return "hard"
    if how.get("calibrate"):
        return "calibrated"
    temperature = how.get("temperature", 1.0)
    return None if temperature == 1 else f"temperature {temperature:g}"


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
    label = {name: names[name][sorted_json(value)] for name, value in _named(cell).items()}
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
    found = {role: reader.examples(key) for role, key in keys.items()}
    absent = {role: text for role, text in found.items() if isinstance(text, str)}
    if absent and set(absent.values()) != {NO_TEST_LABELS}:
        return Row(**about, **_absence(absent, keys, failures, stages)), None
    sets = {role: test for role, test in found.items() if isinstance(test, Examples)}
    sets = _where_labelled(sets, stages.get(keys["weak"], {}))
    mismatch = _mismatch(sets)
    if mismatch:
        return Row(**about, state="failed", note=mismatch), None
    measured, student = scorer.measure(keys, sets), sets["student"]
    common, _ = summarize([measured], cell["metric"], scorer.designs)
    ratio = plain_ratio(*(common[role].value for role in ROLES))
    about |= {"n_test": len(student.ids), "classes": student.probs.shape[1], "ratio": ratio}
    return Row(**about, **common, majority=float(np.bincount(student.truth).max() / len(student.ids))), measured


def _absence(
    absent: Mapping[str, str], keys: Mapping[str, str], failures: Mapping[str, str], stages: Mapping[str, Any]
) -> dict[str, Any]:
    """State and note of a cell that lacks a role."""
    notes, failed = list[str](), False
    for role, text in absent.items():
        cause = _cause(keys[role], failures, stages)
        failed |= cause is not None or text != "not finished"
        if cause is None:
            notes.append(f"{role} {text}")
        else:
            through = "" if cause == keys[role] else f" (its input {stages[cause]['label']})"
            notes.append(f"{role}{through}: {failures[cause]}")
    return {"state": "failed" if failed else "missing", "note": "; ".join(notes)}


def _cause(key: str, failures: Mapping[str, str], stages: Mapping[str, Any]) -> str | None:
    """The failed stage that a stage waits for: itself, or one of the stages it needs."""
    if key in failures:
        return key
    inputs: Mapping[str, str] = stages.get(key, {}).get("inputs", {})
    return next((cause for k in inputs.values() if (cause := _cause(k, failures, stages)) is not None), None)


def _where_labelled(sets: Mapping[str, Examples], weak: Mapping[str, Any]) -> Mapping[str, Examples]:
    """All roles on the test examples of a supervisor that is a file, which may label some of them alone."""
    said = sets.get("weak")
    if said is None or weak.get("kind") != LabelsFile.kind:
        return sets
    return {role: one.on(said.ids) if {*said.ids.tolist()} < {*one.ids.tolist()} else one for role, one in sets.items()}


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
